"""Hazards F13 and G with two gateways over one Redis."""
import random
import threading
import time

from support.gateway import main
from support.http_client import bearer
from support.sessions import SESSION, SessionCase, flip, forged_id, session_handle


class SharedSessions(SessionCase):
    """Two gateways, one Redis."""
    redis_options, replicas = [], 1

    def test_a_session_of_one_is_a_session_of_both(self):
        browser = self.sign_in("both")
        for gateway in self.stand.gateways:
            self.assert_subject(browser.ask("GET", "/api/x", gateway=gateway), "both")
        self.assertEqual(browser.ask("POST", "/.gateway/logout", gateway=self.other).status, 204)

    def test_F13_logout_on_one_is_logout_on_both(self):
        browser = self.sign_in("leaver")
        cookie = browser.session
        for gateway in self.stand.gateways:
            for _ in range(3):  # warm in every worker, or nearly
                self.assert_subject(self.with_session(cookie, gateway=gateway), "leaver")
        self.assertEqual(browser.ask("POST", "/.gateway/logout").status, 204)
        self.assertEqual(self.with_session(cookie).status, 401)
        self.eventually(lambda: self.with_session(cookie, gateway=self.other).status == 401, "the logout on the other gateway", 0.5)
        for _ in range(10):
            self.assertEqual(self.with_session(cookie, gateway=self.other).status, 401)

    def test_F13_logout_everywhere_reaches_both(self):
        here, there = self.sign_in("traveller"), self.sign_in("traveller", self.browser(gateway=self.other))
        for browser in (here, there):
            self.assert_subject(browser.ask("GET", "/api/x"), "traveller")
        self.assertEqual(here.ask("POST", "/.gateway/logout?everywhere=true").status, 204)
        self.eventually(lambda: there.ask("GET", "/api/x").status == 401, "logout everywhere on the other gateway", 0.5)

    def test_G11_another_role_is_another_session_and_the_old_one_dies_on_both(self):
        browser = self.sign_in("rising")
        old = browser.session
        for gateway in self.stand.gateways:
            self.assertEqual(self.with_session(old, "/admin/x", gateway).status, 403)
        self.sign_in("rising", browser, roles=["admin"])
        for gateway in self.stand.gateways:
            self.assert_subject(self.with_session(browser.session, "/admin/x", gateway), "rising")
            self.eventually(lambda: self.with_session(old, gateway=gateway).status == 401, "the end of the old session", 0.5)

    def test_the_secret_behind_the_tags_survives_an_emptied_store_and_a_restart(self):
        self.redis.command("FLUSHALL")
        self.eventually(lambda: self.redis.keys("*secret*"), "the secret in the store again", 5)
        self.other.stop()
        self.other.start()
        here, there = self.sign_in("kept"), self.sign_in("kept", self.browser(gateway=self.other))
        for gateway in self.stand.gateways:
            for browser in (here, there):
                self.assert_subject(self.with_session(browser.session, gateway=gateway), "kept")

    def test_R08_both_gateways_judge_alike(self):
        browser, pair = self.sign_in("judged", roles=["reader"]), self.token_pair("judged", roles=["reader"])
        credentials = {"none": [], "session": browser.cookie_line(), "token": [bearer(pair["access_token"])],
                       "issuer's": [bearer(self.stand.token(sub="judged"))], "forged": [f"Cookie: {SESSION}={forged_id()}"],
                       "bad token": [bearer("x.y.z")], "two": [bearer("a"), bearer("b")],
                       "both": [*browser.cookie_line(), bearer(pair["access_token"])]}
        for target in ("/api/x", "/admin/x", "/users/judged/x", "/users/other/x", "/optional/x", "/sessions-only/x", "/corp/x", "/public/x",
                       "/nowhere", "/.gateway/session", "/edge-only/x"):
            for name, lines in credentials.items():
                for method in ("GET", "POST"):
                    with self.subTest(f"{method} {target} {name}"):
                        one, two = (self.get(*lines, target=target, gateway=gateway, method=method, body=b"" if method == "POST" else None)
                                    for gateway in self.stand.gateways)
                        self.assertEqual(one.status, two.status)
                        self.assertEqual(one.header("WWW-Authenticate"), two.header("WWW-Authenticate"))

    def test_G01_G02_G03_what_nobody_issued_costs_no_command(self):
        good = self.sign_in().session
        values = ["", "x", "A" * 64, forged_id(), flip(good, 0), flip(good, 63), good + "A", "*", "?", "[a]", "a:b", "{x}", "refresh:x",
                  "lock:x", "config", "sallyport:x", "A" * 10_000, "*" * 64, "{" * 64, session_handle(good)]
        with self.redis.no_data_commands():
            for value in values:
                self.assertEqual(self.with_session(value).status, 401, value[:70])
            self.assertEqual(self.with_session("a b").status, 401)
            for value in ("a\0b", "a\x01b"):
                self.assertEqual(self.with_session(value).status, 400)
            for value in values:
                self.assertIn(self.refresh_by_form(value).status, (400, 413), value[:70])

    def test_G04_G05_a_broken_record_is_nobody(self):
        rng = random.Random(5)
        cookie = self.sign_in("whole").session
        key = next(each for each in self.redis.keys() if session_handle(cookie).encode() in each)
        kind = self.redis.command("TYPE", key)
        whole = self.redis.dump()[key]

        def judge(name: str) -> None:
            with self.subTest(name):
                time.sleep(0.02)  # for the invalidation
                answer = self.with_session(cookie)
                if answer.status == 200:
                    self.assert_subject(answer, "whole")
                else:
                    self.assertIn(answer.status, (401, 503))
                self.redis.restore({key: whole})
        for name, value in {"a list": ("RPUSH", key, "x"), "a number": ("SET", key, "1"), "empty": ("SET", key, ""),
                            "a set": ("SADD", key, "x"), "half a document": ("SET", key, '{"sub":"wh'), "an object": ("SET", key, "{}"),
                            "a hash": ("HSET", key, "sub", "x"), "8 MiB": ("SET", key, b"x" * (8 << 20))}.items():
            self.redis.command("DEL", key)
            self.redis.command(*value)
            time.sleep(0.02)
            self.assertIn(self.with_session(cookie).status, (401, 503), name)
            judge(name)
        if kind == b"hash":
            fields = self.redis.command("HKEYS", key)
            for field in fields:
                self.redis.command("HDEL", key, field)
                judge(f"without {field}")
                for value in ("", "x", "-1", "99999999999999999999", "null"):
                    self.redis.command("HSET", key, field, value)
                    time.sleep(0.02)
                    self.assertIn(self.with_session(cookie).status, (200, 401, 503), f"{field} = {value}")
                    self.redis.restore({key: whole})
        elif kind == b"string":
            value = self.redis.command("GET", key)
            for length in range(len(value)):
                self.redis.command("SET", key, value[:length], "KEEPTTL")
                judge(f"cut after {length}")
            for _ in range(100):
                at = rng.randrange(len(value))
                self.redis.command("SET", key, value[:at] + bytes([rng.randrange(256)]) + value[at + 1:], "KEEPTTL")
                time.sleep(0.005)
                self.assertIn(self.with_session(cookie).status, (200, 401, 503))
                self.redis.restore({key: whole})
        self.wait_for_store()  # connections that brought another key's record were given up
        self.assert_subject(self.with_session(cookie), "whole")


class AtOnce(SessionCase):
    redis_options, replicas = [], 3

    def test_gateways_that_start_at_once_agree_on_one_secret(self):
        for _ in range(3):
            for gateway in self.stand.gateways:
                gateway.stop()
            self.redis.command("FLUSHALL")
            starters = [threading.Thread(target=gateway.start) for gateway in self.stand.gateways]
            for starter in starters:
                starter.start()
            for starter in starters:
                starter.join()
            for issuing in self.stand.gateways:
                browser, pair = self.sign_in("agreed", self.browser(gateway=issuing)), self.token_pair("agreed", issuing)
                for judging in self.stand.gateways:
                    self.assert_subject(self.with_session(browser.session, gateway=judging), "agreed")
                    pair = self.refreshed(pair["refresh_token"], judging)


if __name__ == "__main__":
    main()
