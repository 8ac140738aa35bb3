"""Hazards F10, G04, G05 and G10 for sessions that another application wrote, in records that no application would write."""
import datetime
import json
import time
import urllib.parse

from support.gateway import main
from support.http_client import bearer
from support.sessions import SESSION, SessionCase, express_cookie, foreign_section

SECRET, OLD = "the-secret-of-the-application", "the-secret-before-that"


def moment(seconds_from_now: float) -> str:
    """As JavaScript's toISOString() has it."""
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ForeignSessions(SessionCase):
    redis_options = []
    count = 0

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        configuration["sessions"]["foreign"] = foreign_section(stand, SECRET, OLD)

    def write(self, record, session_id: str | None = None, secret: str = SECRET, seconds: int | None = 60) -> str:
        """The cookie of a record; text and bytes are written as they are."""
        type(self).count += 1
        session_id = session_id or f"record-number-{self.count}"
        value = record if isinstance(record, (bytes, str)) else json.dumps(record)
        self.redis.command("SET", f"sess:{session_id}", value, *(["EX", seconds] if seconds else []))
        return express_cookie(session_id, secret)

    def present(self, cookie: str, target: str = "/api/x", *lines: str):
        return self.get(f"Cookie: connect.sid={cookie}", *lines, target=target)

    def user(self, subject="alice", cookie=None, **more) -> dict:
        return {"cookie": cookie or {"originalMaxAge": None, "expires": None}, "user": {"id": subject} | more}

    def test_either_secret_signs_and_no_other(self):
        for secret, status in ((SECRET, 200), (OLD, 200), ("another-secret", 401), ("", 401)):
            with self.subTest(secret):
                self.assertEqual(self.present(self.write(self.user(), secret=secret)).status, status)

    def test_the_cookies_end_is_kept_to_the_moment(self):
        for name, cookie, status in (("none", {}, 200), ("null", {"expires": None}, 200), ("later", {"expires": moment(30)}, 200),
                                     ("past", {"expires": moment(-1)}, 401), ("text", {"expires": "tomorrow"}, 401),
                                     ("number", {"expires": 4102444800}, 401), ("true", {"expires": True}, 401),
                                     ("empty", {"expires": ""}, 401)):
            with self.subTest(name):
                self.assertEqual(self.present(self.write(self.user(cookie=cookie))).status, status)
        cookie = self.write(self.user(cookie={"expires": moment(1.2)}))
        self.assertEqual(self.present(cookie).status, 200)
        time.sleep(1.3)
        self.assertEqual(self.present(cookie).status, 401, "remembered beyond its end")

    def test_the_end_of_the_key_is_the_end(self):
        cookie = self.write(self.user(), seconds=1)
        self.assertEqual(self.present(cookie).status, 200)
        time.sleep(1.2)
        self.assertEqual(self.present(cookie).status, 401)
        self.assertEqual(self.present(self.write(self.user(), seconds=None)).status, 200)

    def test_G05_records_that_name_nobody(self):
        for name, record in {"empty": "", "half": '{"cookie":{"exp', "a list": [], "null": "null", "no user": {"cookie": {}},
                             "no id": {"cookie": {}, "user": {}}, "id null": self.user(None), "id empty": self.user(""),
                             "id an object": self.user({"a": 1}), "id a list": self.user(["alice"]), "id a fraction": self.user(1.5),
                             "id true": self.user(True), "twice": '{"user":{"id":"alice","id":"root"}}',
                             "bytes": b"\xff\xfe\x00", "deep": "[" * 5000 + "]" * 5000}.items():
            with self.subTest(name), self.nothing_upstream():
                self.assertIn(self.present(self.write(record)).status, (401, 503))
        self.assert_subject(self.present(self.write(self.user(-7))), "-7")

    def test_G04_keys_of_another_type(self):
        cookie = express_cookie("of-another-type", SECRET)
        self.redis.command("RPUSH", "sess:of-another-type", "x")
        self.assertIn(self.present(cookie).status, (401, 503))
        self.assertEqual(self.present(self.write(self.user())).status, 200)

    def test_G10_names_that_could_break_a_line(self):
        for subject in ("alice\r\nX-Evil: 1", "alice\0"):
            with self.nothing_upstream():
                self.assertIn(self.present(self.write(self.user(subject))).status, (401, 403))
        cookie = self.write(self.user(email="a\r\nX-Evil: 1"))
        with self.nothing_upstream():
            self.assert_problem(self.present(cookie, "/mapped/x"), 403)

    def test_F10_signatures_and_ids_that_do_not_fit(self):
        good = self.write(self.user(), "an-id")
        other = express_cookie("another-id", SECRET)
        self.assertEqual(self.present(good).status, 200)
        plain = urllib.parse.unquote(good)
        head, _, signature = plain.partition(".")
        with self.redis.no_data_commands():
            for value in (plain[:-1], head, head + ".", f"s:another-id.{signature}", f"{head}.{urllib.parse.unquote(other).split('.')[1]}",
                          plain[2:], "j:" + plain[2:], "s:." + signature, f"{head}.{signature}=", f"{head}.{signature}x", "s:", ".", "%",
                          "%zz", "s%3Aan-id", "s:" + "x" * 3000 + "." + signature):
                with self.subTest(value[-20:]):
                    for spelled in {value, urllib.parse.quote(value, safe="")}:
                        self.assertEqual(self.present(spelled).status, 401)

    def test_G02_an_id_cannot_reach_other_keys(self):
        self.redis.command("SET", "secret-of-others", json.dumps(self.user("root")))
        for session_id in ("../secret-of-others", "*", "record*", "", "a\r\nGET x", "x" * 2000):
            with self.subTest(session_id[:20]):
                self.assertEqual(self.present(express_cookie(session_id, SECRET)).status, 401)

    def test_our_own_session_decides_before_the_foreign_one(self):
        own = self.sign_in("own").session
        answer = self.get(f"Cookie: connect.sid={self.write(self.user('foreign'))}; {SESSION}={own}")
        self.assert_subject(answer, "own")
        self.assert_subject(self.present(self.write(self.user("foreign")), "/api/x", bearer(self.stand.token(sub="token"))), "token")
        two = self.write(self.user("one")), self.write(self.user("two"))
        with self.nothing_upstream():
            self.assertIn(self.get(f"Cookie: connect.sid={two[0]}; connect.sid={two[1]}").status, (400, 401))

    def test_F14_unsafe_requests_with_it_are_checked(self):
        cookie = f"Cookie: connect.sid={self.write(self.user())}"
        with self.nothing_upstream():
            self.assertEqual(self.get(cookie, "Sec-Fetch-Site: cross-site", method="POST", body=b"x").status, 403)
            self.assertEqual(self.get(cookie, method="POST", body=b"x").status, 403)
        self.assertEqual(self.get(cookie, "Sec-Fetch-Site: same-origin", method="POST", body=b"x").status, 200)
        token = json.loads(self.get(cookie, target="/.gateway/session").body)["csrf_token"]
        self.assertEqual(self.get(cookie, f"X-CSRF-Token: {token}", method="POST", body=b"x").status, 200)

    def test_a_revoked_subject_is_refused_here_too(self):
        cookie = self.write(self.user("fired"))
        self.assert_subject(self.present(cookie), "fired")
        self.revoke(subject="fired")
        self.assertEqual(self.present(cookie).status, 401)

    def test_warm_ones_ask_nothing(self):
        cookie = self.write(self.user("warm"))
        with self.stand.connect(False) as connection:
            self.assertEqual(connection.ask("GET", "/api/x", f"Cookie: connect.sid={cookie}").status, 200)
            with self.redis.no_data_commands():
                for _ in range(500):
                    self.assertEqual(connection.ask("GET", "/api/x", f"Cookie: connect.sid={cookie}").status, 200)


if __name__ == "__main__":
    main()
