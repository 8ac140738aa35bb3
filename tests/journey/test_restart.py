"""One process follows another at the same sockets, and no client notices."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from support.gateway import BINARY, PATIENCE, GatewayCase, main
from support.http_client import bearer
from support.load import Load
from support.redis_server import RedisServer


class Follower:
    """A process that is not our child, in place of subprocess.Popen."""

    def __init__(self, pid: int):
        self.pid, self.returncode = pid, None

    def poll(self):
        try:
            state = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            state = "Z"
        if state == "Z":
            self.returncode = 0
        return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 30) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("sallyport", timeout)
            time.sleep(0.02)
        return self.returncode


class RestartCase(GatewayCase):
    def events(self, name: str) -> list[dict]:
        lines = []
        for line in self.gateway.output().splitlines():
            if line.startswith("{"):
                content = json.loads(line)
                if content.get("event") == name:
                    lines.append(content)
        return lines

    def until(self, condition, message: str, seconds: float = 20):
        deadline = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        self.fail(f"{message}\n{self.gateway.output()[-4000:]}")

    def restart(self) -> None:
        """SIGUSR2, until the old process has gone. The stand goes on with the new one."""
        before = len(self.events("restart_done"))
        old = self.gateway.process
        old.send_signal(signal.SIGUSR2)
        done = self.until(lambda: self.events("restart_done")[before:], "no successor serves")
        pid = int(done[0]["detail"].split()[1])
        self.assertEqual(old.wait(20 * PATIENCE), 0)
        self.assertNotEqual(pid, old.pid)
        self.gateway.process = Follower(pid)

    def assert_no_request_fails(self, restarts: int) -> None:
        loads = [Load(self.stand) for _ in range(4)]
        for load in loads:
            load.start()
        time.sleep(0.3)
        for _ in range(restarts):
            self.restart()
            time.sleep(0.3)
        for load in loads:
            load.stop()
        self.assertGreater(sum(load.asked for load in loads), 50)
        self.assertEqual([wrong for load in loads for wrong in load.wrong], [], self.gateway.output()[-3000:])


class InMemory(RestartCase):
    def test_no_request_fails(self):
        self.assert_no_request_fails(3)

    def test_a_request_under_way_is_finished_by_the_old_process(self):
        with self.stand.connect() as connection:
            connection.send(f"POST /api/x HTTP/1.1\r\nHost: localhost\r\n{bearer(self.stand.token())}\r\nContent-Length: 10\r\n\r\n12345")
            self.until(lambda: self.gateway.metrics().get("sallyport_live_exchanges", 0) >= 1, "the request is not under way")
            before, old = len(self.events("restart_done")), self.gateway.process
            old.send_signal(signal.SIGUSR2)
            done = self.until(lambda: self.events("restart_done")[before:], "no successor serves")
            self.assertEqual(self.ask("GET", "/api/x", token=self.stand.token()).status, 200)
            self.assertIsNone(old.poll(), "it still has a request")
            connection.send("67890")
            self.assertEqual(connection.read_response("POST").status, 200)
        self.assertEqual(old.wait(20 * PATIENCE), 0)
        self.gateway.process = Follower(int(done[0]["detail"].split()[1]))

    def test_nothing_but_the_listening_sockets_is_left_to_the_successor(self):
        def sockets() -> set[str]:
            links = {os.readlink(each) for each in pathlib.Path(f"/proc/{self.gateway.process.pid}/fd").iterdir()}
            return {link[len("socket:["):-1] for link in links if link.startswith("socket:")}
        with self.stand.connect(False) as connection:
            self.assertEqual(connection.ask("GET", "/public/x").status, 200)  # the upstream's connection is kept
            before = sockets()
        self.restart()
        inherited = before & sockets()
        table = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = {fields[9] for fields in table if fields[3] == "0A"}
        self.assertTrue(inherited)
        self.assertEqual(inherited - listening, set())

    def test_a_successor_that_does_not_come_up_changes_nothing(self):
        whole = self.gateway.config_file.read_bytes()
        failed, process = len(self.events("restart_failed")), self.gateway.process
        try:
            self.gateway.config_file.write_bytes(whole.replace(b'"workers"', b'"wrokers"'))
            process.send_signal(signal.SIGUSR2)
            event = self.until(lambda: self.events("restart_failed")[failed:], "nothing is said of it")[0]
            self.assertIn("this process goes on", event["detail"])
        finally:
            self.gateway.config_file.write_bytes(whole)
        self.assertIsNone(process.poll())
        self.assertEqual(self.ask("GET", "/api/x", token=self.stand.token()).status, 200)
        self.assertEqual(self.gateway.admin_status("/readyz"), 200)
        self.restart()
        self.assertEqual(self.ask("GET", "/api/x", token=self.stand.token()).status, 200)


class InAFile(RestartCase):
    """Only one process may have the store's file: the old one steps back before the new one serves."""

    @classmethod
    def change(cls, stand, configuration, policies) -> None:
        configuration["store"] = {"kind": "embedded", "path": "state.db"}
        configuration["sessions"] = {}

    def test_no_request_fails_and_sessions_go_on(self):
        status, body, _ = self.gateway.admin_request("/sessions", "POST", b'{"subject": "alice"}', {"Content-Type": "application/json"})
        self.assertEqual(status, 201, body)
        session = json.loads(body)
        cookie = f"Cookie: {session['cookie']}={session['session']}"
        self.assertEqual(self.ask("GET", "/api/x", cookie).status, 200)
        self.assert_no_request_fails(3)
        self.assertEqual(self.ask("GET", "/api/x", cookie).status, 200)


class InRedis(RestartCase):
    """Both serve for a while; what was revoked is known to the new one before it does."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.redis = RedisServer("appendonly yes", "appendfsync always")
        cls.addClassCleanup(cls.redis.close)
        super().setUpClass()

    @classmethod
    def change(cls, stand, configuration, policies) -> None:
        configuration["store"] = {"kind": "redis", "redis": {"url": cls.redis.url}}

    def test_N01_a_successor_does_not_take_over_before_it_knows_what_was_revoked(self):
        revoked, good = self.stand.token(jti="stolen"), self.stand.token(jti="kept")
        status, body, _ = self.gateway.admin_request("/revocations", "POST", b'{"token_id": "stolen"}', {"Content-Type": "application/json"})
        self.assertEqual(status, 204, body)
        self.redis.kill()
        before, old = len(self.events("restart_done")), self.gateway.process
        old.send_signal(signal.SIGUSR2)
        self.until(lambda: self.events("restart_begun"), "no successor is started")
        until = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < until:
            self.assertEqual(self.ask("GET", "/api/x", token=revoked).status, 401)
            self.assertEqual(self.ask("GET", "/api/x", token=good).status, 200)
            self.assertEqual(self.gateway.admin_status("/readyz"), 200, "the old process answers for the service")
            time.sleep(0.02)
        self.assertIsNone(old.poll())
        self.assertEqual(self.events("restart_done")[before:], [])
        self.redis.start()
        done = self.until(lambda: self.events("restart_done")[before:], "no successor serves")
        self.gateway.process = Follower(int(done[0]["detail"].split()[1]))
        self.assertEqual(old.wait(20 * PATIENCE), 0)
        self.assertEqual(self.ask("GET", "/api/x", token=revoked).status, 401)
        self.assertEqual(self.ask("GET", "/api/x", token=good).status, 200)


    def test_who_is_told_to_stop_while_a_successor_starts_stops_with_it(self):
        begun, old = len(self.events("restart_begun")), self.gateway.process
        self.redis.kill()  # so that the successor is not ready soon
        try:
            old.send_signal(signal.SIGUSR2)
            event = self.until(lambda: self.events("restart_begun")[begun:], "no successor is started")[0]
            successor = Follower(int(event["detail"].split()[-1]))
            time.sleep(0.5 * PATIENCE)
            self.assertIsNone(successor.poll())
            old.send_signal(signal.SIGTERM)
            self.assertEqual(old.wait(10 * PATIENCE), 0)
            self.assertEqual(successor.wait(10 * PATIENCE), 0)
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(self.gateway.addresses["plain"], 1).close()
        finally:
            self.redis.start()
            if old.poll() is not None:
                self.gateway.start()


class FromSystemd(GatewayCase):
    def test_sockets_of_the_service_manager_are_served(self):
        """LISTEN_FDS: who connects before the gateway runs waits, and is answered."""
        self.gateway.stop()
        sockets = []
        for host, port in (*self.gateway.addresses.values(), self.gateway.admin):
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(64)
            sockets.append(listening)
        with self.stand.connect(tls=False) as early:
            early.send("GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")

            def give() -> None:  # in the child, before it is ours: descriptors from 3, and whose they are
                numbers = [os.dup(each.fileno()) for each in sockets]
                spare = [os.dup2(number, 100 + index) for index, number in enumerate(numbers)]
                for index, number in enumerate(spare):
                    os.dup2(number, 3 + index)
                os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(spare))
            pid = os.fork()
            if pid == 0:
                output = os.open(self.gateway.output_file, os.O_WRONLY | os.O_APPEND)
                os.dup2(output, 1)
                os.dup2(output, 2)
                give()
                os.execv(BINARY, [str(BINARY), "run", "--config", str(self.gateway.config_file)])
            for each in sockets:
                each.close()
            self.gateway.process = Child(pid)
            self.assertEqual(early.read_response().status, 200)
            self.assertEqual(self.ask("GET", "/api/x", token=self.stand.token()).status, 200)


class Child(Follower):
    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


if __name__ == "__main__":
    main()
