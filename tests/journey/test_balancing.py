"""Hazards O01, O08, O14: of several servers one is at fault. The others carry on, a POST is never sent twice, and whoever is well again is
asked again."""
import collections
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

from support.acceptor import Acceptor
from support.free_ports import free_port
from support.gateway import PATIENCE, GatewayCase, main
from support.http_client import Closed, Malformed

ORIGIN = pathlib.Path(__file__).resolve().parents[1] / "support" / "counted_origin.py"


class Origin:
    def __init__(self, name: str, folder: pathlib.Path):
        self.name, self.port, self._folder = name, free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / f"{name}.posts").touch()
        self.mode("good")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, str(ORIGIN), self.name, str(self.port), str(self._folder)])
        deadline = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def mode(self, mode: str) -> None:
        # In one step: it is read with every request.
        fresh = self._folder / f"{self.name}.mode.new"
        fresh.write_text(mode)
        fresh.rename(self._folder / f"{self.name}.mode")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop_running(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def posts(self) -> list[str]:
        return (self._folder / f"{self.name}.posts").read_text().split()


class Load:
    """Clients that never rest: each asks twice and posts once, over and over. `answers` has (time begun, method, what came)."""
    CLIENTS = 6

    def __init__(self, stand):
        self._stand, self._over = stand, threading.Event()
        self._lock = threading.Lock()
        self.answers: list[tuple[float, str, object]] = []
        self.posted: dict[str, object] = {}
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(self.CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        connection, count = None, 0
        while not self._over.is_set():
            count += 1
            method = "POST" if count % 3 == 0 else "GET"
            name = f"{number}-{count}-{time.monotonic_ns()}"
            began = time.monotonic()
            try:
                connection = connection or self._stand.connect(False, timeout=30)
                answer = connection.ask(method, "/public/x", body=name.encode() if method == "POST" else None)
                outcome = answer.status
                lines = set(answer.body.split(b"\n"))
                if outcome == 200 and (len(lines) != 2 or len(answer.body) != 200 * (len(next(iter(lines - {b""}))) + 1)):
                    outcome = f"not whole: {answer.body[:40]!r}"
            except (Closed, Malformed, OSError) as error:
                outcome = type(error).__name__
                answer = None
            if not isinstance(outcome, int) or outcome != 200:
                if connection:
                    connection.close()
                connection = None
            with self._lock:
                self.answers.append((began, method, outcome))
                if method == "POST":
                    self.posted[name] = outcome
        if connection:
            connection.close()

    def outcomes(self, since: float, until: float, method: str | None = None) -> collections.Counter:
        with self._lock:
            return collections.Counter(outcome for began, each, outcome in self.answers
                                       if since <= began < until and method in (None, each))


class BalancingCase(GatewayCase):
    UPSTREAM: dict = {}

    @classmethod
    def change(cls, stand, configuration, policies):
        cls.origins = [Origin(name, stand.folder) for name in ("one", "two", "three")]
        configuration["upstreams"][0] = {
            "name": "service", "servers": [{"url": origin.url} for origin in cls.origins],
            "timeouts": {"connect": "500ms", "response": "1s", "idle": "60s"}, **cls.UPSTREAM}

    @classmethod
    def tearDownClass(cls):
        try:
            super().tearDownClass()
        finally:
            for origin in cls.origins:
                origin.kill()

    def healthy(self, origin: Origin) -> float:
        return self.gateway.metrics()[f'sallyport_upstream_healthy{{upstream="service",server="127.0.0.1:{origin.port}"}}']

    def wait_until_healthy_is(self, origin: Origin, value: float, within: float) -> float:
        began = time.monotonic()
        while self.healthy(origin) != value:
            self.assertLess(time.monotonic() - began, within * PATIENCE, f"healthy is not {value}\n{self.gateway.output()[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_until_it_is_asked_again(self, origin: Origin, within: float) -> None:
        """By its own word: POSTs that reach it."""
        before, deadline = len(origin.posts()), time.monotonic() + within * PATIENCE
        while len(origin.posts()) == before:
            self.assertLess(time.monotonic(), deadline, f"{origin.name} is not asked any more")
            time.sleep(0.05)

    def assert_posts_arrived_once(self, load: Load) -> None:
        counts = collections.Counter(post for origin in self.origins for post in origin.posts())
        twice = [post for post, count in counts.items() if count > 1]
        self.assertEqual(twice, [])
        lost = [post for post, outcome in load.posted.items() if outcome == 200 and counts[post] != 1]
        self.assertEqual(lost, [])


class WithChecks(BalancingCase):
    """Detection as documented: unhealthy_after x 1.1 x interval + timeout, and what waits then waits for the response timeout."""
    UPSTREAM = {"balance": "least_requests",
                "health": {"path": "/healthz", "interval": "500ms", "timeout": "500ms", "healthy_after": 2, "unhealthy_after": 2}}
    DETECTION = (2 * 1.1 * 0.5 + 0.5) * PATIENCE

    def run_fault(self, begin, end, errors=frozenset({502, 504, "Closed"}), is_out: bool = True) -> None:
        origin = self.origins[1]
        with Load(self.stand) as load:
            time.sleep(0.5 + 0.3 * PATIENCE)
            fault_at = time.monotonic()
            begin(origin)
            if is_out:
                self.wait_until_healthy_is(origin, 0, self.DETECTION + 1)
            detected_at = time.monotonic()
            time.sleep(2)
            healed_at = time.monotonic()
            end(origin)
            self.wait_until_healthy_is(origin, 1, 4)
            self.wait_until_it_is_asked_again(origin, 10)
            over_at = time.monotonic()
        fault_at -= 0.3 * PATIENCE  # what was under way is struck, too
        self.assertEqual(set(load.outcomes(0, fault_at)), {200})
        during = load.outcomes(fault_at, detected_at)
        self.assertLessEqual(set(during) - {200}, errors, during)
        after = load.outcomes(detected_at, healed_at)
        self.assertEqual(set(after), {200}, f"{after} after the detection")
        self.assertGreater(after[200], 20)
        self.assertEqual(set(load.outcomes(healed_at, over_at)), {200})
        self.assert_posts_arrived_once(load)

    def test_O01_a_server_is_killed(self):
        self.run_fault(Origin.kill, Origin.start)

    def test_O08_a_server_hangs(self):
        self.run_fault(Origin.stop_running, Origin.go_on)
        self.assertIn("upstream_server_unhealthy", self.gateway.output())
        self.assertIn("upstream_server_healthy", self.gateway.output())

    def test_O08_a_server_answers_garbage(self):
        self.run_fault(lambda origin: origin.mode("garbage"), lambda origin: origin.mode("good"))

    def test_O08_a_server_cuts_its_answers(self):
        # Its checks see a good head; requests fail, and it is ejected. What its checks find out brings it back before its time.
        def restart(origin):
            origin.mode("good")
            origin.kill()
            time.sleep(self.DETECTION)
            origin.start()
        self.run_fault(lambda origin: origin.mode("truncate"), restart, errors={502, "Closed", "Malformed"})

    def test_a_slow_server_harms_nobody(self):
        self.run_fault(lambda origin: origin.mode("slow"), lambda origin: origin.mode("good"), errors=frozenset(), is_out=False)

    def test_O08_all_servers_out_is_503_at_once_and_ends_by_itself(self):
        for origin in self.origins:
            origin.mode("garbage")
        for origin in self.origins:
            self.wait_until_healthy_is(origin, 0, self.DETECTION + 1)
        began = time.monotonic()
        answer = self.ask("POST", "/public/x", body=b"refused-before-anyone-saw-it", tls=False)
        self.assertLess(time.monotonic() - began, 0.5 * PATIENCE)
        self.assert_problem(answer, 503)
        self.assertEqual(answer.header("Retry-After"), "1")
        self.assertFalse(any("refused-before-anyone-saw-it" in origin.posts() for origin in self.origins))
        self.assertGreaterEqual(
            self.gateway.metrics()['sallyport_upstream_refused_total{upstream="service",reason="no_server"}'], 1)
        for origin in self.origins:
            origin.mode("good")
        for origin in self.origins:
            self.wait_until_healthy_is(origin, 1, 4)
        self.assertEqual(self.ask("GET", "/public/x", tls=False).status, 200)


class WithoutChecks(BalancingCase):
    UPSTREAM = {"ejection": {"failures": 5, "for": "1s", "percent_max": 50}}

    def test_O01_a_killed_server_costs_at_most_what_it_was_doing(self):
        origin = self.origins[0]
        with Load(self.stand) as load:
            time.sleep(0.5)
            killed_at = time.monotonic()
            origin.kill()
            self.wait_until_healthy_is(origin, 0, 5)
            time.sleep(2)
            origin.start()
            self.wait_until_healthy_is(origin, 1, 15)
            self.wait_until_it_is_asked_again(origin, 10)
        gets = load.outcomes(killed_at, time.monotonic(), "GET")
        self.assertEqual(set(gets), {200}, "those that it had were sent to another server")
        posts = load.outcomes(killed_at, time.monotonic(), "POST")
        self.assertLessEqual(sum(posts.values()) - posts[200], Load.CLIENTS, posts)
        self.assert_posts_arrived_once(load)

    def test_O14_a_server_that_drops_requests_is_left_out_and_tried(self):
        origin = self.origins[2]
        before = self.gateway.metrics()['sallyport_upstream_ejections_total{upstream="service"}']
        with Load(self.stand) as load:
            time.sleep(0.5)
            dropped_at = time.monotonic()
            origin.mode("drop")
            self.wait_until_healthy_is(origin, 0, 5)
            time.sleep(3)
            origin.mode("good")
            self.wait_until_healthy_is(origin, 1, 15)
        outcomes = load.outcomes(dropped_at, time.monotonic(), "POST")
        self.assertLess(sum(outcomes.values()) - outcomes[200], 20, outcomes)
        self.assertGreaterEqual(self.gateway.metrics()['sallyport_upstream_ejections_total{upstream="service"}'], before + 1)
        self.assert_posts_arrived_once(load)


class WithLimits(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        configuration["upstreams"][0]["limits"] = {"requests": 2}

    def test_more_than_the_limit_is_503_at_once(self):
        release = threading.Event()
        self.oracle.answer = lambda *_: release.wait(10) and b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        connections = [self.stand.connect(False) for _ in range(2)]
        try:
            for connection in connections:
                connection.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            deadline = time.monotonic() + 10
            while self.oracle.count < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            began = time.monotonic()
            answer = self.ask("GET", "/public/x", tls=False)
            self.assertLess(time.monotonic() - began, 0.5 * PATIENCE)
            self.assert_problem(answer, 503)
            self.assertEqual(answer.header("Retry-After"), "1")
            self.assertEqual(self.oracle.count, 2)
            self.assertEqual(self.gateway.metrics()['sallyport_upstream_requests{upstream="service"}'], 2)
            release.set()
            for connection in connections:
                self.assertEqual(connection.read_response().status, 200)
        finally:
            release.set()
            for connection in connections:
                connection.close()
        self.assertEqual(self.ask("GET", "/public/x", tls=False).status, 200)
        self.assertEqual(self.gateway.metrics()['sallyport_upstream_refused_total{upstream="service",reason="requests"}'], 1)


class UnixSocket(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        path = str(stand.folder / "app.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        cls.acceptor = Acceptor(listener, cls.serve)
        configuration["upstreams"].append({"name": "local", "servers": [{"url": f"unix:{path}"}], "host": "server"})
        policies["routes"].append({"name": "local", "match": {"path": "/local/**"}, "access": "public", "upstream": "local"})

    @staticmethod
    def serve(connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.acceptor.close()

    def test_a_unix_socket_is_a_server(self):
        answer = self.ask("GET", "/local/x", host="example.test")
        self.assertEqual(answer.status, 200)
        self.assertIn(b"\r\nHost: localhost\r\n", answer.body)
        self.assertIn(b"\r\nX-Forwarded-Host: example.test\r\n", answer.body)


if __name__ == "__main__":
    main()
