"""Hazard F14: unsafe requests that a cookie authenticated, and who made the browser send them; every rule of authorize/csrf.hpp."""
import json

from support.gateway import main
from support.http_client import bearer
from support.sessions import SESSION, SessionCase, flip, set_cookies, sign_in_body

ALLOWED = "https://app.test"


class Csrf(SessionCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        policies["routes"].append({"name": "allowing", "match": {"path": "/allowing/**"}, "access": "authenticated", "upstream": "service",
                                   "csrf": {"allowed_origins": [ALLOWED]}})
        policies["routes"].append({"name": "dav-mine", "match": {"path": "/dav-mine/**", "methods": ["PROPFIND", "GET"]},
                                   "access": "authenticated", "upstream": "service"})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cookie = f"Cookie: {SESSION}={cls.sign_in(cls()).session}"

    def post(self, *lines: str, target: str = "/api/x", tls: bool = True, host: str = "localhost", method: str = "POST"):
        return self.ask(method, target, self.cookie, *lines, body=b"x", tls=tls, host=host)

    def assert_taken(self, *lines: str, **options) -> None:
        with self.subTest("taken", lines=lines, **options):
            before = self.oracle.count
            self.assertEqual(self.post(*lines, **options).status, 200)
            self.assertEqual(self.oracle.count, before + 1)

    def assert_refused(self, *lines: str, **options) -> None:
        with self.subTest("refused", lines=lines, **options), self.nothing_upstream():
            answer = self.post(*lines, **options)
            self.assert_problem(answer, 403)
            self.assertEqual(answer.all("Set-Cookie"), [])

    def token(self, cookie: str | None = None) -> str:
        return json.loads(self.ask("GET", "/.gateway/session", cookie or self.cookie).body)["csrf_token"]

    def test_F14_sec_fetch_site_decides_where_it_stands(self):
        for value in ("same-origin", "none"):
            self.assert_taken(f"Sec-Fetch-Site: {value}")
            self.assert_taken(f"Sec-Fetch-Site: {value}", tls=False)
            self.assert_taken(f"Sec-Fetch-Site: {value}", "Origin: https://evil.test")  # browsers never say both; the first decides
        for value in ("cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site", "same-origin ;x", "anything"):
            self.assert_refused(f"Sec-Fetch-Site: {value}")
            self.assert_refused(f"Sec-Fetch-Site: {value}", f"X-CSRF-Token: {self.token()}")
        self.assert_refused("Sec-Fetch-Site: cross-site", "Origin: https://localhost")
        for other in ("same-origin", "cross-site"):
            self.assert_refused("Sec-Fetch-Site: same-origin", f"Sec-Fetch-Site: {other}")

    def test_F14_then_origin_decides(self):
        port = self.stand.tls_port
        self.assert_taken("Origin: https://localhost")
        self.assert_taken(f"Origin: https://localhost:{port}", host=f"localhost:{port}")
        self.assert_taken("Origin: https://localhost", host="localhost:443")
        self.assert_taken("Origin: https://localhost:443")
        for origin in ("https://evil.test", "null", "", "localhost", "http://localhost", f"https://localhost:{port}",
                       "https://localhost:8443", "https://localhost.evil.test", "https://evil.test/https://localhost",
                       "https://evil.test#https://localhost",
                       "https://localhost@evil.test", "https://local", "https://localhost https://localhost", "https://localhost/",
                       "https://[::1]", "javascript:0", "https://", "://localhost"):
            self.assert_refused(f"Origin: {origin}")
            self.assert_refused(f"Origin: {origin}", f"X-CSRF-Token: {self.token()}")
        self.assert_refused("Origin: https://localhost", "Origin: https://localhost")
        self.assert_refused("Origin: https://localhost", "Origin: https://evil.test")

    def test_F14_behind_a_load_balancer_either_scheme_is_ours(self):
        for origin in ("https://localhost", "http://localhost"):
            self.assert_taken(f"Origin: {origin}", tls=False)
        for origin in ("https://evil.test", "null", "ftp://localhost"):
            self.assert_refused(f"Origin: {origin}", tls=False)

    def test_F14_allowed_origins_count_on_their_route_alone(self):
        for lines in ((f"Origin: {ALLOWED}",), ("Sec-Fetch-Site: cross-site", f"Origin: {ALLOWED}"),
                      ("Sec-Fetch-Site: same-site", f"Origin: {ALLOWED}")):
            self.assert_taken(*lines, target="/allowing/x")
            self.assert_refused(*lines)
        for lines in (("Sec-Fetch-Site: cross-site",), ("Origin: https://app.test.evil",), ("Origin: http://app.test",),
                      ("Origin: https://app.test:444",), (f"Origin: {ALLOWED}", "Origin: https://evil.test"),
                      ("Sec-Fetch-Site: cross-site", "Origin: https://evil.test")):
            self.assert_refused(*lines, target="/allowing/x")

    def test_F14_where_neither_is_sent_the_token_of_the_session_decides(self):
        token = self.token()
        self.assert_refused()
        self.assert_taken(f"X-CSRF-Token: {token}")
        self.assert_taken(f"X-CSRF-Token: {token}", tls=False)
        self.assert_taken(f"x-csrf-token: {self.token()}")
        another = f"Cookie: {SESSION}={self.sign_in('bob').session}"
        for value in ("", "x", token[:-1], token + "A", flip(token, 0), flip(token, 20), self.token(another), f"{token}, {token}",
                      f'"{token}"'):
            self.assert_refused(f"X-CSRF-Token: {value}")
        self.assert_refused(f"X-CSRF-Token: {token}", f"X-CSRF-Token: {token}")
        self.assert_refused("X-CSRF-Token: x", f"Cookie-CSRF: {token}")

    def test_F14_every_method_that_may_change_something_is_checked(self):
        for method in ("PUT", "PATCH", "DELETE", "POST"):
            self.assert_refused(method=method)
            self.assert_taken("Sec-Fetch-Site: same-origin", method=method)
        self.assert_refused(target="/dav-mine/x", method="PROPFIND")
        for method in ("GET", "HEAD", "OPTIONS"):
            for lines in ((), ("Sec-Fetch-Site: cross-site",), ("Origin: null",)):
                with self.subTest(method, lines=lines):
                    self.assertEqual(self.ask(method, "/api/x", self.cookie, *lines).status, 200)

    def test_F14_only_cookies_are_checked(self):
        evil = ("Sec-Fetch-Site: cross-site", "Origin: https://evil.test")
        token = bearer(self.stand.token())
        self.assertEqual(self.ask("POST", "/api/x", token, *evil, body=b"x").status, 200)
        self.assertEqual(self.ask("POST", "/api/x", token, self.cookie, *evil, body=b"x").status, 200)  # the token decided
        self.assertEqual(self.ask("POST", "/public/x", self.cookie, *evil, body=b"x").status, 200)
        self.assertEqual(self.ask("POST", "/optional/x", *evil, body=b"x").status, 200)
        with self.nothing_upstream():
            self.assert_problem(self.ask("POST", "/optional/x", self.cookie, *evil, body=b"x"), 403)
            self.assert_problem(self.ask("POST", "/api/x", f"Cookie: access_token={self.stand.token()}", *evil, body=b"x"), 403)
        pair = self.token_pair()
        self.assertEqual(self.ask("POST", "/api/x", bearer(pair["access_token"]), *evil, body=b"x").status, 200)
        with self.nothing_upstream():
            self.assert_problem(self.ask("POST", "/api/x", f"Cookie: __Host-access={pair['access_token']}", *evil, body=b"x"), 403)

    def test_F14_a_route_may_switch_it_off(self):
        for lines in ((), ("Sec-Fetch-Site: cross-site",), ("Origin: null",)):
            self.assert_taken(*lines, target="/unchecked/x")

    def test_F14_our_own_endpoints_are_checked(self):
        browser = self.sign_in_with_tokens()
        browser.speaks = False
        refresh = browser.refresh
        for target in ("/.gateway/logout", "/.gateway/refresh", "/.gateway/logout?everywhere=true"):
            for lines in ((), ("Sec-Fetch-Site: cross-site",), ("Origin: https://evil.test",), ("X-CSRF-Token: x",)):
                with self.subTest(target, lines=lines):
                    answer = browser.ask("POST", target, *lines)
                    self.assertEqual((answer.status, set_cookies(answer)), (403, {}))
        self.assertEqual(browser.refresh, refresh)
        described = browser.ask("GET", "/.gateway/session")
        token = json.loads(described.body).get("csrf_token")
        self.assertEqual(browser.ask("POST", "/.gateway/refresh", "Origin: https://localhost").status, 204)
        self.assertNotEqual(browser.refresh, refresh)
        if token:
            self.assertEqual(browser.ask("POST", "/.gateway/refresh", f"X-CSRF-Token: {token}").status, 204)
        self.assertEqual(browser.ask("POST", "/.gateway/logout", "Sec-Fetch-Site: same-origin").status, 204)

    def test_F14_no_foreign_page_signs_its_visitor_in(self):
        for target in ("/login", "/token"):
            for lines in (("Sec-Fetch-Site: cross-site",), ("Sec-Fetch-Site: same-site",), ("Origin: https://evil.test",),
                          ("Origin: null",)):
                with self.subTest(target, lines=lines), self.nothing_upstream():
                    answer = self.ask("POST", target, *lines, body=sign_in_body({"sub": "mallory"}))
                    self.assertEqual((answer.status, answer.all("Set-Cookie")), (403, []))
            for lines in ((), ("Sec-Fetch-Site: same-origin",), ("Origin: https://localhost",)):
                with self.subTest(target, lines=lines):
                    self.assertEqual(self.ask("POST", target, *lines, body=sign_in_body({"sub": "alice"})).status, 200)

    def test_F14_the_refusal_is_audited_with_its_reason(self):
        self.post("Sec-Fetch-Site: cross-site", target="/api/audited")
        line = self.gateway.wait_for_line("audit", lambda each: each.get("path") == "/api/audited")
        self.assertIn("csrf", json.dumps(line))


if __name__ == "__main__":
    main()
