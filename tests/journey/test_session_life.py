"""Hazards F13, G07 and R04: sessions as operators see them, and how they end."""
import json
import threading
import time
import unittest

from support.gateway import PATIENCE, main, run_command
from support.http_client import bearer, request
from support.sessions import SESSION, TAGGED_ID, SessionCase, flip, session_handle, set_cookies, write_secret
from support.tokens import decode


class Operating(SessionCase):
    """Sessions as operators see them, and their end."""

    def sessions_of(self, subject: str) -> list[dict]:
        status, body, _ = self.admin(f"/sessions?subject={subject}")
        self.assertEqual(status, 200, body)
        found = json.loads(body)
        return found["sessions"] if isinstance(found, dict) else found

    def test_an_operator_makes_a_session(self):
        status, body, _ = self.admin("/sessions", {"subject": "robot", "claims": {"roles": ["admin"]}})
        self.assertIn(status, (200, 201), body)
        self.assert_subject(self.with_session(json.loads(body)["session"], "/admin/x"), "robot")
        for content in ({}, {"subject": ""}, {"subject": 1}, {"subject": "a", "claims": []}, {"subject": "a", "more": 1}, b"{", b"[]",
                        {"subject": "a", "claims": {"iss": "x"}}, {"subject": "a\r\n"}):
            with self.subTest(content):
                self.assertEqual(self.admin("/sessions", content)[0], 400)

    def test_the_command_line_makes_one_too(self):
        create = ("session", "create", "--config", self.gateway.config_file)
        made = run_command(*create, "--subject", "tina", "--claims", '{"roles":["admin"]}')
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertRegex(made.stdout.strip(), f"^{TAGGED_ID.pattern}$")
        self.assert_subject(self.with_session(made.stdout.strip(), "/admin/x"), "tina")
        for arguments in (("--subject", ""), ("--subject", "a", "--claims", "[]"), ("--subject", "a", "--claims", "{")):
            self.assertNotEqual(run_command(*create, *arguments).returncode, 0)

    def test_the_sessions_of_a_subject_can_be_listed_without_opening_them(self):
        cookies = [self.sign_in("lister").session for _ in range(3)]
        self.sign_in("somebody-else")
        text = json.dumps(self.sessions_of("lister"))
        for cookie in cookies:
            self.assertIn(session_handle(cookie), text)
            self.assertNotIn(cookie, text)
            self.assertNotIn(cookie[:40], text)
        self.assertEqual(len(self.sessions_of("lister")), 3)
        self.assertEqual(self.sessions_of("nobody-at-all"), [])
        self.assertEqual(self.with_session(session_handle(cookies[0])).status, 401)
        self.assertEqual(self.admin("/sessions")[0], 400)

    def test_F13_logout_ends_the_session_and_clears_the_browser(self):
        browser = self.sign_in()
        old = browser.session
        forced = self.get(f"Cookie: {SESSION}={old}", "Sec-Fetch-Site: cross-site", target="/.gateway/logout", method="POST")
        self.assert_problem(forced, 403)
        self.assert_subject(self.with_session(old), "alice")
        answer = browser.ask("POST", "/.gateway/logout")
        self.assertEqual(answer.status, 204)
        cleared = set_cookies(answer)[SESSION]
        self.assertTrue(cleared.clears and cleared.value == "")
        self.assertEqual({name: cleared.attributes.get(name, "") for name in ("path", "secure", "httponly")},
                         {"path": "/", "secure": None, "httponly": None})
        self.assertNotIn("domain", cleared.attributes)
        self.assertIn('"cookies"', answer.header("Clear-Site-Data"))
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        for target in ("/api/x", "/.gateway/session", "/sessions-only/x"):
            self.assert_problem(self.with_session(old, target), 401)

    def test_F13_logout_everywhere_ends_what_the_subject_has(self):
        one, two, bystander = self.sign_in("wanda"), self.sign_in("wanda"), self.sign_in("bystander")
        tokens, pair = self.sign_in_with_tokens("wanda"), self.token_pair("wanda")
        foreign = self.stand.token(sub="wanda")
        self.assert_subject(self.with_token(foreign), "wanda")
        self.assertEqual(one.ask("POST", "/.gateway/logout?everywhere=true").status, 204)
        self.assertEqual(two.ask("GET", "/api/x").status, 401)
        self.assertEqual(tokens.ask("GET", "/api/x").status, 401)
        self.assertEqual(self.with_token(pair["access_token"]).status, 401)
        self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"]))
        self.assertEqual(self.with_token(foreign).status, 401)
        self.assert_subject(bystander.ask("GET", "/api/x"), "bystander")
        self.assertEqual(self.sessions_of("wanda"), [])
        self.assert_subject(self.sign_in("wanda").ask("GET", "/api/x"), "wanda")  # and at once somebody again
        self.assert_subject(self.with_token(self.token_pair("wanda")["access_token"]), "wanda")

    def test_only_post_logs_out(self):
        browser = self.sign_in()
        for method in ("GET", "PUT", "DELETE"):
            answer = browser.ask(method, "/.gateway/logout")
            self.assertEqual((answer.status, answer.header("Allow")), (405, "POST"))
        self.assert_subject(browser.ask("GET", "/api/x"), "alice")
        self.assertIn(self.get(target="/.gateway/logout", method="POST").status, (204, 401))

    def test_sessions_outlive_the_process(self):
        cookie, ended = self.sign_in("survivor").session, self.sign_in("survivor")
        old = ended.session
        self.assertEqual(ended.ask("POST", "/.gateway/logout").status, 204)
        for how in ("SIGTERM", "kill -9"):
            with self.subTest(how):
                if how == "SIGTERM":
                    self.gateway.stop()
                else:
                    self.gateway.kill()
                self.gateway.start()
                self.assert_subject(self.with_session(cookie), "survivor")
                self.assert_problem(self.with_session(old), 401)

    def test_F10_the_secret_behind_the_tags_can_be_replaced(self):
        configuration = json.loads(self.gateway.config_file.read_text())

        def restart(*names: str) -> None:
            for name in names:
                if not (self.stand.folder / f"keys/{name}").exists():
                    write_secret(self.stand.folder / f"keys/{name}", name * 8)
            configuration["sessions"]["secret_file"] = [f"keys/{name}" for name in names]
            self.gateway.config_file.write_text(json.dumps(configuration))
            self.gateway.stop()
            self.gateway.start()
        before = self.gateway.config_file.read_text()
        try:
            restart("old-secret")
            old, pair = self.sign_in("rotated").session, self.token_pair("rotated")
            restart("new-secret", "old-secret")
            new = self.sign_in("rotated").session
            self.assert_subject(self.with_session(old), "rotated")
            pair = self.refreshed(pair["refresh_token"])
            restart("new-secret")
            self.assertEqual(self.with_session(old).status, 401)
            self.assert_subject(self.with_session(new), "rotated")
            self.refreshed(pair["refresh_token"])
        finally:
            self.gateway.config_file.write_text(before)
            self.gateway.stop()
            self.gateway.start()

    def test_R04_no_id_is_in_any_log_metric_or_file(self):
        browser = self.sign_in("secretive")
        browser.ask("GET", "/api/x")
        browser.ask("GET", "/.gateway/session")
        self.with_session(flip(browser.session, 3))
        self.get(target=f"/api/x?session={browser.session}")
        text = self.gateway.output() + self.gateway.log("access") + self.gateway.log("audit") + self.admin("/metrics")[1].decode()
        self.assertNotIn(browser.session, text)
        self.assertNotIn(browser.session[:43], text)
        stored = b"".join(path.read_bytes() for path in self.stand.folder.glob("sallyport.db*"))
        self.assertTrue(stored)
        for secret in (browser.session.encode(), decode(browser.session), decode(browser.session)[:32]):
            self.assertNotIn(secret, stored)


class Accounting(SessionCase):
    """Each answer has its reason, and the numbers add up."""

    def test_R10_every_decision_is_counted_under_its_reason(self):
        browser = self.sign_in("counted")
        line = browser.cookie_line()[0]
        asked = [([line], "/api/x", "GET", 200), ([line], "/api/x", "GET", 200), ([], "/api/x", "GET", 401),
                 ([f"Cookie: {SESSION}={flip(browser.session, 9)}"], "/api/x", "GET", 401),
                 ([f"Cookie: {SESSION}=x"], "/api/x", "GET", 401),
                 ([line, "Sec-Fetch-Site: cross-site"], "/api/x", "POST", 403), ([line], "/admin/x", "GET", 403),
                 ([line, line], "/api/x", "GET", 400), ([line], "/reports/x", "GET", 403)]

        def decisions() -> dict:
            return {name: value for name, value in self.gateway.metrics().items() if name.startswith("sallyport_auth_decisions_total")
                    and ('route="api"' in name or 'route="admin"' in name or 'route="reports"' in name)}
        before = decisions()
        for lines, target, method, status in asked:
            self.assertEqual(self.get(*lines, target=target, method=method, body=b"" if method == "POST" else None).status, status)
        self.eventually(lambda: sum(decisions().values()) - sum(before.values()) >= len(asked), "the count")
        counted = {name: value - before.get(name, 0) for name, value in decisions().items() if value != before.get(name, 0)}
        self.assertEqual(sum(counted.values()), len(asked), counted)
        for name, value in counted.items():
            if 'result="allowed"' in name:
                self.assertEqual(value, 2, counted)
            else:
                self.assertNotIn('reason=""', name)
        reasons = {name.split('reason="')[1].split('"')[0] for name in counted if 'result="allowed"' not in name}
        self.assertGreaterEqual(len(reasons), 4, counted)


class Timeouts(SessionCase):
    sessions = {"idle_timeout": "2s", "absolute_timeout": "5s"}

    @unittest.skipIf(PATIENCE > 1, "two seconds are not enough under a sanitizer; unit tests turn the clock by hand")
    def test_G07_idle_and_absolute_ends_are_kept(self):
        before = time.monotonic()
        busy = self.sign_in("busy")
        after, last_use = time.monotonic(), time.monotonic()
        while True:
            sent = time.monotonic()
            self.assertLess(sent - after, 5.3, "use stretched a session beyond its absolute end")
            if busy.ask("GET", "/api/x").status == 401:
                break
            last_use = sent
            time.sleep(0.05)
        refused = time.monotonic()
        self.assertTrue(refused - before > 4.9 or refused - last_use > 1.9, "a session that was used ended early")
        idle = self.sign_in("idle")
        self.assert_subject(idle.ask("GET", "/api/x"), "idle")
        time.sleep(2.2)
        self.assertEqual(idle.ask("GET", "/api/x").status, 401, "an idle session lived on")

    def seconds_of_stream(self, line: str, ages: dict, name: str) -> None:
        with self.stand.connect(False, timeout=20) as connection:
            connection.send(request("GET", "/api/stream", line))
            self.assertEqual(connection.read_head().status, 200)
            began = time.monotonic()
            while connection.receive():
                pass
            ages[name] = time.monotonic() - began

    @unittest.skipIf(PATIENCE > 1, "two seconds are not enough under a sanitizer; unit tests turn the clock by hand")
    def test_long_answers_end_with_the_session_and_no_sooner(self):
        used, idle, ages = self.sign_in("used"), self.sign_in("idle"), {}
        lines = {"used": used.cookie_line()[0], "idle": idle.cookie_line()[0],
                 "token": bearer(self.stand.token("https://shared.test", sub="short", lifetime=-2))}  # within the tolerance for 3 s more
        streams = [threading.Thread(target=self.seconds_of_stream, args=(line, ages, name)) for name, line in lines.items()]
        for stream in streams:
            stream.start()
        for _ in range(8):
            time.sleep(0.5)
            self.assert_subject(used.ask("GET", "/api/x"), "used")
        for stream in streams:
            stream.join()
        self.assertTrue(1.5 < ages["idle"] < 3.2, ages)  # an answer that goes on is no use of the session
        self.assertTrue(4.5 < ages["used"] < 6.2, ages)
        self.assertTrue(1.5 < ages["token"] < 4.2, ages)

    @unittest.skipIf(PATIENCE > 1, "two seconds are not enough under a sanitizer; unit tests turn the clock by hand")
    def test_G07_a_use_keeps_the_session_also_for_the_store(self):
        browser = self.sign_in("kept")
        for _ in range(4):
            time.sleep(0.8)
            self.assert_subject(browser.ask("GET", "/api/x"), "kept")
        self.gateway.stop()
        self.gateway.start()  # nothing remembered: the store's own word now
        self.assert_subject(browser.ask("GET", "/api/x"), "kept")


if __name__ == "__main__":
    main()
