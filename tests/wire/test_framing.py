"""Hazards K: request smuggling and framing. Whole and in single bytes, plain and TLS; each fault has a twin that is served."""
import re
import threading
import time

from support.gateway import main
from support.http_client import Closed, Connection, chunked, request
from support.oracle import response
from wire.wire_case import WireCase, closing, head

CHUNKED = "Transfer-Encoding: chunked"
BODY = chunked(b"hello")
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Framing(WireCase):
    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.oracle.malformed, [])
        self.assertNotIn("/public/smuggled", [seen.target for seen in self.oracle.seen])

    def test_the_twins_are_served(self):
        self.assert_served({"length": head("Content-Length: 5") + b"hello", "chunked": head(CHUNKED) + BODY,
                            "Chunked": head("Transfer-Encoding: Chunked") + BODY, "tab": head("Transfer-Encoding:\tchunked ") + BODY,
                            "lower case": head("transfer-encoding: chunked") + BODY}, b"hello")
        self.assert_served({"no body": head(), "length 0": head("Content-Length: 0"), "no chunks": head(CHUNKED) + b"0\r\n\r\n"}, b"")

    def test_K01_length_and_chunked_together(self):
        self.assert_refused({"length first": head("Content-Length: 5", CHUNKED) + BODY,
                             "chunked first": head(CHUNKED, "Content-Length: 5") + BODY,
                             "length 0": head("Content-Length: 0", CHUNKED) + b"0\r\n\r\n" + SMUGGLED,
                             "on GET": head("Content-Length: 5", CHUNKED, method="GET") + BODY})

    def test_K02_transfer_codings_other_than_chunked(self):
        values = ("xchunked", "identity", "gzip", "", "chunked, gzip", "gzip, chunked", '"chunked"', "chunked;a=b", ",chunked", "chunked,",
                  "chunked chunked", "chunked\x0b", "chunke", "chunkedd", "'chunked'", "chunked, identity", "deflate", "\x0bchunked",
                  "chunked\x00")
        self.assert_refused({repr(value): head(f"Transfer-Encoding: {value}") + BODY for value in values})

    def test_K03_transfer_encoding_twice(self):
        for first, second in (("chunked", "chunked"), ("gzip", "chunked"), ("chunked", "identity"), ("identity", "chunked"),
                              ("", "chunked")):
            self.assert_refused({f"{first}+{second}": head(f"Transfer-Encoding: {first}", "X: y", f"transfer-encoding: {second}") + BODY})

    def test_K04_transfer_encoding_on_http_1_0(self):
        self.assert_refused({"chunked": head(CHUNKED, version="HTTP/1.0") + BODY,
                             "kept": head(CHUNKED, "Connection: keep-alive", version="HTTP/1.0") + BODY + SMUGGLED})
        self.assert_served({"length": head("Content-Length: 5", version="HTTP/1.0") + b"hello"}, b"hello")

    def test_K05_no_distortion_of_transfer_encoding_is_ever_framing(self):
        """Beside a Content-Length: refused, or forwarded without anything that an upstream could read as Transfer-Encoding."""
        name = "Transfer-Encoding"
        fields = {f"without {at}": f"{name[:at]}{name[at + 1:]}: chunked" for at in range(len(name))}
        for byte in "\x00\x01\t\n\r !\"#(),./:;<=>?@[\\]_{}\x7f\x80\x85\xa0\xff-T":
            for at in range(len(name) + 1):
                fields[f"{byte!r} at {at}"] = f"{name[:at]}{byte}{name[at:]}: chunked"
        for separator in ("_", ".", "", " ", "--", "__", "\u00ad", "%2d", "\t"):
            fields[f"separator {separator!r}"] = f"Transfer{separator}Encoding: chunked"
        body = b"0\r\n\r\n" + SMUGGLED
        outcomes = {"refused": 0, "served": 0}
        for label, field in fields.items():
            with self.subTest(label):
                self.oracle.reset()
                data = b"POST /public/x HTTP/1.1\r\nHost: localhost\r\n" + field.encode("latin-1")
                data += b"\r\nContent-Length: %d\r\n\r\n" % len(body)
                answers, closed = self.send(data + body, False, None, then_close=True)
                self.assertEqual(len(answers), 1)
                if answers[0].status == 400:
                    outcomes["refused"] += 1
                    self.assertTrue(closed)
                    self.assertEqual(self.oracle.count, 0)
                    continue
                outcomes["served"] += 1
                self.assertEqual((answers[0].status, self.oracle.count), (200, 1))
                seen = self.oracle.last
                self.assertEqual(seen.body, body)
                self.assertNotIn("transfer-encoding", {re.sub("-+", "-", each) for each in seen.folded_names()})
        self.assertGreater(outcomes["refused"], 200)
        self.probe()

    def test_K06_lengths_that_are_no_number(self):
        values = ("+5", "-5", "0x5", "5,5", "5, 6", "5;", "005", "5 5", "1_0", "", "99999999999999999999", "18446744073709551621", "5.0",
                  "5e0", "five",
                  "05", "00", "\u00b2", "5\x00", "5\x0b", "'5'", "5\t5", "- 5", "0b1")
        self.assert_refused({repr(value): head(f"Content-Length: {value}") + b"hello" for value in values})
        self.assert_refused({"two equal": head("Content-Length: 5", "Content-Length: 5") + b"hello",
                             "two different": head("Content-Length: 5", "Content-Length: 6") + b"hello!",
                             "two spellings": head("Content-Length: 5", "CONTENT-LENGTH: 5") + b"hello",
                             "on GET": head("Content-Length: +5", method="GET") + b"hello"})

    def test_K07_aliases_of_framing_fields_are_never_used(self):
        self.assert_refused({"NUL": head("Content-Length\0: 5") + b"hello", "NEL": head("Content-Length\x85: 5") + b"hello",
                             "space": head("Content-Length : 5") + b"hello", "tab": head("Content-Length\t: 5") + b"hello",
                             "TE space": head("Transfer-Encoding : chunked") + BODY})
        for field in ("Content_Length: 500", "Transfer_Encoding: chunked", "Content.Length: 500", "TRANSFER_ENCODING: chunked"):
            for data, body in ((closing(field, "Content-Length: 5") + b"hello", b"hello"), (closing(field), b"")):
                with self.subTest(f"{field} {body}"):
                    self.assert_served({"": data}, body)
                    self.assertEqual(self.oracle.last.folded_names() & {"transfer-encoding"}, set())
                    self.assertEqual([name for name in self.oracle.last.names() if name in ("content_length", "content.length")], [])

    def test_K08_folded_framing_fields(self):
        self.assert_refused({"length": head("Content-Length:\r\n 5") + b"hello", "coding": head("Transfer-Encoding:\r\n chunked") + BODY,
                             "tab": head("Transfer-Encoding: x\r\n\tchunked") + BODY,
                             "behind": head("X: y\r\n Content-Length: 5") + b"hello"})

    def test_K09_line_ends_other_than_crlf(self):
        good = b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nX: y\r\nContent-Length: 5\r\n\r\nhello"
        self.assert_served({"good": good}, b"hello")
        ends = [at for at in range(len(good)) if good[at:at + 2] == b"\r\n"]
        cases = {}
        for number, at in enumerate(ends):
            for name, other in {"LF": b"\n", "CR": b"\r", "CRCRLF": b"\r\r\n", "LFCR": b"\n\r"}.items():
                cases[f"{name} as line end {number}"] = good[:at] + other + good[at + 2:]
        # Without its last line end a head goes on: more must follow, and then it is refused.
        self.assert_refused({name: data + b"\r\n\r\n" for name, data in cases.items()})

    def test_K09_line_ends_in_chunks(self):
        good = head(CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n"
        self.assert_served({"good": good}, b"hello")
        start = head(CHUNKED)
        self.assert_never_completed({
            "size LF": start + b"5\nhello\r\n0\r\n\r\n", "size CR": start + b"5\rhello\r\n0\r\n\r\n",
            "data LF": start + b"5\r\nhello\n0\r\n\r\n",
            "data CR": start + b"5\r\nhello\r0\r\n\r\n", "last LF": start + b"5\r\nhello\r\n0\n\r\n",
            "size CRCRLF": start + b"5\r\r\nhello\r\n0\r\n\r\n",
            "end LF": start + b"5\r\nhello\r\n0\r\n\n", "trailer LF": start + b"5\r\nhello\r\n0\r\nX: y\n\r\n",
            "trailer CR": start + b"5\r\nhello\r\n0\r\nX: y\rz\r\n\r\n"})

    def test_K10_chunk_sizes_that_are_no_number(self):
        sizes = (b"0x5", b" 5", b"5 ", b"+5", b"-5", b"1_0", b"", b"1" * 17, b"FFFFFFFFFFFFFFFF", b"10000000000000005", b"g", b"5h", b"5.",
                 b"\t5", b"5\t",
                 b"0x", b"5,5", b"\0005", b"5\0", b"\xb25")
        self.assert_never_completed({repr(size): head(CHUNKED) + size + b"\r\nhello\r\n0\r\n\r\n" for size in sizes}, 400, 413)
        self.assert_served({"upper case": head(CHUNKED) + b"A\r\n0123456789\r\n0\r\n\r\n",
                            "lower case": head(CHUNKED) + b"a\r\n0123456789\r\n0\r\n\r\n",
                            "some zeros": head(CHUNKED) + b"000a\r\n0123456789\r\n00\r\n\r\n"}, b"0123456789")

    def test_K11_chunks_that_are_not_as_long_as_they_said(self):
        start = head(CHUNKED)
        self.assert_never_completed({"longer": start + b"4\r\nhello\r\n0\r\n\r\n", "shorter": start + b"6\r\nhello\r\n0\r\n\r\n",
                                     "no CRLF": start + b"5\r\nhello0\r\n\r\n"})
        self.assert_never_completed({"no last chunk": start + b"5\r\nhello\r\n", "cut in the data": start + b"5\r\nhe",
                                     "cut in the size": start + b"5",
                                     "cut in the end": start + b"5\r\nhello\r\n0\r\n", "length": head("Content-Length: 10") + b"hello"},
                                    400, 0, then_close=True)

    def test_K12_chunk_extensions_are_dropped_or_refused(self):
        self.assert_served({"token": head(CHUNKED) + b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
                            "quoted": head(CHUNKED) + b'5;a="b c"\r\nhello\r\n0\r\n\r\n'}, b"hello")
        self.assertNotIn(b"a=b", self.oracle.last.raw_head)
        self.assert_never_completed({"LF": head(CHUNKED) + b'5;a="\n"\r\nhello\r\n0\r\n\r\n',
                                     "NUL": head(CHUNKED) + b'5;a="\0"\r\nhello\r\n0\r\n\r\n',
                                     "CR": head(CHUNKED) + b'5;a="\r"\r\nhello\r\n0\r\n\r\n',
                                     "DEL": head(CHUNKED) + b"5;\x7f\r\nhello\r\n0\r\n\r\n"})
        self.assert_never_completed({"64 KiB": head(CHUNKED) + b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"}, 400, 413, 431)

    def test_K12_the_line_of_a_chunk_has_256_bytes(self):
        line = b"5;" + b"a" * (256 - 2)
        for extra, served in ((0, True), (-2, True), (3, False)):
            data = head(CHUNKED) + line[:254 + extra] + (b"a" * extra if extra > 0 else b"") + b"\r\nhello\r\n0\r\n\r\n"
            if served and extra == -2:
                self.assert_served({"under": data}, b"hello")
            elif not served:
                self.assert_never_completed({"over": data})

    def test_K13_zeros_before_a_chunk_size(self):
        self.assert_never_completed({"4 KiB": head(CHUNKED) + b"0" * 4096 + b"5\r\nhello\r\n0\r\n\r\n",
                                     "4 KiB of zero": head(CHUNKED) + b"0" * 4096 + b"\r\n\r\n"})

    def test_K14_a_body_on_any_method_is_framed(self):
        for method in ("GET", "OPTIONS", "DELETE", "PUT", "PATCH"):
            self.assert_served({f"{method} length": head(f"Content-Length: {len(SMUGGLED)}", method=method) + SMUGGLED,
                                f"{method} chunked": head(CHUNKED, method=method) + chunked(SMUGGLED)}, SMUGGLED)
        with self.stand.connect(False) as connection:
            connection.send(head(f"Content-Length: {len(SMUGGLED)}", method="HEAD") + SMUGGLED + request("GET", "/public/after"))
            self.assertEqual(connection.read_response("HEAD").status, 200)
            self.assertIn(b"/public/after", connection.read_response().body)
        self.assert_served({"GET twice": head(f"Content-Length: {len(SMUGGLED)}", method="GET") + SMUGGLED + head(method="GET")},
                           answers_expected=2)

    def test_K15_the_body_of_an_early_refusal_is_no_request(self):
        for target, expected in (("/api/x", 401), ("/nowhere", 404), ("/read-only/x", 405)):
            for name, data in {"length": head(f"Content-Length: {len(SMUGGLED)}", target=target) + SMUGGLED,
                               "chunked": head(CHUNKED, target=target) + chunked(SMUGGLED)}.items():
                for tls in (False, True):
                    with self.subTest(f"{target} {name} tls={tls}"), self.nothing_upstream():
                        answers, _ = self.send(data, tls, None, then_close=True)
                        self.assertEqual([answer.status for answer in answers], [expected])

    def test_K16_an_answer_before_100_leaves_nothing_behind(self):
        def early(seen, connection):
            if seen.header("X-Early"):
                connection.sendall(response(200, b"early"))
                time.sleep(0.3)
                return None
            return NotImplemented
        self.oracle.answer_head = early
        with self.stand.connect(False) as connection:
            connection.send(head("Expect: 100-continue", "X-Early: 1", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED)
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.body), (200, b"early"))
            if answer.closes:
                self.assertTrue(connection.is_closed_within(5))
            else:
                self.assertIn(b'"/public/next"', connection.ask("GET", "/public/next").body)
        self.assertNotIn("/public/smuggled", [seen.target for seen in self.oracle.seen])

    def test_K17_nothing_is_served_behind_a_malformed_request(self):
        good, unauthorized = request("GET", "/public/x"), request("GET", "/api/x")
        bad = request("GET", "/public/../x")
        for tls, pieces in ((False, None), (True, None), (False, 1), (True, 1)):
            self.oracle.reset()
            answers, closed = self.send(good * 20 + unauthorized + good * 4 + bad + good * 24, tls, pieces)
            self.assertEqual([answer.status for answer in answers], [200] * 20 + [401] + [200] * 4 + [400])
            self.assertTrue(closed)
            self.assertEqual(self.oracle.count, 24)

    def test_K18_nothing_is_served_behind_connection_close(self):
        for field in ("Connection: close", "connection: Close", "Connection: x, close"):
            answers, closed = self.send(head(field, method="GET") + SMUGGLED, False, None)
            self.assertEqual(([answer.status for answer in answers], closed), ([200], True))

    def test_K19_an_upgrade_that_is_not_allowed_is_a_plain_request(self):
        for protocol in ("foo", "h2c", "websocket", "TLS/1.0"):
            fields = ["Connection: upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                      "Sec-WebSocket-Version: 13"]
            with self.subTest(protocol), self.stand.connect(False) as connection:
                self.oracle.reset()
                connection.send(request("GET", "/public/x", *fields) + request("GET", "/admin/x"))
                first, second = connection.read_response(), connection.read_response()
                self.assertEqual((first.status, second.status), (200, 401))  # the second request met the policy
                self.assertEqual(self.oracle.count, 1)
                if protocol != "websocket":
                    self.assertEqual(self.oracle.last.all("Upgrade"), [])

    def test_K20_connect_is_405(self):
        for target in ("example.test:443", "/public/x", "localhost:80"):
            self.assert_refused({target: head(method="CONNECT", target=target) + SMUGGLED}, 405, 400)

    def test_K21_other_versions(self):
        for version, statuses in {"HTTP/1.2": (505,), "HTTP/2.0": (400, 505), "HTTP/0.9": (400, 505), "HTTP/1": (400,), "HTTP/1.10": (400,),
                                  "http/1.1": (400,), "HTTP/11": (400,), "HTTP/1,1": (400,), "HTP/1.1": (400,), "HTTP/1.1x": (400,),
                                  "HTTP /1.1": (400,),
                                  "HTTP/01.1": (400,), "HTTP/-1.1": (400,), "HTTP/9.9": (505, 400)}.items():
            self.assert_refused({version: head(version=version, method="GET")}, *statuses)
        self.assert_refused({"0.9": b"GET /public/x\r\n\r\n", "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, 400, 505, 501)

    def test_K22_request_lines_that_are_none(self):
        end = b"\r\nHost: localhost\r\n\r\n"
        lines = (b"GET  /public/x HTTP/1.1", b"GET /public/x  HTTP/1.1", b"GET\t/public/x HTTP/1.1", b"GET /public/x\tHTTP/1.1",
                 b"GET HTTP/1.1",
                 b"GET  HTTP/1.1", b"GET /public/x HTTP/1.1 ", b" GET /public/x HTTP/1.1", b"GET /public/a b HTTP/1.1",
                 b"GET /public/x HTTP/1.1\t",
                 b"GET /public/x HTTP/1.1 HTTP/1.1", b"GET", b"GET ", b"\0", b"GET /public/x\0 HTTP/1.1", b"/public/x HTTP/1.1",
                 b"GET /public/x\x0bHTTP/1.1",
                 b": / HTTP/1.1", b"G(T /public/x HTTP/1.1", b"GET /public/x,HTTP/1.1")
        self.assert_refused({repr(line): line + end for line in lines})
        self.assert_served({"good": b"GET /public/x HTTP/1.1" + end, "an empty line before": b"\r\nGET /public/x HTTP/1.1" + end})
        self.assert_refused({"two empty lines before": b"\r\n\r\nGET /public/x HTTP/1.1" + end,
                             "LF before": b"\nGET /public/x HTTP/1.1" + end})
        self.assert_refused({"70 KB method": b"G" * 70_000 + b" /public/x HTTP/1.1" + end}, 400, 431, 501)

    def test_K23_tls_on_the_plain_port_and_text_on_the_tls_port(self):
        hello = bytes.fromhex("16030100a5010000a10303") + bytes(160)
        with self.nothing_upstream():
            with self.stand.connect(False) as connection:
                connection.try_send(hello)
                connection.half_close()
                self.assertTrue(connection.is_closed_within(5))
            with Connection(self.stand.tls_address) as connection:
                connection.try_send(request("GET", "/public/x"))
                received = connection.read_until_end(5)
                self.assertNotIn(b"200 OK", received)
        self.probe()

    def test_K24_fields_that_are_none(self):
        for name, line in {"no colon": b"nonsense", "colon first": b": x", "space first": b" X: y", "tab first": b"\tX: y",
                           "NUL name": b"\0: y",
                           "empty name": b":", "space in the name": b"X Y: z", "space before the colon": b"X : y", "high byte": b"X\x80: y",
                           "parenthesis": b"X(: y", "NUL value": b"X: a\0b", "bare CR": b"X: a\rb", "bare LF": b"X: a\nb",
                           "DEL": b"X: a\x7fb"}.items():
            self.assert_refused({f"{name} first": b"GET /public/x HTTP/1.1\r\n" + line + b"\r\nHost: localhost\r\n\r\n",
                                 f"{name} last": b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n"})

    def test_K25_trailers_change_nothing(self):
        trailers = (b"Content-Length: 50", b"Transfer-Encoding: chunked", b"Host: evil", b"Authorization: Bearer x", b"Cookie: a=b",
                    b"X-Auth-Subject: evil",
                    b"Connection: close", b"X-Unknown: evil")
        data = head(CHUNKED) + b"5\r\nhello\r\n0\r\n" + b"\r\n".join(trailers) + b"\r\n\r\n"
        self.assert_served({"all": data}, b"hello")
        for word in (b"evil", b"X-Unknown", b"Bearer"):
            self.assertNotIn(word, self.oracle.last.raw_head)
        with self.stand.connect(False) as connection:  # neither a close nor a length came of it
            connection.send(data)
            self.assertEqual(connection.read_response().status, 200)
            self.assertEqual(connection.ask("GET", "/public/after").status, 200)
        self.assert_never_completed({"no colon": head(CHUNKED) + b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
                                     "space": head(CHUNKED) + b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
                                     "fold": head(CHUNKED) + b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n"})

    def test_K14_two_pieces_cut_anywhere_are_one_request(self):
        data = head("X: y", CHUNKED) + b"5;a=b\r\nhello\r\n3\r\n...\r\n0\r\nX: y\r\n\r\n"
        with self.stand.connect(False) as connection:
            for at in range(1, len(data)):
                connection.send(data[:at])
                time.sleep(0.001)
                connection.send(data[at:])
                self.assertEqual(connection.read_response().status, 200)
                self.assertEqual(self.oracle.last.body, b"hello...")
        self.assertEqual(self.oracle.count, len(data) - 1)


class ManyClients(WireCase):
    def test_K17_pipelines_of_many_clients_never_mix(self):
        wrong = []

        def run(number: int) -> None:
            try:
                with self.stand.connect(number % 2 == 0) as connection:
                    connection.send(b"".join(request("GET", f"/public/{number}/{turn}") for turn in range(30)))
                    for turn in range(30):
                        if f'"/public/{number}/{turn}"'.encode() not in connection.read_response().body:
                            wrong.append((number, turn))
            except Closed as closed:
                wrong.append(closed)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    main()
