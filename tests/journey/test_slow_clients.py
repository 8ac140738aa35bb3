"""Hazards M: clients that are slow, large or many. Every deadline is for its whole phase: a byte now and then does not stretch it."""
import socket
import threading
import time

from support.gateway import PATIENCE, SANITIZED, GatewayCase, Stand, main
from support.http_client import Closed, Connection, chunked, request

LIMITS = {"connections": 40, "header_bytes": "4KiB", "header_fields": 20, "target_bytes": "1KiB", "body_bytes": "64KiB"}
TIMEOUTS = {"handshake": "1s", "header": "1s", "body": "1s", "idle": "1s", "write": "1s"}
BODY_MAX = 64 * 1024


def strict(_stand, configuration, _policies):
    for listener in configuration["listeners"]:
        listener |= {"limits": dict(LIMITS), "timeouts": dict(TIMEOUTS)}


class SlowClients(GatewayCase):
    change = classmethod(lambda cls, *arguments: strict(*arguments))

    def trickle(self, connection, data: bytes, seconds: float) -> float:
        """One byte every 50 ms until the gateway answers or closes; how long that took."""
        began = time.monotonic()
        connection.socket.settimeout(0.05)
        for byte in data:
            if not connection.try_send(bytes([byte])):
                break
            try:
                connection._buffer += (piece := connection.receive())
                if piece or not piece:
                    break
            except TimeoutError:
                pass
            if time.monotonic() - began > seconds:
                self.fail(f"still reading after {seconds} s")
        took = time.monotonic() - began
        connection.socket.settimeout(10)
        return took

    def test_M01_a_head_in_drips_ends_at_the_deadline(self):
        for tls in (True, False):
            with self.subTest(tls=tls), self.nothing_upstream(), self.stand.connect(tls) as connection:
                took = self.trickle(connection, request("GET", "/public/x", "X: " + "y" * 1000), 10 * PATIENCE)
                self.assertGreater(took, 0.8)
                self.assertLess(took, 3 * PATIENCE)
                received = connection.read_until_end(10)
                self.assertTrue(received == b"" or b" 408 " in received.split(b"\r\n")[0], received)

    def test_M01_others_are_served_meanwhile(self):
        slow = [self.stand.connect(False) for _ in range(20)]
        for connection in slow:
            connection.send("GET /public/x HT")
        began = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.ask("GET", "/public/x").status, 200)
        self.assertLess(time.monotonic() - began, 5 * PATIENCE)
        for connection in slow:
            self.assertTrue(connection.is_closed_within(5 * PATIENCE))
            connection.close()

    def test_M02_a_body_in_drips_ends_at_the_deadline(self):
        with self.stand.connect() as connection:
            connection.send(request("POST", "/public/x", "Content-Length: 1000"))
            took = self.trickle(connection, b"x" * 1000, 10 * PATIENCE)
            self.assertLess(took, 3 * PATIENCE)
            received = connection.read_until_end(10)
            self.assertTrue(received == b"" or b" 408 " in received.split(b"\r\n")[0], received)
        time.sleep(0.2)
        self.assertFalse(any(seen.complete for seen in self.oracle.seen))
        self.assertEqual(self.ask("POST", "/public/x", body=b"x" * 1000).status, 200)

    def test_M03_a_client_that_does_not_read_is_let_go(self):
        size = 64 * 1024 * 1024
        sent, ended = [0], threading.Event()

        def answer(_seen, connection: socket.socket):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            try:
                for _ in range(size // 65536):
                    connection.sendall(bytes(65536))
                    sent[0] += 65536
            except OSError:
                pass
            ended.set()
        self.oracle.answer = answer
        for tls in (True, False):
            with self.subTest(tls=tls), self.stand.connect(tls, receive_buffer=8192) as connection:
                sent[0] = 0
                ended.clear()
                before = self.gateway.resident_kib()
                connection.send(request("GET", "/public/x"))
                time.sleep(0.5)
                if not SANITIZED:
                    self.assertLess(self.gateway.resident_kib() - before, 8 * 1024)
                self.assertTrue(ended.wait(10 * PATIENCE), "the write deadline did not end it")
                self.assertLess(sent[0], size)  # back-pressure reached the service
        self.oracle.reset()
        self.assertEqual(self.ask("GET", "/public/x").status, 200)

    def test_M04_silence_is_closed(self):
        for tls in (True, False):
            with self.subTest(tls=tls), self.stand.connect(tls) as connection:
                began = time.monotonic()
                self.assertTrue(connection.is_closed_within(4 * PATIENCE))
                self.assertGreater(time.monotonic() - began, 0.7)
        with self.stand.connect() as connection:
            self.assertEqual(connection.ask("GET", "/public/x").status, 200)
            self.assertTrue(connection.is_closed_within(4 * PATIENCE))

    def test_M04_L10_a_stalled_handshake_is_closed(self):
        for data in (b"", b"\x16\x03\x01"):
            with self.subTest(data), Connection(self.stand.tls_address) as connection:
                connection.send(data)
                self.assertTrue(connection.is_closed_within(4 * PATIENCE))

    def test_M07_bodies_over_the_limit_are_413(self):
        self.assertEqual(self.ask("POST", "/public/x", body=b"x" * BODY_MAX).status, 200)
        self.assertEqual(self.exchange(request("POST", "/public/x", "Transfer-Encoding: chunked") + chunked(b"x" * BODY_MAX)).status, 200)
        self.oracle.reset()
        with self.stand.connect() as connection:
            connection.send(request("POST", "/public/x", f"Content-Length: {BODY_MAX + 1}"))
            response = connection.read_response()
            self.assert_problem(response, 413)
            self.assertTrue(connection.is_closed_within(5))
        self.assertEqual(self.oracle.count, 0)
        for tls in (True, False):
            with self.subTest(tls=tls), self.stand.connect(tls) as connection:
                connection.try_send(request("POST", "/public/x", "Transfer-Encoding: chunked") + chunked(*[b"x" * 8192] * 9))
                self.assertEqual(connection.read_response().status, 413)
                self.assertTrue(connection.is_closed_within(5))
        time.sleep(0.2)
        self.assertFalse(any(seen.complete for seen in self.oracle.seen))

    def test_M08_heads_over_the_limit_are_refused(self):
        with self.nothing_upstream():
            self.assert_problem(self.exchange(request("GET", "/public/" + "a" * 1024)), 414)
            self.assert_problem(self.exchange(request("GET", "/public/x", "X: " + "y" * 4096)), 431)
            self.assert_problem(self.exchange(request("GET", "/public/x", *["X: y"] * 20)), 431)
        self.assertEqual(self.exchange(request("GET", "/public/" + "a" * (1024 - 8))).status, 200)
        self.assertEqual(self.exchange(request("GET", "/public/x", *["X: y"] * 19)).status, 200)
        empty = request("GET", "/public/x", "X: ")
        self.assertEqual(self.exchange(request("GET", "/public/x", "X: " + "y" * (4096 - len(empty)))).status, 200)
        with self.nothing_upstream():
            self.assertEqual(self.exchange(request("GET", "/public/x", "X: " + "y" * (4097 - len(empty)))).status, 431)


def patient(stand, configuration, policies):
    """What fills a listener stays there for as long as a busy machine takes to fill it."""
    strict(stand, configuration, policies)
    for listener in configuration["listeners"]:
        listener["timeouts"]["header"] = "1m"


class FullListener(GatewayCase):
    change = classmethod(lambda cls, *arguments: patient(*arguments))

    def test_connections_over_the_cap_are_refused_and_the_rest_served(self):
        kept = []
        for _ in range(LIMITS["connections"]):
            connection = self.stand.connect(False)
            connection.send("GET ")
            kept.append(connection)
        time.sleep(0.2)
        with self.assertRaises((Closed, OSError)):
            with self.stand.connect(False) as extra:
                extra.ask("GET", "/public/x")
        self.assertEqual(self.ask("GET", "/public/x").status, 200)  # the other listener has a cap of its own
        for connection in kept:
            connection.close()
        deadline = time.monotonic() + 5 * PATIENCE
        while time.monotonic() < deadline:
            try:
                self.assertEqual(self.ask("GET", "/public/x", tls=False).status, 200)
                break
            except (Closed, OSError):
                time.sleep(0.1)
        else:
            self.fail("connections that ended still count")


class FewFiles(GatewayCase):
    open_files = 64

    def test_M06_running_out_of_files_pauses_and_recovers(self):
        kept = []
        for _ in range(100):
            try:
                kept.append(self.stand.connect(False, timeout=5))
            except OSError:
                break
        used = self.gateway.cpu_seconds()
        time.sleep(1)
        self.assertLess(self.gateway.cpu_seconds() - used, 0.5, "it spins")
        for connection in kept:
            connection.close()
        deadline = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/public/x", tls=False).status == 200:
                    return
            except (Closed, OSError):
                pass
            time.sleep(0.2)
        self.fail("it did not recover")


class GracefulStop(GatewayCase):
    """Each test has a gateway of its own, which it stops."""

    @classmethod
    def setUpClass(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        pass

    def setUp(self):
        self.stand = Stand(self.drain)
        self.gateway, self.oracle = self.stand.gateway, self.stand.oracle
        self.release = threading.Event()

    def tearDown(self):
        self.release.set()
        self.stand.stop()

    @staticmethod
    def drain(_stand, configuration, _policies):
        configuration["shutdown"] = {"drain_timeout": "2s"}

    def hold(self, seen, _connection):
        self.release.wait(10)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

    def start_held_request(self) -> Connection:
        self.oracle.answer = self.hold
        connection = self.stand.connect()
        connection.send(request("GET", "/public/held"))
        while not self.oracle.count:
            time.sleep(0.02)
        return connection

    def test_M16_a_running_request_finishes(self):
        with self.start_held_request() as connection, self.stand.connect() as idle:
            self.gateway.terminate()
            self.assertTrue(idle.is_closed_within(2 * PATIENCE))
            with self.assertRaises((OSError, Closed)):
                with self.stand.connect() as late:
                    late.ask("GET", "/public/x")
            self.release.set()
            response = connection.read_response()
            self.assertEqual((response.status, response.body), (200, b"done"))
            self.assertTrue(response.closes)
        self.assertEqual(self.gateway.process.wait(10 * PATIENCE), 0)

    def test_M16_readiness_is_off_at_once(self):
        with self.start_held_request():
            self.assertEqual(self.gateway.admin_status("/readyz"), 200)
            self.gateway.terminate()
            deadline = time.monotonic() + 1.5
            seen = []
            while time.monotonic() < deadline and 503 not in seen:
                seen.append(self.gateway.admin_status("/readyz"))
            self.assertIn(503, seen)
            self.assertEqual(self.gateway.admin_status("/livez"), 200)
            self.release.set()
        self.assertEqual(self.gateway.process.wait(10 * PATIENCE), 0)

    def test_M16_the_deadline_ends_what_does_not_finish(self):
        with self.start_held_request(), self.stand.connect() as slow:
            slow.send("GET /public/x HT")
            began = time.monotonic()
            self.gateway.terminate()
            self.assertEqual(self.gateway.process.wait(10 * PATIENCE), 0)
            self.assertLess(time.monotonic() - began, 5 * PATIENCE)

    def test_M16_requests_under_way_are_not_dropped(self):
        failed, served, stop = [], [0], threading.Event()

        def ask_on():
            while not stop.is_set():
                try:
                    with self.stand.connect() as connection:
                        while not stop.is_set():
                            connection.send(request("GET", "/public/x"))
                            response = connection.read_response()
                            served[0] += response.status == 200
                            if response.closes:
                                break
                except Closed as closed:
                    if closed.received:
                        failed.append(closed)
                except OSError:
                    return
        threads = [threading.Thread(target=ask_on) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        self.gateway.terminate()
        self.assertEqual(self.gateway.process.wait(10 * PATIENCE), 0)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertGreater(served[0], 0)
        self.assertEqual(failed, [])


if __name__ == "__main__":
    main()
