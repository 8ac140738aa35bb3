"""Hazards F and G: how a session begins, and what reads as one."""
import json
import os
import subprocess
import time

from support.free_ports import free_port
from support.gateway import PATIENCE, REPOSITORY, SANITIZED, main
from support.http_client import bearer
from support.sessions import (ACCESS, FORM, REFRESH, SESSION, TAGGED_ID, SessionCase, SetCookie, flip, forged_id, form, set_cookies,
                              sign_in_body)
from support.tokens import decode, encode


class SignIn(SessionCase):
    """Establishing sessions, and the cookie that comes of it."""

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        cls.accounts_port = free_port()
        cls.accounts = subprocess.Popen(["python3", str(REPOSITORY / "deploy/demo/accounts_service.py"), "--port", str(cls.accounts_port)],
                                        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
        cls.addClassCleanup(cls.accounts.wait)
        cls.addClassCleanup(cls.accounts.terminate)
        configuration["upstreams"].append({"name": "accounts", "servers": [{"url": f"http://127.0.0.1:{cls.accounts_port}"}]})
        policies["routes"].append({"name": "form", "match": {"path": "/accounts/login", "methods": ["GET", "POST"]}, "access": "public",
                                   "upstream": "accounts", "establish": "session", "rewrite": {"strip_prefix": "/accounts"}})

    def test_a_form_and_a_password_become_a_session(self):
        browser = self.browser(tls=True)
        page = self.eventually(lambda: (answer := browser.ask("GET", "/accounts/login")).status == 200 and answer, "the form", 10)
        self.assertIn(b"<form", page.body)
        for fields in ({"user": "alice", "password": "wrong"}, {"user": "nobody", "password": "wonderland"}, {"user": "alice"}, {}):
            with self.subTest(fields):
                refused = browser.ask("POST", "/accounts/login", FORM, body=form(**fields))
                self.assertIn(refused.status, (400, 401))
                self.assertEqual(refused.all("Set-Cookie"), [])
        answer = browser.ask("POST", "/accounts/login", FORM, body=form(user="alice", password="wonderland"))
        self.assertIn(answer.status, (200, 204, 303))
        self.assertIsNone(answer.header("X-Auth-Establish"))
        self.assert_subject(browser.ask("GET", "/api/x"), "alice")

    def test_F03_the_cookie_is_exactly_as_promised(self):
        for tls in (True, False):
            with self.subTest(tls=tls):
                answer = self.browser(tls=tls).ask("POST", "/login", body=sign_in_body({"sub": "alice"}))
                self.assertEqual(len(answer.all("Set-Cookie")), 1)
                cookie = SetCookie.parse(answer.all("Set-Cookie")[0])
                self.assertEqual(cookie.name, SESSION)
                self.assertRegex(cookie.value, TAGGED_ID)
                lifetime = cookie.attributes.pop("max-age", None)  # it may end with the browser, or with the session
                if lifetime is not None:
                    self.assertTrue(0 < int(lifetime) <= 24 * 3600)
                self.assertEqual(cookie.attributes, {"path": "/", "secure": None, "httponly": None, "samesite": "Strict"})

    def test_the_service_reads_who_it_is_and_never_the_session(self):
        browser = self.sign_in(roles=["reader", "admin"], scope="reports:read", email="alice@example.com")
        browser.cookies["theme"] = "dark"
        self.assert_subject(browser.ask("GET", "/api/x"), "alice")
        seen = self.oracle.last
        self.assertEqual(seen.header("X-Auth-Method"), "session")
        self.assertEqual(seen.header("X-Auth-Roles"), "reader,admin")
        self.assertEqual(seen.header("X-Auth-Scopes"), "reports:read")
        self.assertEqual(seen.header("X-Auth-Issuer"), "https://gateway.test")
        self.assertNotIn(browser.session.encode(), seen.raw_head)
        self.assertEqual(seen.header("Cookie"), "theme=dark")
        for target, status in (("/admin/x", 200), ("/reports/x", 200), ("/users/alice/x", 200), ("/users/bob/x", 403),
                               ("/sessions-only/x", 200), ("/corp/x", 401), ("/edge-only/x", 401), ("/optional/x", 200)):
            with self.subTest(target):
                self.assertEqual(browser.ask("GET", target).status, status)
        self.assertEqual(browser.ask("GET", "/mapped/x").status, 200)
        self.assertEqual(self.oracle.last.header("X-User-Email"), "alice@example.com")
        plain = self.sign_in("bob")
        for target in ("/admin/x", "/reports/x"):
            self.assertEqual(plain.ask("GET", target).status, 403)

    def test_the_answer_of_the_service_goes_on_with_the_cookie_added(self):
        body = sign_in_body({"sub": "alice"}, 201, ["Set-Cookie: theme=dark; Path=/", "X-Other: 1"], "made")
        answer = self.browser().ask("POST", "/login", body=body)
        self.assertEqual((answer.status, answer.body, answer.header("X-Other")), (201, b"made", "1"))
        self.assertEqual(set(set_cookies(answer)), {"theme", SESSION})
        self.assertIsNone(answer.header("X-Auth-Establish"))

    def test_only_a_2xx_of_the_establishing_route_establishes(self):
        for status in (302, 303, 400, 401, 403, 404, 500, 503):
            with self.subTest(status):
                answer = self.browser().ask("POST", "/login", body=sign_in_body({"sub": "alice"}, status))
                self.assertEqual((answer.status, answer.all("Set-Cookie"), answer.all("X-Auth-Establish")), (status, [], []))
        answer = self.browser().ask("POST", "/login", body=sign_in_body(None))
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))

    def test_elsewhere_the_word_of_a_service_does_not_count_and_is_audited(self):
        answer = self.browser().ask("POST", "/login-elsewhere", body=sign_in_body({"sub": "alice"}))
        self.assertEqual((answer.status, answer.all("Set-Cookie"), answer.all("X-Auth-Establish")), (200, [], []))
        self.gateway.wait_for_line("audit", lambda line: line.get("route") == "no-sign-in" and "establish" in json.dumps(line))

    def test_a_client_cannot_say_it_to_the_service(self):
        for name in ("X-Auth-Establish", "x_auth_establish", "X-Auth.Establish"):
            answer = self.get(f"{name}: {encode(b'{}')}", target="/login", method="POST", body=sign_in_body(None))
            self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
            self.assertNotIn("x-auth-establish", self.oracle.last.folded_names())

    def test_what_a_service_says_wrongly_establishes_nobody(self):
        said = {"no base64url": "alice!", "padding": encode(b'{"sub":"alice"}') + "=", "no JSON": encode(b"alice"), "a list": encode(b"[]"),
                "empty": "", "no sub": encode(b"{}"), "sub is a number": encode(b'{"sub":1}'), "sub is empty": encode(b'{"sub":""}'),
                "sub is null": encode(b'{"sub":null}'), "twice sub": encode(b'{"sub":"alice","sub":"bob"}'),
                "256 bytes": encode(json.dumps({"sub": "x" * 256}).encode()), "iss": {"sub": "alice", "iss": "https://corp.test"},
                "exp": {"sub": "alice", "exp": 4102444800}, "aud": {"sub": "alice", "aud": "x"}, "jti": {"sub": "alice", "jti": "1"},
                "sid": {"sub": "alice", "sid": "1"}, "auth_time is text": {"sub": "alice", "auth_time": "now"},
                "too large": {"sub": "alice", "more": "x" * 5000}, "two of them": [{"sub": "alice"}, {"sub": "bob"}]}
        for name, value in said.items():
            with self.subTest(name):
                answer = self.browser().ask("POST", "/login", body=sign_in_body(value))
                self.assertEqual(answer.status, 502, answer.raw_head)
                self.assertEqual((answer.all("Set-Cookie"), answer.all("X-Auth-Establish")), ([], []))
                self.assertNotIn(b"welcome", answer.body)
        self.sign_in("x" * 255)

    def test_G10_a_name_that_could_break_a_line_is_nobody(self):
        for subject in ("alice\r\nX-Evil: 1", "alice\n", "alice\0", "\talice", "alice\x7f"):
            with self.subTest(repr(subject)):
                answer = self.browser().ask("POST", "/login", body=sign_in_body({"sub": subject}))
                self.assertEqual((answer.status, answer.all("Set-Cookie")), (502, []))
        browser = self.sign_in(email="alice@example.com\r\nX-Evil: 1")
        with self.nothing_upstream():
            self.assert_problem(browser.ask("GET", "/mapped/x"), 403)
        self.assert_subject(browser.ask("GET", "/api/x"), "alice")
        self.assertNotIn("x-evil", self.oracle.last.folded_names())

    def test_G06_an_id_from_before_the_login_is_dead_after_it(self):
        planted = forged_id()
        browser = self.browser()
        browser.cookies[SESSION] = planted
        self.sign_in(browser=browser)
        first = browser.session
        self.assertNotEqual(first, planted)
        self.sign_in("alice", browser, roles=["admin"])
        second = browser.session
        self.assertNotEqual(second, first)
        for cookie in (planted, first):
            self.assert_problem(self.with_session(cookie), 401)
        self.assert_subject(self.with_session(second, "/admin/x"), "alice")

    def test_G06_a_thief_cannot_plant_his_own_session(self):
        thief = self.sign_in("mallory")
        victim = thief.copy()
        self.sign_in("alice", victim)
        self.assert_problem(self.with_session(thief.session), 401)
        self.assert_subject(self.with_session(victim.session), "alice")

    def test_F12_a_service_cannot_set_our_cookies(self):
        body = sign_in_body(None, 200, [f"Set-Cookie: {SESSION}={forged_id()}; Path=/; Secure", "Set-Cookie: a=1",
                                        f"Set-Cookie: {ACCESS}=x", f"Set-Cookie: {REFRESH}=y", f"Set-Cookie:   {SESSION} =z",
                                        "Set-Cookie: b=2"])
        for target in ("/login", "/login-elsewhere"):
            with self.subTest(target):
                answer = self.browser().ask("POST", target, body=body)
                self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, ["a=1", "b=2"]))

    def test_the_caller_is_described_to_itself(self):
        browser = self.sign_in(roles=["reader"], scope="a b", email="alice@example.com")
        answer = browser.ask("GET", "/.gateway/session")
        described = json.loads(answer.body)
        self.assertEqual((answer.status, answer.header("Cache-Control")), (200, "no-store"))
        self.assertEqual({name: described[name] for name in ("subject", "issuer", "method", "roles", "scopes")},
                         {"subject": "alice", "issuer": "https://gateway.test", "method": "session", "roles": ["reader"],
                          "scopes": ["a", "b"]})
        self.assertTrue(described["csrf_token"] and described["expires_at"] and described["idle_expires_at"])
        self.assertNotIn("example.com", answer.body.decode())
        self.assertNotIn(browser.session, answer.body.decode())
        with self.nothing_upstream():
            self.assert_problem(self.get(target="/.gateway/session"), 401)
            self.assert_problem(self.with_session(forged_id(), "/.gateway/session"), 401)


class Cookies(SessionCase):
    """What reads as a session cookie, and what does not."""

    def setUp(self):
        super().setUp()
        self.good = self.sign_in().session

    def assert_nobody(self, *lines: str) -> None:
        with self.nothing_upstream():
            self.assert_problem(self.get(*(f"Cookie: {line}" for line in lines)), 401)

    def test_F01_G01_what_is_no_id_is_refused(self):
        self.assert_subject(self.with_session(self.good), "alice")
        for value in ("", "x", self.good[:-1], self.good + "A", "A" * 63, "A" * 64, "A" * 10_000, self.good.replace(self.good[0], "+", 1),
                      self.good[:32] + "/" + self.good[33:], "." * 64, "=" * 64):
            with self.subTest(value[:20]):
                self.assert_nobody(f"{SESSION}={value}")

    def test_F02_two_session_cookies_are_refused_whatever_they_hold(self):
        other = self.sign_in("bob").session
        for values in ([f"{SESSION}={self.good}; {SESSION}={other}"], [f"{SESSION}={self.good}", f"{SESSION}={other}"],
                       [f"{SESSION}={self.good}; {SESSION}={self.good}"], [f"{SESSION}=x; {SESSION}={self.good}"],
                       [f"{SESSION}={self.good}; {SESSION}="]):
            with self.subTest(values), self.nothing_upstream():
                self.assertIn(self.get(*(f"Cookie: {each}" for each in values)).status, (400, 401))

    def test_F04_F05_F06_the_name_is_exact_and_the_value_plain(self):
        for line in (f"__host-session={self.good}", f"__HOST-SESSION={self.good}", f'{SESSION}="{self.good}"', f"x{SESSION}={self.good}",
                     f"{SESSION}x={self.good}", f"{SESSION} ={self.good}", f"$Version=1; ${SESSION}={self.good}", f"session={self.good}",
                     f"={SESSION}={self.good}", f"{SESSION}={self.good},", f"{SESSION}={self.good[:20]} {self.good[20:]}",
                     f"{SESSION}={self.good}\x80"):
            with self.subTest(line[:24]):
                self.assert_nobody(line)
        self.assert_subject(self.get(f"Cookie: a=1; {SESSION}={self.good}; b=2"), "alice")

    def test_F08_counts_and_chunks_that_the_caller_chose_mean_nothing(self):
        for line in (f"{SESSION}_chunks=99999999", f"{SESSION}_chunks=99999999; {SESSION}_0={self.good}", f"{SESSION}.0={self.good[:32]}; "
                     f"{SESSION}.1={self.good[32:]}"):
            began = time.monotonic()
            self.assert_nobody(line)
            self.assertLess(time.monotonic() - began, 1 * PATIENCE)
        self.assert_subject(self.get(f"Cookie: {SESSION}_chunks=99999999; {SESSION}={self.good}"), "alice")

    def test_F10_every_changed_character_is_found(self):
        asked = self.metric("sallyport_store_commands_total")
        for at in range(64):
            self.assertEqual(self.with_session(flip(self.good, at)).status, 401, f"character {at}")
        self.assert_nobody(f"{SESSION}={self.good[32:]}{self.good[:32]}")
        self.assertEqual(self.metric("sallyport_store_commands_total"), asked, "the store was asked about a forged id")
        self.assert_subject(self.with_session(self.good), "alice")

    def test_F11_what_was_made_for_one_use_serves_no_other(self):
        tokens = self.sign_in_with_tokens()
        for cookie, value in {"a refresh token": (SESSION, tokens.refresh), "an access token": (SESSION, tokens.cookies[ACCESS]),
                              "a session": (ACCESS, self.good)}.values():
            with self.subTest(cookie), self.nothing_upstream():
                self.assertEqual(self.get(f"Cookie: {cookie}={value}").status, 401)
        self.assert_invalid_grant(self.refresh_by_form(self.good))
        for target in ("/corp/x", "/edge-only/x"):  # routes that take no sessions
            with self.nothing_upstream():
                self.assert_problem(self.with_session(self.good, target), 401)
        self.assert_subject(self.with_session(self.good), "alice")

    def test_a_bearer_token_decides_before_the_session_and_they_never_mix(self):
        self.assert_subject(self.get(f"Cookie: {SESSION}={self.good}", bearer(self.stand.token(sub="carol"))), "carol")
        with self.nothing_upstream():
            self.assert_problem(self.get(f"Cookie: {SESSION}={self.good}", bearer("bad")), 401)
            self.assert_problem(self.get(f"Cookie: {SESSION}={forged_id()}", bearer(self.stand.token()), target="/sessions-only/x"), 401)
        carol = bearer(self.stand.token(sub="carol"))
        self.assert_subject(self.get(f"Cookie: {SESSION}={self.good}", carol, target="/sessions-only/x"), "alice")

    def test_G09_issued_ids_never_repeat_and_guessing_costs_the_store_nothing(self):
        ids = [decode(json.loads(self.admin("/sessions", {"subject": f"guest-{number}"})[1])["session"]) for number in range(500)]
        self.assertEqual(len(set(ids)), 500)
        ones = sum(bin(byte).count("1") for each in ids for byte in each)
        self.assertTrue(0.48 < ones / (500 * 48 * 8) < 0.52, ones)
        for half in (slice(0, 16), slice(16, 32), slice(32, 48)):
            self.assertEqual(len({each[half] for each in ids}), 500)
        asked, memory = self.metric("sallyport_store_commands_total"), self.gateway.resident_kib()
        with self.stand.connect(False) as connection:
            for _ in range(5000):
                self.assertEqual(connection.ask("GET", "/api/x", f"Cookie: {SESSION}={forged_id()}").status, 401)
        self.assertEqual(self.metric("sallyport_store_commands_total"), asked)
        if not SANITIZED:  # what was freed waits in their quarantine
            self.assertLess(self.gateway.resident_kib() - memory, 8 * 1024)


if __name__ == "__main__":
    main()
