"""Sessions that an application wrote: the real express-session with connect-redis signs in and destroys, and the gateway follows."""
import json
import time
import unittest

from support.express_application import ExpressApplication, why_not_installed
from support.gateway import PATIENCE, main
from support.http_client import Connection
from support.sessions import SessionCase, foreign_section, set_cookies

OLD, NEW = "an-old-secret-of-the-application", "the-new-secret-of-the-application"
REASON = why_not_installed()


@unittest.skipIf(REASON, REASON)
class ExpressSessions(SessionCase):
    redis_options, replicas = [], 1

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        cls.application = ExpressApplication(cls.redis, [NEW])
        cls.addClassCleanup(cls.application.close)
        configuration["sessions"]["foreign"] = foreign_section(stand, NEW, OLD)
        configuration["upstreams"].append({"name": "application", "servers": [{"url": cls.application.url}]})
        policies["routes"].append({"name": "application", "match": {"path": "/app/**"}, "access": "public", "upstream": "application",
                                   "rewrite": {"strip_prefix": "/app"}})

    def call(self, method: str, path: str, cookie: str | None = None, content=None, port: int | None = None):
        """The application itself; with `port` another one."""
        lines = [f"Cookie: connect.sid={cookie}"] if cookie else []
        if content is not None:
            lines.append("Content-Type: application/json")
        with Connection(("127.0.0.1", port or self.application.port)) as connection:
            return connection.ask(method, path, *lines, body=None if content is None else json.dumps(content).encode())

    def sign_in_there(self, user="42", port: int | None = None, **more) -> str:
        """The cookie's value, as the application set it."""
        answer = self.call("POST", "/sign-in", content={"id": user} | more, port=port)
        self.assertEqual(answer.status, 200, answer.body)
        return set_cookies(answer)["connect.sid"].value

    def present(self, cookie: str, target: str = "/api/x", gateway=None):
        return self.get(f"Cookie: connect.sid={cookie}", target=target, gateway=gateway)

    def test_the_application_signs_in_and_the_gateway_knows_who_it_is(self):
        cookie = self.sign_in_there("alice", roles=["reader", "admin"], email="alice@example.com")
        for gateway in self.stand.gateways:
            self.assert_subject(self.present(cookie, "/admin/x", gateway), "alice")
            self.assertEqual(self.oracle.last.header("X-Auth-Method"), "session")
            self.assertEqual(self.oracle.last.header("X-Auth-Roles"), "reader,admin")
            self.assertEqual(self.present(cookie, "/mapped/x", gateway).status, 200)
            self.assertEqual(self.oracle.last.header("X-User-Email"), "alice@example.com")
        self.assert_subject(self.present(self.sign_in_there(42)), "42")  # a number is printed
        described = json.loads(self.present(cookie, "/.gateway/session").body)
        self.assertEqual((described["subject"], described["method"]), ("alice", "session"))

    def test_the_application_still_gets_its_cookie_through_the_gateway(self):
        answer = self.get("Content-Type: application/json", target="/app/sign-in", method="POST", body=b'{"id":"through"}')
        self.assertEqual(answer.status, 200, answer.body)
        cookie = set_cookies(answer)["connect.sid"].value
        self.assertEqual(json.loads(self.present(cookie, "/app/me").body), {"user": {"id": "through"}})
        self.assert_subject(self.present(cookie), "through")

    def test_destroyed_is_refused_within_ten_milliseconds_on_both(self):
        times, usual = [], []  # until the first refusal; of a plain request, for a machine that is busy with other things
        with Connection(self.stand.gateways[0].addresses["plain"]) as one, Connection(self.stand.gateways[1].addresses["plain"]) as two:
            for number in range(20):
                cookie = self.sign_in_there(f"leaver-{number}")
                line = f"Cookie: connect.sid={cookie}"
                for connection in (one, two, one, two):
                    began = time.monotonic()
                    self.assertEqual(connection.ask("GET", "/api/x", line).status, 200)
                    usual.append(time.monotonic() - began)
                self.assertEqual(self.call("POST", "/sign-out", cookie).status, 204)
                for connection in (one, two):
                    began = time.monotonic()
                    while connection.ask("GET", "/api/x", line).status == 200:
                        self.assertLess(time.monotonic() - began, 1, "a destroyed session is still served")
                    times.append(time.monotonic() - began)
                    self.assertEqual(connection.ask("GET", "/api/x", line).status, 401)
        times.sort()
        usual.sort()
        print(f"first refusal after the application's answer: median {times[20] * 1000:.2f} ms, longest {times[-1] * 1000:.2f} ms",
              flush=True)
        self.assertLess(times[len(times) * 9 // 10], 0.010 * PATIENCE + 2 * usual[len(usual) * 9 // 10])

    def test_G11_what_the_application_changes_is_seen_at_once_on_both(self):
        cookie = self.sign_in_there("rising", roles=["reader"])
        for gateway in self.stand.gateways:
            for _ in range(3):
                self.assertEqual(self.present(cookie, "/admin/x", gateway).status, 403)
        self.assertEqual(self.call("POST", "/role", cookie, {"roles": ["admin"]}).status, 200)
        for gateway in self.stand.gateways:
            self.eventually(lambda: self.present(cookie, "/admin/x", gateway).status == 200, "the new role", 0.2)
        self.call("POST", "/role", cookie, {"roles": []})
        for gateway in self.stand.gateways:
            self.eventually(lambda: self.present(cookie, "/admin/x", gateway).status == 403, "the lost role", 0.2)

    def test_secrets_that_were_rotated_count_and_others_do_not(self):
        for secret, status in ((OLD, 200), ("a-secret-of-somebody-else", 401)):
            with self.subTest(secret):
                application = ExpressApplication(self.redis, [secret])
                self.addCleanup(application.close)
                self.assertEqual(self.present(self.sign_in_there("rotated", application.port)).status, status)

    def test_the_end_that_the_cookie_names_is_honoured(self):
        application = ExpressApplication(self.redis, [NEW], max_age=1500)
        self.addCleanup(application.close)
        cookie = self.sign_in_there("short", application.port)
        self.assert_subject(self.present(cookie), "short")
        time.sleep(1.7)
        self.assertEqual(self.present(cookie).status, 401)

    def test_tampered_signatures_are_refused(self):
        cookie = self.sign_in_there("careful")
        self.assert_subject(self.present(cookie), "careful")
        self.assertTrue(cookie.startswith("s%3A"), cookie)
        for changed in (cookie[:-1], cookie[:-2] + ("A" if cookie[-2] != "A" else "B") + cookie[-1], cookie + "A",
                        cookie.replace("s%3A", ""), cookie.replace("s%3A", "j%3A"), cookie.split(".")[0], cookie.split(".")[0] + ".",
                        cookie.replace("s%3A", "s%3Ax"),
                        cookie[:10] + ("x" if cookie[10] != "x" else "y") + cookie[11:]):
            with self.subTest(changed[-12:]), self.nothing_upstream():
                self.assertEqual(self.present(changed).status, 401)

    def test_a_session_without_a_user_is_nobody(self):
        with self.nothing_upstream():
            self.assertEqual(self.present(self.sign_in_there(None)).status, 401)
            self.assertEqual(self.present(self.sign_in_there("")).status, 401)


if __name__ == "__main__":
    main()
