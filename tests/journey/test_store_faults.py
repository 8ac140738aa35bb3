"""Hazards N: the store is killed, stopped, slow or not there. Routes with sessions say 503, routes with JWTs notice nothing."""
import threading
import time

from support.gateway import PATIENCE, main
from support.redis_server import RedisServer
from support.sessions import SESSION, SessionCase, forged_id, generation_of, sign_in_body
from support.slow_line import SlowLine
from support.store_case import CHANNEL, COMMAND_TIMEOUT, StoreCase


class Outages(StoreCase):
    """`appendfsync always`: what Redis acknowledged, it has after a kill."""
    redis_options = ["appendonly yes", "appendfsync always"]

    def test_N02_N05_killed_under_load_and_back(self):
        cookie, pair = self.sign_in("lasting").session, self.token_pair("lasting")
        self.warm(cookie, "lasting")
        with self.tokens_go_on():
            self.redis.kill()
            self.assertLess(self.wait_until_bypassed(cookie), CHANNEL * PATIENCE)
            self.assert_no_sessions(cookie, pair["refresh_token"], COMMAND_TIMEOUT + 0.5 * PATIENCE)
            self.redis.start()
            self.assertLess(self.wait_until_back(cookie, "lasting"), 1 * PATIENCE)
        second = self.refreshed(pair["refresh_token"])  # H11: nothing was spent meanwhile
        self.assertEqual(generation_of(second["refresh_token"]), 2)
        self.eventually(lambda: self.gateway.admin_status("/readyz") == 200, "readiness", 2)

    def test_H11_N03_stopped_with_its_connections_open_and_back(self):
        cookie, pair = self.sign_in("patient").session, self.token_pair("patient")
        self.warm(cookie, "patient")
        with self.tokens_go_on():
            self.redis.pause()
            try:
                self.assertLess(self.wait_until_bypassed(cookie), (CHANNEL + COMMAND_TIMEOUT) * PATIENCE)
                self.assert_no_sessions(cookie, pair["refresh_token"], COMMAND_TIMEOUT + 0.5 * PATIENCE)
            finally:
                self.redis.resume()
            self.assertLess(self.wait_until_back(cookie, "patient"), 1 * PATIENCE)
        # A rotation whose answer never came may have happened: either way the token is good for the same successor.
        self.assertEqual(generation_of(self.refreshed(pair["refresh_token"])["refresh_token"]), 2)

    def test_N05_many_that_wait_make_no_stampede(self):
        cookie = self.sign_in("crowd").session
        pool = len(self.redis.clients())
        for _ in range(2):
            self.redis.kill()
            stop = threading.Event()

            def press() -> None:
                while not stop.is_set():
                    with self.stand.connect(False) as connection:
                        for _ in range(20):
                            if connection.ask("GET", "/api/x", f"Cookie: {SESSION}={cookie}").status not in (200, 503):
                                stop.set()
            threads = [threading.Thread(target=press) for _ in range(16)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            self.redis.start()
            most = 0
            for _ in range(40):
                most = max(most, len(self.redis.clients()))
                time.sleep(0.025)
            self.assertFalse(stop.is_set(), "an outage was answered with something else than 503")
            stop.set()
            for thread in threads:
                thread.join()
            self.assertLessEqual(most, pool)
            self.wait_for_store()
            self.assert_subject(self.with_session(cookie), "crowd")

    def test_N05_a_cut_channel_is_a_bypass_and_comes_back(self):
        cookie = self.sign_in("channel").session
        self.warm(cookie, "channel")
        self.assertGreater(self.redis.kill_clients(), 0)
        began = time.monotonic()
        self.wait_until_back(cookie, "channel")
        self.eventually(lambda: not self._asks(cookie), "warm answers again", 2)
        self.assertLess(time.monotonic() - began, 2 * PATIENCE)

    def _asks(self, cookie: str) -> bool:
        """Whether three requests with it make the gateway ask."""
        before = sum(self.redis.data_commands().values())
        for _ in range(3):
            self.assertEqual(self.with_session(cookie).status, 200)
        return sum(self.redis.data_commands().values()) != before

    def test_N14_locked_out_is_503_until_the_password_fits_again(self):
        cookie = self.sign_in("locked").session
        self.redis.command("ACL", "SETUSER", "default", "resetpass", ">changed")
        self.redis.password = "changed"
        try:
            self.redis.kill_clients()
            self.wait_until_bypassed(cookie)
            self.assert_unavailable(self.with_session(cookie))
            self.assertEqual(self.with_token(self.stand.token()).status, 200)
            self.assertRegex(self.gateway.output(), "(?i)auth|pass")
        finally:
            self.redis.command("ACL", "SETUSER", "default", "nopass")
            self.redis.password = None
        self.wait_until_back(cookie, "locked")

    def test_N16_an_operators_long_command_holds_nobody_but_sessions(self):
        cookie, cold = self.sign_in("behind").session, self.sign_in("behind").session
        # Redis' clock stands still within a script: count instead, for about a second.
        busy = "local n = 0; for i = 1, 1e8 do n = n + 1 end; return 1"

        def block() -> None:
            with self.redis.client(timeout=None) as client:
                client.command("EVAL", busy, "0")
        with self.tokens_go_on():
            blocker = threading.Thread(target=block)
            blocker.start()
            time.sleep(0.2)
            began = time.monotonic()
            answer = self.with_session(cold)
            self.assertIn(answer.status, (200, 503))
            self.assertLess(time.monotonic() - began, COMMAND_TIMEOUT + 0.5 * PATIENCE)
            blocker.join()
        self.wait_until_back(cookie, "behind")


class LongOutage(StoreCase):
    """`serve_cached_for`: warm sessions go on for a while without the store."""
    sessions = {"on_store_outage": {"serve_cached_for": "4s"}, "idle_timeout": "30m"}

    def test_N18_warm_sessions_are_honoured_exactly_as_long_as_allowed(self):
        browser, gone = self.sign_in("cached"), self.sign_in("revoked")
        cold = self.sign_in("cold")
        self.warm(browser.session, "cached")
        self.warm(gone.session, "revoked")
        self.revoke(session=gone.session)
        self.redis.kill()
        began = time.monotonic()
        honoured = refused = None
        while time.monotonic() - began < 8 * PATIENCE:
            status = self.with_session(browser.session).status
            if status == 200:
                honoured = time.monotonic() - began
            else:
                self.assertEqual(status, 503)
                if time.monotonic() - began > 2:
                    refused = time.monotonic() - began
                    break
            self.assertIn(self.with_session(gone.session).status, (401, 503), "a revocation that was heard counts")
            self.assertEqual(self.with_session(forged_id()).status, 401)
            self.assertEqual(self.get(target="/login", method="POST", body=sign_in_body({"sub": "new"})).status, 503)
            time.sleep(0.05)
        self.assertGreater(honoured or 0, 2.5)
        self.assertIsNotNone(refused, "a session was honoured for longer than allowed")
        self.assertLess(refused, 6 * PATIENCE)
        self.assert_unavailable(self.with_session(cold.session))
        self.redis.start()


class WithoutOutageSetting(StoreCase):
    def test_N18_without_the_setting_a_warm_session_ends_with_the_channel(self):
        cookie = self.sign_in("brief").session
        self.warm(cookie, "brief")
        self.redis.pause()
        try:
            self.assertLess(self.wait_until_bypassed(cookie), (CHANNEL + COMMAND_TIMEOUT) * PATIENCE)
            for _ in range(20):
                self.assert_unavailable(self.with_session(cookie))
        finally:
            self.redis.resume()
        self.wait_until_back(cookie, "brief")


class NotThere(StoreCase):
    """Redis comes later than the gateway."""
    wait_for = "/livez"

    @classmethod
    def setUpClass(cls):
        cls.late = RedisServer()
        cls.addClassCleanup(cls.late.close)
        cls.late.kill()
        super().setUpClass()

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        configuration["store"]["redis"]["url"] = cls.late.url

    def test_N01_it_starts_and_becomes_ready_when_redis_comes(self):
        status, body, _ = self.admin("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b"what was revoked is not known yet", body)
        self.assert_unavailable(self.with_token(self.stand.token()))  # it may have been revoked
        self.assert_invalid_token("a.b.c")
        self.assertEqual(self.get(target="/public/x").status, 200)
        self.assertEqual(self.get().status, 401)
        self.assert_unavailable(self.with_session(forged_id()))  # whether it is forged cannot be told before the secret is known
        self.assert_unavailable(self.get(target="/login", method="POST", body=sign_in_body({"sub": "early"})))
        self.late.start()
        self.eventually(lambda: self.gateway.admin_status("/readyz") == 200, "readiness", 3)
        self.wait_for_store()
        self.assertEqual(self.with_token(self.stand.token()).status, 200)
        self.assert_subject(self.sign_in("early").ask("GET", "/api/x"), "early")
        self.assertEqual(self.with_session(forged_id()).status, 401)


class TokensAlone(SessionCase):
    """A store that is there for revocations alone: neither sessions nor tokens are kept in it."""
    redis_options = ["appendonly yes", "appendfsync always"]

    @classmethod
    def change(cls, stand, configuration, policies):
        configuration["store"] = {"kind": "redis", "redis": {"url": cls.redis.url, "command_timeout": f"{PATIENCE}s"}}

    def test_N01_a_start_without_redis_does_not_forget_what_was_revoked(self):
        revoked, good = self.stand.token(jti="stolen"), self.stand.token(jti="kept")
        self.assertEqual(self.with_token(revoked).status, 200)
        self.revoke(token_id="stolen")
        self.redis.kill()
        self.assertEqual(self.with_token(revoked).status, 401)
        self.assertEqual(self.with_token(good).status, 200, "who knows goes on")
        self.gateway.stop()
        self.gateway.start("/livez")
        self.assertEqual(self.get(target="/public/x").status, 200)
        self.assert_unavailable(self.with_token(revoked))
        self.assert_unavailable(self.with_token(good))
        status, body, _ = self.admin("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b"what was revoked is not known yet", body)
        self.redis.start()
        self.eventually(lambda: self.gateway.admin_status("/readyz") == 200, "readiness")
        self.assertEqual(self.with_token(revoked).status, 401)
        self.assertEqual(self.with_token(good).status, 200)


class SlowStore(StoreCase):
    """A line to Redis that delays."""

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        cls.line = SlowLine(("127.0.0.1", cls.redis.port))
        cls.addClassCleanup(cls.line.close)
        configuration["store"]["redis"]["url"] = f"redis://127.0.0.1:{cls.line.port}/0"

    def test_N04_delays_are_borne_up_to_the_deadline_and_no_further(self):
        cookies = [self.sign_in("slow").session for _ in range(8)]
        self.line.delay = 0.02
        began = time.monotonic()
        for cookie in cookies[:4]:
            self.assert_subject(self.with_session(cookie), "slow")
        self.assertGreater(time.monotonic() - began, 0.1)
        self.line.delay = 2
        try:
            with self.tokens_go_on():
                deadline = time.monotonic() + 3
                while time.monotonic() < deadline:
                    began = time.monotonic()
                    answer = self.with_session(cookies[-1])
                    self.assertIn(answer.status, (200, 503))
                    self.assertLess(time.monotonic() - began, COMMAND_TIMEOUT + 0.5 * PATIENCE)
                self.assertEqual(self.with_session(cookies[-2]).status, 503)
        finally:
            self.line.delay = 0
        self.wait_until_back(cookies[0], "slow")
        for cookie in cookies:
            self.assert_subject(self.with_session(cookie), "slow")


if __name__ == "__main__":
    main()
