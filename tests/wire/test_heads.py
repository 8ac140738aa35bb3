"""Hazards I06, I07, I12 to I15, I19 and the raw ones of J: heads byte by byte. Whole and in single bytes, plain and TLS."""
import string

from support.gateway import main
from support.http_client import request
from wire.wire_case import WireCase, head

TOKEN = set((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())


class Heads(WireCase):
    def test_I06_connection_members_are_tokens(self):
        for value in ("keep-alive, ,, @", "@", "a b", "close; x", '"close"', "x,(y)"):
            self.assert_refused({value: head(f"Connection: {value}", method="GET")})
        self.assert_served({"keep-alive": head("Connection: keep-alive", method="GET"),
                            "names": head("Connection: X-A, X-B", "X-A: 1", method="GET")})

    def test_I06_a_handful_of_members_is_served_and_two_hundred_are_refused(self):
        def members(count: int) -> bytes:
            return head("Connection: " + ", ".join(f"X-{number}" for number in range(count)), method="GET")
        self.assert_served({"8": members(8)})
        self.assert_refused({"200": members(200)})

    def test_I07_folds_are_refused_anywhere(self):
        self.assert_refused({"our name": head("X-Auth-Subject: a\r\n b", method="GET"), "any": head("X: a\r\n b", method="GET"),
                             "tab": head("X: a\r\n\tb", method="GET"), "empty": head("X: a\r\n ", method="GET"),
                             "behind Host": b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n evil\r\n\r\n",
                             "first line": b"GET /public/x HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n"})

    def test_I12_names_are_tokens_byte_by_byte(self):
        for byte in range(256):
            name = b"X" + bytes([byte]) + b"Y"
            data = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + name + b": z\r\n\r\n"
            before = self.oracle.count
            with self.subTest(f"0x{byte:02x}"):
                if byte == ord(":"):
                    continue  # ends the name: "X" with the value "Y: z"
                answers, _ = self.send(data, False, None, then_close=True)
                self.assertEqual([answer.status for answer in answers], [200 if byte in TOKEN else 400])
                self.assertEqual(self.oracle.count - before, int(byte in TOKEN))
        self.probe()

    def test_I13_values_byte_by_byte(self):
        for byte in range(256):
            good = byte == 9 or 0x20 <= byte != 0x7F
            value = b"a" + bytes([byte]) + b"b"
            before = self.oracle.count
            with self.subTest(f"0x{byte:02x}"):
                answers, _ = self.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nX-Value: " + value + b"\r\n\r\n", False, None,
                                       then_close=True)
                self.assertEqual([answer.status for answer in answers], [200 if good else 400])
                self.assertEqual(self.oracle.count - before, int(good))
                if good:
                    self.assertIn(b"X-Value: " + value + b"\r\n", self.oracle.last.raw_head)
        self.probe()

    def test_I14_hosts_that_are_none(self):
        def with_hosts(*hosts: str, version: str = "HTTP/1.1") -> bytes:
            lines = [f"GET /public/x {version}", *(f"Host: {host}" for host in hosts)]
            return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.assert_refused({"none": with_hosts(), "none on 1.0": with_hosts(version="HTTP/1.0"),
                             "two": with_hosts("localhost", "localhost"),
                             "two different": with_hosts("localhost", "evil.test"),
                             "other case": with_hosts("localhost")[:-2] + b"HOST: x\r\n\r\n"})
        bad = ("", "a,b", "user@a", "a/b", "a:99999", "a:x", "[::1", "::1", "[::1]x", "[zz]", "a b", "a\tb", "a?b", "a#b", "a\\b",
               "a:80:80", "a" * 300,
               "..", ".", "a..b", "%", "a%00", "\xe9", "a:-1", "a:+80", "[::1]:99999", "<x>", "a:080x", '"a"', "http://a", "a:65536", "@",
               ":80")
        self.assert_refused({repr(host[:40]): with_hosts(host) for host in bad})
        self.assert_served({host: with_hosts(host) for host in ("localhost", "LOCALHOST", "localhost.", "a-b.c_d.test:8443", "127.0.0.1",
                                                                "[::1]", "[::1]:80",
                                                                "a:65535", "xn--bcher-kva.test")})

    def test_I14_aliases_of_host_are_no_second_host(self):
        self.assert_served({"HOST alone": b"GET /public/x HTTP/1.1\r\nHOST: localhost\r\n\r\n"})
        self.assert_refused({"space": b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nHost : evil\r\n\r\n"})

    def test_I15_absolute_form_must_agree_with_host(self):
        self.assert_refused({"other": head(method="GET", target="http://evil.test/public/x"),
                             "port": head(method="GET", target="http://localhost:81/public/x"),
                             "user": head(method="GET", target="http://user@localhost/public/x"),
                             "empty": head(method="GET", target="http:///public/x"),
                             "scheme": head(method="GET", target="ftp://localhost/public/x"),
                             "no path": head(method="GET", target="http://"),
                             "two slashes": head(method="GET", target="//localhost/public/x")})
        self.assert_served({"same": head(method="GET", target="http://localhost/public/x"),
                            "case": head(method="GET", target="HTTP://LocalHost/public/x")})
        self.assertEqual(self.oracle.last.target, "/public/x")
        self.assertEqual(self.oracle.last.header("Host"), "localhost")

    def test_I19_limits_of_the_head(self):
        fields = [f"X-{number}: y" for number in range(99)]  # and Host
        self.assert_served({"100 fields": head(*fields, method="GET")})
        self.assert_refused({"101 fields": head(*fields, "X: y", method="GET")}, 431)
        size = 16 * 1024
        base = len(head("X: ", method="GET"))
        self.assert_served({"16 KiB": head("X: " + "y" * (size - base), method="GET")})
        self.assert_refused({"16 KiB and one": head("X: " + "y" * (size - base + 1), method="GET")}, 431)
        self.assert_served({f"name of {length}": head("X" * length + ": y", method="GET") for length in (255, 256, 270)})
        self.assert_refused({f"name of {length}": head("X" * length + ": y", method="GET") for length in (65_533, 65_534, 70_000)}, 431)
        self.assert_refused({"value of 65,534": head("X: " + "y" * 65_534, method="GET"),
                             "1,000 fields": head(*["X: y"] * 1000, method="GET")}, 431)

    def test_I19_a_target_over_its_limit_is_414(self):
        target = "/public/" + "a" * (8 * 1024 - 8)
        self.assert_served({"8 KiB": head(method="GET", target=target)})
        self.assert_refused({"8 KiB and one": head(method="GET", target=target + "a"),
                             "100 KB": head(method="GET", target=target + "a" * 100_000)}, 414)

    def test_J01_J02_J04_J05_J08_J12_J13_targets_on_the_wire(self):
        bad = ("/public/../admin", "/public/%2e%2e/admin", "/public/.%2E/admin", "//admin", "/public//x", "/public%2fx", "/public/%5cx",
               "/public\\x",
               "/public/%00", "/public/%0d%0aX:y", "/public/%7F", "/public#x", "/public/%", "/public/%zz", "/public/%u002e",
               "/public/\x80", "/public/\xc3\xa9",
               "/public/\x7f", "/public/.", "public/x", "*", "http:/public/x")
        self.assert_refused({repr(target): head(method="GET", target=target) for target in bad})
        good = {"/public/x": "/public/x", "/public/%41": "/public/A", "/public/%c3%a9": "/public/%C3%A9", "/public/a;b=c": "/public/a;b=c",
                "/public/x?a=/../%00": "/public/x?a=/../%00", "/public/'()*!": "/public/'()*!", "/public/%2541": "/public/%2541"}
        for target, sent in good.items():
            self.assert_served({target: head(method="GET", target=target)})
            self.assertEqual(self.oracle.last.target, sent)

    def test_J08_every_byte_of_a_target(self):
        for byte in range(256):
            good = 0x21 <= byte <= 0x7E and chr(byte) not in "#\\%"
            data = b"GET /public/a" + bytes([byte]) + b"b HTTP/1.1\r\nHost: localhost\r\n\r\n"
            before = self.oracle.count
            with self.subTest(f"0x{byte:02x}"):
                answers, _ = self.send(data, False, None, then_close=True)
                self.assertEqual([answer.status for answer in answers], [200 if good else 400])
                self.assertEqual(self.oracle.count - before, int(good))
        self.probe()

    def test_J19_every_byte_of_a_method(self):
        for byte in range(256):
            data = b"GE" + bytes([byte]) + b" /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
            with self.subTest(f"0x{byte:02x}"):
                if byte in b"T ":
                    continue  # GET, and the end of the method
                with self.nothing_upstream():
                    answers, closed = self.send(data, False, None, then_close=True)
                self.assertEqual([answer.status for answer in answers], [501 if byte in TOKEN else 400])
                self.assertTrue(closed)
        self.probe()

    def test_pipelined_behind_a_good_request_a_bad_head_is_refused_alike(self):
        good = request("GET", "/public/x")
        for name, bad in {"two lengths": head("Content-Length: 1", "Content-Length: 2"), "no host": b"GET /public/x HTTP/1.1\r\n\r\n",
                          "fold": head("X: a\r\n b"), "dots": head(target="/public/../x")}.items():
            for tls, pieces in ((False, None), (True, None), (False, 1)):
                with self.subTest(f"{name} tls={tls} pieces={pieces}"):
                    self.oracle.reset()
                    answers, closed = self.send(good + bad + good, tls, pieces)
                    self.assertEqual(([answer.status for answer in answers], closed, self.oracle.count), ([200, 400], True, 1))


if __name__ == "__main__":
    main()
