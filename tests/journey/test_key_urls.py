"""Hazards E: an issuer whose keys are fetched by URL, with its server up, down, slow, wrong, and under attack."""
import contextlib
import pathlib
import signal
import ssl
import tempfile
import threading
import time
import unittest

from support.certificates import Authority
from support.gateway import PATIENCE, SANITIZED, Stand, main, run_command
from support.http_client import bearer, request
from support.key_server import KeyServer
from support.tokens import Key, claims_of

REMOTE = "https://remote.test"


class KeyUrls(unittest.TestCase):
    maxDiff = None

    def stand(self, server: KeyServer, wait_for: str = "/readyz", ca_file=None, **more) -> Stand:
        def change(stand, configuration, _policies):
            keys = {"jwks_url": server.url} | more
            if ca_file:
                keys["ca_file"] = str(ca_file)
            configuration["issuers"].append({"name": "remote", "issuer": REMOTE, "audiences": ["api"], "algorithms": ["ES256"], "keys": keys})
            configuration["store"] = {"kind": "embedded", "path": str(stand.folder / "sallyport.db")}

        made = Stand(change, wait_for=wait_for)
        self.addCleanup(made.stop)
        return made

    def server(self, *keys, **options) -> KeyServer:
        made = KeyServer(*keys, **options)
        self.addCleanup(made.stop)
        return made

    @classmethod
    def setUpClass(cls):
        cls.old, cls.new, cls.stranger = (Key("ES256", name) for name in ("old", "new", "stranger"))

    @staticmethod
    def token(key: Key, kid: str | None = None) -> str:
        return key.sign(claims_of(issuer=REMOTE), **({"kid": kid} if kid else {}))

    @staticmethod
    def status(stand: Stand, token: str) -> int:
        with stand.connect(tls=False, timeout=30) as connection:
            return connection.ask("GET", "/api/x", bearer(token)).status

    def until(self, condition, seconds: float = 10):
        deadline = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.05)
        self.fail("it did not come about")

    def test_fetches_at_start_and_says_so(self):
        server = self.server(self.old)
        stand = self.stand(server)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)
        self.assertEqual(self.status(stand, stand.token()), 200)
        metrics = stand.gateway.metrics()
        self.assertEqual(metrics['sallyport_keys{issuer="remote"}'], 1)
        self.assertEqual(metrics['sallyport_key_fetches_total{issuer="remote",result="ok"}'], 1)
        self.assertLess(metrics['sallyport_key_set_age_seconds{issuer="remote"}'], 60)
        self.assertEqual(server.count, 1)

    def test_E01_E12_starts_with_the_issuer_down_and_serves_the_others(self):
        server = self.server(self.old)
        server.stop()
        stand = self.stand(server, wait_for="/livez")
        self.until(lambda: b"remote" in stand.gateway.admin_request("/readyz")[1])
        status, body, _ = stand.gateway.admin_request("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b"'remote'", body)
        self.until(lambda: self.status(stand, stand.token()) == 200)
        with stand.connect(tls=False) as connection:
            refused = connection.ask("GET", "/api/x", bearer(self.token(self.old)))
        self.assertEqual(refused.status, 503)
        self.assertIsNotNone(refused.header("Retry-After"))
        server.start()
        self.until(lambda: stand.gateway.admin_status("/readyz") == 200, 20)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)

    def test_E01_a_restart_with_the_issuer_down_serves(self):
        server = self.server(self.old)
        stand = self.stand(server)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)
        stand.gateway.stop()
        server.stop()
        stand.gateway.start()  # and is ready
        self.assertEqual(self.status(stand, self.token(self.old)), 200)
        self.assertEqual(self.status(stand, self.token(self.stranger)), 503)

    def test_E05_a_rotation_under_requests_fails_none(self):
        server = self.server(self.old)
        stand = self.stand(server)
        old, new = self.token(self.old), self.token(self.new)
        current, stop, seen = [old], threading.Event(), []

        def ask():
            with stand.connect(tls=False, timeout=30) as connection:
                while not stop.is_set():
                    seen.append(connection.ask("GET", "/api/x", bearer(current[0])).status)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        server.keys = [self.old, self.new]  # the issuer announces the key, then signs with it
        current[0] = new
        time.sleep(0.5)
        server.keys = [self.new]
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(set(seen), {200}, f"{len(seen)} answers")
        self.assertEqual(server.count, 2, "one fetch at start, one for everybody who came with the new key")

    def test_E01_E02_a_sick_issuer_costs_no_token_whose_key_is_known(self):
        server = self.server(self.old)
        for mode in ("huge", "garbage", 500, 302):
            with self.subTest(mode):
                server.set_mode("keys")
                stand = self.stand(server)
                memory = stand.gateway.resident_kib()
                server.set_mode(mode)
                self.assertEqual(self.status(stand, self.token(self.stranger)), 503)
                self.assertEqual(self.status(stand, self.token(self.old)), 200)
                self.assertEqual(stand.gateway.admin_status("/readyz"), 200)
                if not SANITIZED:  # what was freed waits in their quarantine
                    self.assertLess(stand.gateway.resident_kib() - memory, 32 * 1024)

    def test_E01_a_hanging_issuer_holds_nobody_long(self):
        server = self.server(self.old)
        stand = self.stand(server)
        server.set_mode("hang")
        began = time.monotonic()
        self.assertEqual(self.status(stand, self.token(self.stranger)), 503)
        self.assertLess(time.monotonic() - began, 3 * PATIENCE)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)

    def test_E04_a_storm_of_strangers_causes_one_fetch(self):
        server = self.server(self.old)
        stand = self.stand(server)
        good = self.token(self.old)
        strangers = [self.token(self.stranger, kid=f"stranger-{i}") for i in range(20)]
        self.assertEqual(self.status(stand, good), 200)
        memory, before, stop, seen = stand.gateway.resident_kib(), server.count, threading.Event(), []

        def storm(number: int):
            with stand.connect(tls=False, timeout=30) as connection:
                for turn in range(1_000_000):
                    if stop.is_set():
                        return
                    chosen = strangers[(number + turn) % len(strangers)]
                    seen.append(connection.ask("GET", "/api/x", bearer(chosen)).status)

        threads = [threading.Thread(target=storm, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 4
        with stand.connect(tls=False) as connection:
            while time.monotonic() < deadline:
                self.assertEqual(connection.ask("GET", "/api/x", bearer(good)).status, 200)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertGreater(len(seen), 100)
        self.assertLessEqual(set(seen), {401, 503})
        self.assertIn(401, seen)
        self.assertLessEqual(server.count - before, 1)
        if not SANITIZED:  # what was freed waits in their quarantine
            self.assertLess(stand.gateway.resident_kib() - memory, 32 * 1024)

    def test_E06_who_comes_before_the_first_keys_shares_one_fetch(self):
        server = self.server(self.old)
        server.set_mode("hang")
        stand = self.stand(server, wait_for="/livez")
        self.until(lambda: server.count == 1)
        token, statuses = self.token(self.old), []
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(stand.connect(tls=False, timeout=30)) for _ in range(100)]
            for connection in connections:
                connection.send(request("GET", "/api/x", bearer(token)))
            time.sleep(0.3)
            server.set_mode("keys")
            statuses = [connection.read_response().status for connection in connections]
        self.assertLessEqual(set(statuses), {200, 503})
        self.assertIn(200, statuses)
        self.assertEqual(server.count, 1)
        self.assertEqual(self.status(stand, token), 200)

    def test_E08_reloads_keep_the_keys_and_fetch_nothing(self):
        server = self.server(self.old)
        stand = self.stand(server)
        token, stop, seen = self.token(self.old), threading.Event(), []

        def ask():
            with stand.connect(tls=False, timeout=30) as connection:
                while not stop.is_set():
                    seen.append(connection.ask("GET", "/api/x", bearer(token)).status)

        thread = threading.Thread(target=ask)
        thread.start()
        for number in range(1, 6):
            stand.gateway.process.send_signal(signal.SIGHUP)
            self.until(lambda: stand.gateway.metrics().get('sallyport_config_reload_total{result="accepted"}', 0) >= number)
        server.set_mode("hang")
        asking = threading.Thread(target=self.status, args=(stand, self.token(self.stranger)))
        asking.start()  # a fetch is under way
        self.until(lambda: server.count == 2)
        stand.gateway.process.send_signal(signal.SIGHUP)
        self.until(lambda: stand.gateway.metrics().get('sallyport_config_reload_total{result="accepted"}', 0) >= 6)
        server.set_mode("keys")
        asking.join()
        stop.set()
        thread.join()
        self.assertEqual(set(seen), {200}, f"{len(seen)} answers")
        self.assertEqual(server.count, 2)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)

    def test_E07_clients_that_leave_while_they_wait(self):
        server = self.server(self.old)
        stand = self.stand(server)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)
        files = stand.gateway.open_files()
        server.set_mode("hang")
        for i in range(50):
            with stand.connect(tls=False) as connection:
                connection.send(request("GET", "/api/x", bearer(self.token(self.stranger, kid=f"gone-{i}"))))
        self.until(lambda: stand.gateway.open_files() <= files + 5)
        server.set_mode("keys")
        self.assertEqual(self.status(stand, self.token(self.old)), 200)

    def test_E09_the_issuers_certificate_is_checked(self):
        def context(certificate) -> ssl.SSLContext:
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made.load_cert_chain(certificate.certificate, certificate.key)
            return made

        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        ours, theirs = Authority(path / "ours"), Authority(path / "theirs", name="theirs")
        good = self.server(self.old, tls=context(ours.issue("localhost")))
        stand = self.stand(good, ca_file=ours.certificate)
        self.assertEqual(self.status(stand, self.token(self.old)), 200)
        for name, certificate in {"another authority": theirs.issue("localhost"),
                                  "another name": ours.issue("other", names=("other.test",))}.items():
            with self.subTest(name):
                bad = self.server(self.old, tls=context(certificate))
                stand = self.stand(bad, wait_for="/livez", ca_file=ours.certificate)
                self.until(lambda: stand.gateway.metrics().get('sallyport_key_fetches_total{issuer="remote",result="mismatch"}', 0) >= 1)
                self.assertEqual(stand.gateway.admin_status("/readyz"), 503)
                self.assertEqual(self.status(stand, self.token(self.old)), 503)

    def test_explain_fetches_nothing_and_uses_what_was_kept(self):
        server = self.server(self.old)
        server.stop()
        stand = self.stand(server, wait_for="/livez")

        def explain(key):
            return run_command("explain", "--config", stand.gateway.config_file, "--method", "GET", "--url", "https://localhost/api/x",
                               "--header", bearer(self.token(key)))

        unknown = explain(self.old)
        self.assertIn("could not be checked", unknown.stdout)
        server.start()
        self.until(lambda: stand.gateway.admin_status("/readyz") == 200, 20)
        count = server.count
        known = explain(self.old)
        self.assertIn("decision: allowed", known.stdout, known.stderr)
        self.assertIn("could not be checked", explain(self.stranger).stdout)
        self.assertEqual(server.count, count)


if __name__ == "__main__":
    main()
