"""What an operator sees: the admin listener, metrics, logs. R04: no secret stands in any of them."""
import json
import pathlib
import re
import signal
import time

from support.gateway import PATIENCE, GatewayCase, main
from support.http_client import bearer, request

LINE_FIELDS = {"ts", "level", "event", "request_id", "trace_id", "listener", "route", "client_ip", "method", "host", "path", "status",
               "bytes_in", "bytes_out", "duration_ms"}


class Admin(GatewayCase):
    def test_liveness_and_readiness(self):
        self.assertEqual(self.gateway.admin_status("/livez"), 200)
        self.assertEqual(self.gateway.admin_status("/readyz"), 200)
        self.assertEqual(self.gateway.admin_status("/nothing"), 404)
        self.assertEqual(self.gateway.admin_request("/livez", "POST", b"")[0], 405)

    def test_the_table_of_descriptors_is_made_for_all_connections(self):
        process = pathlib.Path(f"/proc/{self.gateway.process.pid}")
        size = re.search(r"^FDSize:\s+(\d+)", (process / "status").read_text(), re.M)
        limits = re.search(r"^Max open files\s+(\d+)\s+(\d+)", (process / "limits").read_text(), re.M)
        self.assertEqual(limits[1], limits[2])
        self.assertGreaterEqual(int(size[1]), min(40_000, int(limits[1])))  # two for each of the 20,000 of a listener

    def test_admin_pages_are_not_on_the_public_listeners(self):
        for path in ("/livez", "/readyz", "/metrics", "/routes"):
            with self.nothing_upstream():
                self.assertEqual(self.ask("GET", path).status, 404)

    def test_metrics_count_what_happened(self):
        def find(name: str, **labels: str) -> float:
            total = 0.0
            for text, number in self.gateway.metrics().items():
                if text.split("{")[0] == name and all(f'{key}="{wanted}"' in text for key, wanted in labels.items()):
                    total += number
            return total
        before = {code: find("sallyport_requests_total", route="api", method="GET", code=code) for code in ("200", "401")}
        for _ in range(3):
            self.ask("GET", "/api/secret-path", token=self.stand.token())
        for _ in range(2):
            self.ask("GET", "/api/secret-path", token="bad")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            after = {code: find("sallyport_requests_total", route="api", method="GET", code=code) for code in ("200", "401")}
            if (after["200"] - before["200"], after["401"] - before["401"]) == (3, 2):
                break
            time.sleep(0.1)
        self.assertEqual((after["200"] - before["200"], after["401"] - before["401"]), (3, 2))
        text = self.gateway.admin_request("/metrics")[1].decode()
        for name in ("sallyport_requests_total", "sallyport_request_duration_seconds", "sallyport_upstream_duration_seconds",
                     "sallyport_auth_decisions_total", "sallyport_token_cache_hits_total", "sallyport_token_cache_misses_total",
                     "sallyport_connections", "sallyport_certificate_expiry_timestamp_seconds"):
            self.assertIn(f"# TYPE {name}", text, name)
        unconfigured = re.sub(r'server="[^"]*"', "", text)  # servers are named as they are configured, clients never
        for raw in ("secret-path", "alice", "127.0.0.1"):
            self.assertNotIn(raw, unconfigured)

    def test_unknown_methods_are_one_label(self):
        for method in ("FOO", "BAR"):
            self.exchange(request(method, "/public/x"))
        text = self.gateway.admin_request("/metrics")[1].decode()
        self.assertNotIn("FOO", text)
        self.assertNotIn("BAR", text)


class AdminToken(GatewayCase):
    TOKEN = "an-admin-token-of-some-length"

    @classmethod
    def change(cls, stand, configuration, policies):
        path = stand.folder / "keys/admin.token"
        path.touch(mode=0o600)
        path.write_text(cls.TOKEN + "\n")
        configuration["admin"]["token_file"] = "keys/admin.token"

    def test_everything_but_the_probes_wants_the_token(self):
        for path in ("/metrics", "/routes"):
            for value in (None, "Bearer", "Bearer ", f"Bearer {self.TOKEN}x", f"Bearer {self.TOKEN[:-1]}", f"Basic {self.TOKEN}"):
                with self.subTest(f"{path} {value}"):
                    headers = {"Authorization": value} if value else {}
                    self.assertEqual(self.gateway.admin_request(path, headers=headers)[0], 401)
            self.assertEqual(self.gateway.admin_request(path, headers={"Authorization": f"Bearer {self.TOKEN}"})[0], 200)
        for path in ("/livez", "/readyz"):
            self.assertEqual(self.gateway.admin_status(path), 200)


class Logs(GatewayCase):
    def test_every_request_has_a_line(self):
        response = self.ask("POST", "/api/things?secret=query", "User-Agent: test", token=self.stand.token(), body=b"12345")
        line = self.gateway.wait_for_line("access", lambda each: each.get("request_id") == response.header("X-Request-Id"))
        self.assertEqual(LINE_FIELDS - line.keys(), set())
        for name, expected in {"listener": "tls", "route": "api", "client_ip": "127.0.0.1", "method": "POST", "host": "localhost",
                               "path": "/api/things", "status": 200, "bytes_in": 5, "upstream": "service"}.items():
            self.assertEqual(line.get(name), expected, name)
        self.assertEqual(line["bytes_out"], len(response.body))
        self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        self.assertRegex(line["trace_id"], r"^[0-9a-f]{32}$")
        self.assertNotIn("alice", json.dumps(line))
        self.assertTrue(line["subject_hash"])

    def test_refusals_have_a_line_and_a_reason(self):
        ids = {}
        for name, options in {"no credential": {}, "bad token": {"token": "bad"}, "expired": {"token": self.stand.token(exp=1)},
                              "role": {"token": self.stand.token()}}.items():
            ids[name] = self.ask("GET", "/admin/x", **options).header("X-Request-Id")
        reasons = {}
        for name, request_id in ids.items():
            line = self.gateway.wait_for_line("audit", lambda each, wanted=request_id: each.get("request_id") == wanted)
            reasons[name] = line["reason"]
            self.assertTrue(line["decision"])
            access = self.gateway.wait_for_line("access", lambda each, wanted=request_id: each.get("request_id") == wanted)
            self.assertEqual((access["reason"], access.get("detail", "")), (line["reason"], line["detail"]))
        self.assertEqual(len(set(reasons.values())), 4, reasons)  # the log tells them apart; the answers do not

    def test_J01_malformed_requests_have_a_line(self):
        self.exchange(request("GET", "/public/../admin"))
        self.gateway.wait_for_line("access", lambda each: each.get("status") == 400)

    def test_values_of_the_caller_never_break_a_line(self):
        self.exchange(request("GET", "/public/%22%20x", 'User-Agent: "}\\n{', host="localhost"))
        self.exchange(b'GET /public/"x" HTTP/1.1\r\nHost: localhost\r\n\r\n')
        self.ask("GET", "/public/marker")
        self.gateway.wait_for_line("access", lambda each: each.get("path") == "/public/marker")
        for line in self.gateway.log("access").splitlines()[:-1]:
            json.loads(line)

    def test_R04_no_secret_stands_in_a_log_or_a_metric(self):
        secrets = [self.stand.token(sub="secret-subject", email="secret@example.test") for _ in range(2)]
        good, cookie = secrets
        bad = good[:-6] + "AAAAAA"
        self.ask("GET", "/api/x?access_token=in-the-query", token=good)
        self.ask("GET", "/api/x", f"Cookie: access_token={cookie}; other=secret-cookie")
        self.ask("GET", "/api/x", token=bad)
        self.ask("GET", "/api/x", bearer(good), bearer(bad))
        self.ask("GET", "/admin/x", token=good)
        self.ask("GET", "/public/x", "Authorization: Basic c2VjcmV0OnNlY3JldA==")
        self.ask("GET", "/api/x", f"Authorization: Bearer {good} trailing")
        marker = self.ask("GET", "/public/last").header("X-Request-Id")
        self.gateway.wait_for_line("access", lambda each: each.get("request_id") == marker)
        time.sleep(0.3)
        everything = self.gateway.log("access") + self.gateway.log("audit") + self.gateway.output()
        everything += self.gateway.admin_request("/metrics")[1].decode()
        words = [part for token in (good, cookie, bad) for part in (token, *token.split(".")[1:])]
        words += ["in-the-query", "secret-cookie", "secret-subject", "secret@example.test", "c2VjcmV0OnNlY3JldA",
                  self.stand.shared.secret.hex(), self.stand.authority.key.read_text().splitlines()[1]]
        for word in words:
            self.assertNotIn(word, everything)
        self.assertNotIn("secret=query", everything)

    def test_a_log_that_was_moved_away_is_opened_again_on_sigusr1(self):
        self.ask("GET", "/public/before")
        self.gateway.wait_for_line("access", lambda line: line.get("path") == "/public/before")
        path = self.gateway.folder / "access.log"
        path.rename(path.with_suffix(".old"))
        self.gateway.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 5 * PATIENCE
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.ask("GET", "/public/after")
        self.gateway.wait_for_line("access", lambda line: line.get("path") == "/public/after")

    def test_a_log_that_cannot_be_opened_again_costs_neither_the_log_nor_a_signal(self):
        path = self.gateway.folder / "access.log"
        kept = path.with_suffix(".kept")
        path.rename(kept)
        path.mkdir()  # nothing that could be opened for writing
        try:
            for said in (1, 2):
                self.gateway.process.send_signal(signal.SIGUSR1)
                deadline = time.monotonic() + 5 * PATIENCE
                while self.gateway.output().count('"log_reopen_failed"') < said:
                    self.assertLess(time.monotonic(), deadline, "nothing is said of it, or the signal is not heard any more")
                    time.sleep(0.05)
        finally:
            path.rmdir()
        self.gateway.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + 5 * PATIENCE
        while not path.exists():
            self.assertLess(time.monotonic(), deadline, "it is not opened again")
            time.sleep(0.05)
        self.ask("GET", "/public/later")
        self.gateway.wait_for_line("access", lambda line: line.get("path") == "/public/later")

    def test_the_same_subject_hashes_alike_and_others_differently(self):
        hashes = {}
        for index, subject in enumerate(("alice", "alice", "bob")):
            response = self.ask("GET", "/api/x", token=self.stand.token(sub=subject))
            line = self.gateway.wait_for_line("access", lambda each,
                                              wanted=response.header("X-Request-Id"): each.get("request_id") == wanted)
            hashes[index] = line["subject_hash"]
        self.assertEqual(hashes[0], hashes[1])
        self.assertNotEqual(hashes[0], hashes[2])
        self.assertIsNone(re.search("alice|bob", json.dumps(hashes)))


class Session(GatewayCase):
    def test_the_caller_may_ask_who_he_is(self):
        with self.nothing_upstream():
            response = self.ask("GET", "/.gateway/session", token=self.stand.token(roles=["a"], scope="b c"))
            self.assertEqual(response.status, 200)
            seen = json.loads(response.body)
            self.assertEqual({name: seen.get(name) for name in ("subject", "issuer", "method", "roles", "scopes")},
                             {"subject": "alice", "issuer": "https://issuer.test", "method": "jwt", "roles": ["a"], "scopes": ["b", "c"]})
            self.assertIn("expires_at", seen)
            self.assertEqual(response.header("Cache-Control"), "no-store")
            self.assert_problem(self.ask("GET", "/.gateway/session"), 401)
            self.assert_problem(self.ask("GET", "/.gateway/session", token="bad"), 401)


if __name__ == "__main__":
    main()
