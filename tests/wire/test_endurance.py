"""Hazards K26, K27 and what is enormous or endless: refused, with the memory flat and the process alive."""
import time

from support.gateway import PATIENCE, SANITIZED, main
from support.http_client import Closed, chunked, request
from wire.wire_case import WireCase, head

CHUNKED = "Transfer-Encoding: chunked"
MEBIBYTE = 1024


class Endurance(WireCase):
    def setUp(self):
        super().setUp()
        for _ in range(20):  # so that what is allocated once is there
            self.ask("POST", "/public/x", body=b"x" * 100_000)
        self.before = self.gateway.resident_kib()
        self.files = self.gateway.open_files()

    def tearDown(self):
        super().tearDown()
        if not SANITIZED:  # their allocators keep what was freed
            self.assertLess(self.gateway.resident_kib() - self.before, 12 * MEBIBYTE)
        deadline = time.monotonic() + 5 * PATIENCE
        while self.gateway.open_files() > self.files + 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLessEqual(self.gateway.open_files(), self.files + 4)
        self.probe()

    def refusal(self, data: bytes, tls: bool) -> int:
        """The status, or 0 when the connection was just closed."""
        with self.stand.connect(tls) as connection:
            connection.try_send(data)
            try:
                response = connection.read_response()
            except Closed as closed:
                self.assertEqual(closed.received, b"")
                return 0
            self.assertTrue(response.closes)
            self.assertTrue(connection.is_closed_within(10))
            return response.status

    def test_K27_trailer_fields_of_any_size_are_refused(self):
        start = head(CHUNKED) + b"5\r\nhello\r\n0\r\n"
        self.assert_served({"twin": start + b"X: y\r\n\r\n"}, b"hello")
        for size in (65_533, 65_534, 70_000, 200_000):
            for name, trailer in {"value": b"X: " + b"y" * size, "name": b"X" * size + b": y"}.items():
                for tls in (False, True):
                    with self.subTest(f"{name} of {size} tls={tls}"):
                        self.oracle.reset()
                        self.assertIn(self.refusal(start + trailer + b"\r\n\r\n", tls), (0, 400, 413, 431))
                        self.assertFalse(any(seen.complete for seen in self.oracle.seen))
                        self.assertTrue(self.gateway.alive)

    def test_K27_a_huge_trailer_in_pieces(self):
        for size in (65_534, 200_000):
            with self.stand.connect() as connection:
                connection.send(head(CHUNKED) + b"0\r\nX: ")
                connection.send_split(b"y" * size + b"\r\n\r\n", 1000)
                try:
                    self.assertIn(connection.read_response().status, (400, 413, 431))
                except Closed:
                    pass

    def test_K26_trailers_over_the_limit_are_refused(self):
        start = head(CHUNKED) + b"5\r\nhello\r\n0\r\n"
        for name, trailers in {"1,000 fields": b"X: y\r\n" * 1000, "600 KB": (b"X: " + b"y" * 5995 + b"\r\n") * 100}.items():
            for tls in (False, True):
                with self.subTest(f"{name} tls={tls}"):
                    self.assertIn(self.refusal(start + trailers + b"\r\n", tls), (0, 400, 413, 431))

    def test_I19_a_header_of_30_megabytes_is_refused(self):
        for tls in (False, True):
            for name, data in {"one value": b"X: " + b"y" * 30_000_000, "one name": b"X" * 30_000_000,
                               "many fields": b"X: y\r\n" * 5_000_000}.items():
                with self.subTest(f"{name} tls={tls}"), self.nothing_upstream():
                    self.assertIn(self.refusal(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + data, tls), (0, 400, 431))
                    if not SANITIZED:
                        self.assertLess(self.gateway.resident_kib() - self.before, 12 * MEBIBYTE)

    def test_J18_a_request_line_without_end_is_refused(self):
        for tls in (False, True):
            with self.nothing_upstream():
                self.assertIn(self.refusal(b"GET /" + b"a" * 10_000_000, tls), (0, 400, 414, 431))
                self.assertIn(self.refusal(b"G" * 10_000_000, tls), (0, 400, 414, 431, 501))
                self.assertIn(self.refusal(b"\r\n" * 1_000_000, tls), (0, 400, 431))

    def test_K12_endless_extensions_and_tiny_chunks(self):
        self.assertIn(self.refusal(head(CHUNKED) + b"5;" + b"a" * 5_000_000, False), (0, 400, 413, 431))
        many = head(CHUNKED) + b"1;aaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
        with self.stand.connect(False) as connection:
            connection.try_send(many)
            self.assertIn(connection.read_response().status, (200, 400, 413))

    def test_M01_one_byte_a_second_ends_at_the_deadline(self):
        """The default of ten seconds for a head, however many bytes came meanwhile."""
        data = request("GET", "/public/x", "X: " + "y" * 200)
        for tls in (False, True):
            began = time.monotonic()
            with self.nothing_upstream(), self.stand.connect(tls) as connection:
                connection.socket.settimeout(1)
                ended = False
                for byte in data:
                    if not connection.try_send(bytes([byte])):
                        break
                    try:
                        ended = True
                        connection.receive()
                        break
                    except TimeoutError:
                        ended = False
                    self.assertLess(time.monotonic() - began, 15 * PATIENCE, "it still waits")
                self.assertTrue(ended or time.monotonic() - began < 15 * PATIENCE)
                self.assertGreater(time.monotonic() - began, 8)

    def test_K17_a_thousand_pipelined_refusals(self):
        with self.stand.connect(False) as connection:
            connection.send(request("GET", "/api/x") * 1000)
            for _ in range(1000):
                self.assertEqual(connection.read_response().status, 401)

    def test_connections_that_come_and_go_leave_nothing(self):
        for turn in range(300):
            with self.stand.connect(False) as connection:
                if turn % 3 == 0:
                    connection.send("GET /public/x HTTP/1.1\r\nHo")
                elif turn % 3 == 1:
                    connection.send(head("Content-Length: 100") + b"x")
                else:
                    connection.send(head(CHUNKED) + chunked(b"x" * 10)[:-3])


if __name__ == "__main__":
    main()
