"""Hazards O, K28 and K29: what services do wrong, and what the client gets of it."""
import socket
import threading
import time

from support.acceptor import Acceptor
from support.gateway import PATIENCE, SANITIZED, GatewayCase, main
from support.http_client import Closed, Malformed, chunked, request
from support.oracle import Oracle, response


class UpstreamFaults(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        configuration["upstreams"][0]["timeouts"] = {"connect": "1s", "response": "1s", "idle": "2s"}
        configuration["upstreams"] += [
            {"name": "no-such-name", "servers": [{"url": "http://no-such-name.invalid:80"}]},
            {"name": "unreachable", "servers": [{"url": "http://127.0.0.1:1"}]},
            {"name": "two-families", "servers": [{"url": f"http://localhost:{stand.oracle.port}"}]}]
        for name in ("no-such-name", "unreachable", "two-families"):
            policies["routes"].append({"name": name, "match": {"path": f"/{name}/**"}, "access": "public", "upstream": name})
        # A service that is the gateway itself, behind something that the loader cannot see through.
        cls.relay = Acceptor(socket.create_server(("127.0.0.1", 0)), lambda near: cls.pass_on(near, stand.plain_address))
        configuration["upstreams"].append({"name": "ourselves", "servers": [{"url": f"http://127.0.0.1:{cls.relay.address[1]}"}]})
        policies["routes"].append({"name": "loop", "match": {"path": "/loop/**"}, "access": "public", "upstream": "ourselves"})

    @classmethod
    def tearDownClass(cls):
        cls.relay.close()
        super().tearDownClass()

    @staticmethod
    def pass_on(near: socket.socket, address) -> None:
        def copy(source: socket.socket, target: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        far = socket.create_connection(address)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=copy, args=pair, daemon=True).start()

    def answer_bytes(self, data: bytes, keep: bool = False) -> None:
        def answer(_seen, connection):
            connection.sendall(data)
            return b"" if keep else None
        self.oracle.answer = answer

    def assert_next_is_clean(self) -> None:
        """Whatever went before, the next client gets its own answer."""
        self.oracle.answer = lambda seen, _: response(200, f"for {seen.target}".encode())
        for number in range(3):
            answer = self.ask("GET", f"/public/clean-{number}")
            self.assertEqual((answer.status, answer.body), (200, f"for /public/clean-{number}".encode()))

    def assert_bad_gateway(self, data: bytes, keep: bool = True, method: str = "GET") -> None:
        self.answer_bytes(data, keep)
        with self.stand.connect(False) as connection:
            answer = connection.ask(method, "/public/x")
            if method == "HEAD":
                self.assertEqual(answer.status, 502)
            else:
                self.assert_problem(answer, 502)
            self.assertNotIn(b"evil", answer.raw_head + answer.body)
        self.assert_next_is_clean()

    def test_O01_a_service_that_is_not_there_is_502_at_once(self):
        for target in ("/refusing/x", "/no-such-name/x", "/unreachable/x"):
            for method in ("GET", "POST"):
                with self.subTest(f"{method} {target}"):
                    began = time.monotonic()
                    self.assert_problem(self.ask(method, target), 502)
                    self.assertLess(time.monotonic() - began, 5 * PATIENCE)

    def test_O02_silence_is_504_at_the_deadline(self):
        release = threading.Event()
        self.oracle.answer = lambda *_: release.wait(10) and None
        began = time.monotonic()
        self.assert_problem(self.ask("GET", "/public/x"), 504)
        self.assertGreater(time.monotonic() - began, 0.8)
        self.assertLess(time.monotonic() - began, 3 * PATIENCE)
        release.set()
        self.assert_next_is_clean()

    def close_second_request_on_each_connection(self) -> list:
        """As a server whose idle time ended just as we sent."""
        served, cut = set(), []

        def answer_head(seen, _connection):
            if seen.connection in served and not cut:
                cut.append(seen)
                return None
            served.add(seen.connection)
            return NotImplemented
        self.oracle.answer_head = answer_head
        return cut

    def test_O03_a_kept_connection_that_died_is_retried_where_that_is_safe(self):
        with self.stand.connect(False) as connection:
            for method in ("GET", "HEAD", "PUT", "DELETE"):
                with self.subTest(method):
                    self.oracle.reset()
                    cut = self.close_second_request_on_each_connection()
                    for _ in range(4):
                        self.assertEqual(connection.ask(method, "/public/x").status, 200)
                    self.assertEqual(len(cut), 1)
                    self.assertEqual(self.oracle.count, 5)

    def test_O03_a_request_that_may_not_be_repeated_is_502(self):
        with self.stand.connect(False) as connection:
            cut = self.close_second_request_on_each_connection()
            statuses = [connection.ask("POST", "/public/x", body=b"once").status for _ in range(3)]
        self.assertEqual(len(cut), 1)
        self.assertEqual(sorted(statuses), [200, 200, 502])
        self.assertEqual(self.oracle.count, 3)  # never sent again

    def test_O03_closed_idle_connections_are_not_used(self):
        for _ in range(5):
            self.assertEqual(self.ask("POST", "/public/x", body=b"x").status, 200)
            self.oracle.close_connections()
            time.sleep(0.1)
        self.assertTrue(all(seen.complete for seen in self.oracle.seen))

    def test_O04_half_a_head_is_502(self):
        for data in (b"", b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"):
            with self.subTest(data):
                self.assert_bad_gateway(data, keep=False)

    def test_O04_half_a_body_never_looks_whole(self):
        for name, data in {"sized": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
                           "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
                           "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\nevil"}.items():
            with self.subTest(name):
                self.answer_bytes(data)
                with self.stand.connect(False) as connection:
                    try:
                        answer = connection.ask("GET", "/public/x")
                        self.assertEqual(answer.status, 502)
                    except (Closed, Malformed):
                        self.assertTrue(connection.is_closed_within(5))
                self.assert_next_is_clean()

    def test_O05_informational_answers_are_bounded(self):
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.answer_bytes(hint * 3 + b"HTTP/1.1 100 Continue\r\n\r\n" + final, keep=True)
        self.assertEqual(self.ask("GET", "/public/x").body, b"ok")
        self.assert_bad_gateway(hint * 10_000 + final)

    def test_O06_heads_over_the_limit_or_with_foreign_bytes_are_502(self):
        ok, end = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"\r\n\r\n"
        self.answer_bytes(ok + b"X: " + b"y" * 8000 + end, keep=True)
        self.assertEqual(self.ask("GET", "/public/x").status, 200)
        for name, fields in {"64 KiB": b"X: " + b"y" * 65_536, "10,000 fields": b"\r\n".join([b"X: y"] * 10_000), "NUL": b"X: a\0evil",
                             "bare CR": b"X: a\revil: b", "bare LF": b"X: a\nevil: b", "space before colon": b"X : a", "no colon": b"evil",
                             "fold": b"X: a\r\n evil", "empty name": b": evil", "control": b"X: \x01evil"}.items():
            with self.subTest(name):
                self.assert_bad_gateway(ok + fields + end)

    def test_O07_a_slow_reader_holds_the_service_back(self):
        size = 200 * 1024 * 1024
        sent, block = [0], bytes(65536)

        def answer(_seen, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            try:
                while sent[0] < size:
                    connection.sendall(block)
                    sent[0] += len(block)
            except OSError:
                pass
        self.oracle.answer = answer
        before = self.gateway.resident_kib()
        with self.stand.connect(False, receive_buffer=8192) as connection:
            connection.send(request("GET", "/public/x"))
            connection.read_head()
            time.sleep(0.7)
            self.assertLess(sent[0], size // 4)
            if not SANITIZED:
                self.assertLess(self.gateway.resident_kib() - before, 8 * 1024)

    def test_O09_the_services_own_refusals_pass_unchanged(self):
        for status, extra in ((401, b"WWW-Authenticate: Basic realm=\"theirs\"\r\n"), (403, b""), (407, b""), (421, b""), (425, b""),
                              (429, b""),
                              (500, b""), (503, b"Retry-After: 7\r\n")):
            with self.subTest(status):
                self.answer_bytes(b"HTTP/1.1 %d Theirs\r\n%bContent-Length: 6\r\n\r\ntheirs" % (status, extra), keep=True)
                before = self.oracle.count
                answer = self.ask("GET", "/public/x")
                self.assertEqual((answer.status, answer.body), (status, b"theirs"))
                self.assertEqual(self.oracle.count, before + 1)
                if status == 401:
                    self.assertEqual(answer.header("WWW-Authenticate"), 'Basic realm="theirs"')

    def test_O10_a_redirect_passes_as_it_is(self):
        for location in ("http://internal.test:9001/x", "/relative", "//other.test/"):
            self.answer_bytes(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location.encode(), keep=True)
            answer = self.ask("GET", "/api/x", token=self.stand.token())
            self.assertEqual((answer.status, answer.header("Location")), (302, location))

    def test_O11_an_answer_never_reaches_the_next_client(self):
        self.oracle.answer = lambda seen, _: time.sleep(0.002) or response(200, seen.target.encode())
        wrong = []

        def impatient(number: int) -> None:
            for turn in range(60):
                with self.stand.connect(False) as connection:
                    connection.send(request("GET", f"/public/{number}-{turn}"))
                    if turn % 2:
                        continue  # leaves before the answer
                    if (body := connection.read_response().body) != f"/public/{number}-{turn}".encode():
                        wrong.append(body)
        threads = [threading.Thread(target=impatient, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assert_next_is_clean()

    def test_O12_a_101_that_nobody_asked_for_is_502(self):
        self.assert_bad_gateway(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nevil bytes")
        self.answer_bytes(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nevil bytes", keep=True)
        self.assertEqual(self.ask("GET", "/public/x", "Connection: upgrade", "Upgrade: foo").status, 502)
        self.assert_next_is_clean()

    def test_O15_answers_that_are_no_http_1_are_502(self):
        for name, data in {"0.9": b"<html>evil</html>", "h2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00evil",
                           "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
                           "1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", "text": b"evil\r\n\r\n", "ICY": b"ICY 200 OK\r\n\r\n",
                           "no code": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", "code 99": b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
                           "code 600": b"HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", "code 2000": b"HTTP/1.1 2000 X\r\n\r\n"}.items():
            with self.subTest(name):
                self.assert_bad_gateway(data, keep=False)

    def test_O16_the_next_address_is_tried(self):
        self.assertEqual(self.ask("GET", "/two-families/x").status, 200)  # ::1 has nobody there

    def test_P15_a_service_that_is_ourselves_is_508(self):
        with self.nothing_upstream():
            began = time.monotonic()
            self.assert_problem(self.ask("GET", "/loop/x"), 508)
            self.assertLess(time.monotonic() - began, 2 * PATIENCE)
        self.assert_next_is_clean()

    def test_K28_answers_framed_twice_or_badly_are_502(self):
        for name, fields in {"TE and CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4",
                             "CL and TE": b"Content-Length: 4\r\nTransfer-Encoding: chunked",
                             "two lengths": b"Content-Length: 4\r\nContent-Length: 5", "list": b"Content-Length: 4, 5",
                             "sign": b"Content-Length: +4",
                             "hex": b"Content-Length: 0x4", "huge": b"Content-Length: 99999999999999999999", "empty": b"Content-Length: ",
                             "xchunked": b"Transfer-Encoding: xchunked", "gzip": b"Transfer-Encoding: gzip, chunked",
                             "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"}.items():
            with self.subTest(name):
                self.assert_bad_gateway(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n4\r\nevil\r\n0\r\n\r\n")

    def test_K28_a_first_chunk_that_is_bad_is_never_a_whole_answer(self):
        for size in (b"0x4", b"-4", b"+4", b" 4", b"4 ", b"", b"1" * 17, b"FFFFFFFFFFFFFFFF", b"4_0", b"0" * 4096 + b"4"):
            with self.subTest(size[:20]):
                self.answer_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nevil\r\n0\r\n\r\n", keep=True)
                with self.stand.connect(False) as connection:
                    try:
                        self.assertEqual(connection.ask("GET", "/public/x").status, 502)
                    except (Closed, Malformed):
                        pass
                self.assert_next_is_clean()

    def test_K28_bytes_behind_an_answer_are_thrown_away_with_their_connection(self):
        evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        for name, data in {"behind a length": response(200, b"good") + evil,
                           "behind chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           + chunked(b"good") + evil, "behind 204": b"HTTP/1.1 204 No Content\r\n\r\n" + evil,
                           "behind 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n" + evil}.items():
            with self.subTest(name):
                self.answer_bytes(data, keep=True)
                answer = self.ask("GET", "/public/x")
                self.assertIn(answer.status, (200, 204, 304))
                self.assertNotIn(b"evil", answer.body)
                self.assert_next_is_clean()

    def test_K28_a_head_request_gets_no_body(self):
        self.answer_bytes(response(200, b"evil"), keep=True)
        with self.stand.connect(False) as connection:
            answer = connection.ask("HEAD", "/public/x")
            self.assertEqual((answer.status, answer.header("Content-Length")), (200, "4"))
            self.oracle.reset()
            self.assertEqual(connection.ask("GET", "/public/x").status, 200)
        self.assert_next_is_clean()

    def test_K28_trailers_of_an_answer_are_dropped(self):
        self.answer_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=evil\r\ngood\r\n0\r\n"
                          b"X-Auth-Establish: evil\r\nContent-Length: 5\r\n\r\n",
                          keep=True)
        with self.stand.connect(False) as connection:
            self.assertEqual(connection.ask("GET", "/public/x").body, b"good")  # the client's reader refuses trailers
        self.assert_next_is_clean()

    def test_K29_an_early_answer_leaves_no_half_request_behind(self):
        def early(seen, connection):
            if seen.method != "POST":
                return NotImplemented
            connection.sendall(response(200, b"early"))
            time.sleep(0.5)
            return None
        self.oracle.answer_head = early
        with self.stand.connect(False) as connection:
            connection.send(request("POST", "/public/x", "Content-Length: 1000") + b"x" * 10)
            answer = connection.read_response()
            self.assertEqual((answer.status, answer.body), (200, b"early"))
            connection.try_send(b"x" * 990 + request("GET", "/public/after"))
            connection.read_until_end(2)
        for seen in self.oracle.seen:
            self.assertIn(seen.method, ("POST", "GET"))
        self.assertEqual(self.oracle.malformed, [])
        self.oracle.reset()
        self.assert_next_is_clean()


class Balancing(GatewayCase):
    """Two servers, of which the second has twice the weight."""

    @classmethod
    def change(cls, stand, configuration, policies):
        cls.second = Oracle()
        configuration["upstreams"][0]["servers"] = [{"url": stand.oracle.url}, {"url": cls.second.url, "weight": 2}]

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.second.close()

    def test_requests_are_spread_by_weight(self):
        self.second.reset()
        with self.stand.connect(False) as connection:
            for _ in range(60):
                self.assertEqual(connection.ask("GET", "/public/x").status, 200)
        self.assertEqual((self.oracle.count, self.second.count), (20, 40))


if __name__ == "__main__":
    main()
