"""Hazards N: the store is killed, stopped, slow, emptied or locked. Routes with sessions say 503, routes with JWTs notice nothing."""
import contextlib
import threading
import time

from support.gateway import PATIENCE, REPOSITORY, main
from support.http_client import bearer
from support.redis_server import RedisClient, RedisError, RedisServer
from support.sessions import (ACCESS, REFRESH, SESSION, SessionCase, express_cookie, foreign_section, forged_id, form, generation_of,
                              session_handle, sign_in_body, write_secret)
from support.slow_line import SlowLine

COMMAND_TIMEOUT = 0.25 * PATIENCE
CHANNEL = 1.1  # seconds after which a silent channel empties the memory of sessions


class StoreCase(SessionCase):
    redis_options = []

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        configuration["store"]["redis"]["command_timeout"] = f"{int(COMMAND_TIMEOUT * 1000)}ms"

    @contextlib.contextmanager
    def tokens_go_on(self):
        """Requests with a JWT, all the time, on kept connections; each must be answered 200, and soon."""
        stop, failures, count = threading.Event(), [], [0]
        token = self.stand.token(sub="steady")

        def ask() -> None:
            with self.stand.connect(False) as connection:
                while not stop.is_set():
                    began = time.monotonic()
                    answer = connection.ask("GET", "/api/steady", bearer(token))
                    count[0] += 1
                    if answer.status != 200 or time.monotonic() - began > 1 * PATIENCE:
                        failures.append((answer.status, time.monotonic() - began))
                    time.sleep(0.002)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(count[0], 20)

    def assert_no_sessions(self, cookie: str, refresh_token: str, within: float) -> None:
        """Nothing that needs the store is answered but by 503, within the deadline of a command."""
        for name, ask in {"session": lambda: self.with_session(cookie),
                          "optional": lambda: self.with_session(cookie, "/optional/x"),
                          "caller": lambda: self.with_session(cookie, "/.gateway/session"),
                          "refresh": lambda: self.refresh_by_form(refresh_token),
                          "transparent": lambda: self.get(f"Cookie: {REFRESH}={refresh_token}"),
                          "logout": lambda: self.get(f"Cookie: {SESSION}={cookie}", "Sec-Fetch-Site: same-origin",
                                                     target="/.gateway/logout", method="POST"),
                          "login": lambda: self.get(target="/login", method="POST", body=sign_in_body({"sub": "new"})),
                          "login with tokens": lambda: self.get(target="/token", method="POST", body=sign_in_body({"sub": "new"}))}.items():
            with self.subTest(name):
                began = time.monotonic()
                self.assert_unavailable(ask())
                self.assertLess(time.monotonic() - began, within)
        for path, content in (("/revocations", {"subject": "x"}), ("/sessions", {"subject": "x"}), ("/sessions?subject=x", None)):
            with self.subTest(path):
                self.assertEqual(self.admin(path, content)[0], 503)
        self.assertEqual(self.gateway.admin_status("/readyz"), 503)
        self.assertEqual(self.gateway.admin_status("/livez"), 200)
        self.assertEqual(self.get(target="/public/x").status, 200)

    def warm(self, cookie: str, subject: str) -> None:
        """Remembered by every worker: each connection belongs to one, and nobody can choose."""
        for _ in range(16):
            self.assert_subject(self.with_session(cookie), subject)

    def wait_until_bypassed(self, cookie: str) -> float:
        """Seconds after which no worker answered from memory any more."""
        began, last, refused = time.monotonic(), 0.0, 0
        while refused < 24:
            asked = time.monotonic() - began
            self.assertLess(asked, 10 * PATIENCE, "sessions are answered from memory for ever")
            answer = self.with_session(cookie)
            if answer.status == 200:
                last, refused = asked, 0
            else:
                self.assert_unavailable(answer)
                refused += 1
                time.sleep(0.03)
        return last

    def wait_until_back(self, cookie: str, subject: str) -> float:
        """Seconds until every worker served it again."""
        began, last, served = time.monotonic(), 0.0, 0
        while served < 16:
            asked = time.monotonic() - began
            self.assertLess(asked, 10 * PATIENCE, "sessions did not come back")
            answer = self.with_session(cookie)
            if answer.status == 200:
                self.assert_subject(answer, subject)
                served += 1
            else:
                self.assert_unavailable(answer)  # a session is not called bad while its store comes back
                last, served = asked, 0
                time.sleep(0.01)
        return last


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
        # Redis' clock stands still within a script: count instead, for a second or two.
        busy = "local n = 0; for i = 1, 2e8 do n = n + 1 end; return 1"

        def block() -> None:
            self.redis.command("EVAL", busy, "0")
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


class Emptied(StoreCase):
    def test_N13_a_flush_is_a_plain_logout(self):
        browser, pair = self.sign_in("flushed"), self.token_pair("flushed")
        self.assert_subject(browser.ask("GET", "/api/x"), "flushed")
        self.redis.command("FLUSHALL")
        self.eventually(lambda: self.with_session(browser.session).status == 401, "the end of the session", 1)
        self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"]))
        self.assert_subject(self.sign_in("flushed").ask("GET", "/api/x"), "flushed")
        self.refreshed(self.token_pair("flushed")["refresh_token"])

    def test_N13_scripts_are_loaded_again(self):
        browser, pair = self.sign_in("scripted"), self.token_pair("scripted")
        for _ in range(2):
            self.redis.command("SCRIPT", "FLUSH")
            pair = self.refreshed(pair["refresh_token"])
            self.redis.command("SCRIPT", "FLUSH")
            self.sign_in("scripted", browser)
            self.assert_subject(browser.ask("GET", "/api/x"), "scripted")

    def test_N12_an_evicted_session_is_a_logout(self):
        browser = self.sign_in("evicted")
        self.assert_subject(browser.ask("GET", "/api/x"), "evicted")
        self.redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.redis.command("CONFIG", "SET", "maxmemory", "1")
        try:
            self.eventually(lambda: not self.redis.keys(f"*{session_handle(browser.session)}*"), "the eviction", 3)
        finally:
            self.redis.command("CONFIG", "SET", "maxmemory", "0")
            self.redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.eventually(lambda: self.with_session(browser.session).status == 401, "the end of the evicted session", 1)
        self.assert_subject(self.sign_in("evicted").ask("GET", "/api/x"), "evicted")

    def test_N10_a_failover_that_lost_a_revocation_does_not_undo_it_where_it_was_heard(self):
        browser, token = self.sign_in("revenant"), self.stand.token(sub="revenant", jti="revenant-1")
        before = self.redis.dump()
        self.revoke(session=browser.session)
        self.revoke(token_id="revenant-1")
        self.redis.command("FLUSHALL")
        self.redis.restore(before)  # the last writes never reached the replica that is the master now
        self.redis.kill_clients()
        deadline = time.monotonic() + 1.5 * PATIENCE
        while time.monotonic() < deadline:
            self.assertIn(self.with_session(browser.session).status, (401, 503))
            self.assertEqual(self.with_token(token).status, 401)
            time.sleep(0.02)
        self.assertEqual(self.with_session(browser.session).status, 401)


class WarmAndForged(StoreCase):
    def test_warm_requests_ask_nothing(self):
        cookie = self.sign_in("warm").session
        connections = [self.stand.connect(False) for _ in range(8)]
        for connection in connections * 2:  # each worker asks once
            self.assertEqual(connection.ask("GET", "/api/x", f"Cookie: {SESSION}={cookie}").status, 200)
        hits = self.metric("sallyport_session_cache_hits_total")
        with self.redis.no_data_commands():
            for number in range(10_000 // PATIENCE):
                self.assertEqual(connections[number % 8].ask("GET", "/api/x", f"Cookie: {SESSION}={cookie}").status, 200)
        self.assertGreaterEqual(self.metric("sallyport_session_cache_hits_total") - hits, 10_000 // PATIENCE)
        for connection in connections:
            connection.close()

    def test_warm_tokens_ask_nothing(self):
        pair = self.token_pair("warm")
        with self.redis.no_data_commands(), self.stand.connect(False) as connection:
            for number in range(1000):
                line = bearer(pair["access_token"]) if number % 2 else f"Cookie: {ACCESS}={pair['access_token']}"
                self.assertEqual(connection.ask("GET", "/api/x", line).status, 200)

    def test_G09_forged_ids_and_refresh_tokens_ask_nothing(self):
        with self.redis.no_data_commands(), self.stand.connect(False) as connection:
            for _ in range(2000):
                self.assertEqual(connection.ask("GET", "/api/x", f"Cookie: {SESSION}={forged_id()}").status, 401)
                self.assertEqual(connection.ask("GET", "/api/x", f"Cookie: {REFRESH}={forged_id()}").status, 401)
                answer = connection.ask("POST", "/.gateway/refresh", "Content-Type: application/x-www-form-urlencoded",
                                        body=form(grant_type="refresh_token", refresh_token=forged_id()))
                self.assert_invalid_grant(answer)

    def test_G08_a_change_by_anybody_is_seen_at_once(self):
        browser = self.sign_in("changed")
        for _ in range(4):
            self.assert_subject(browser.ask("GET", "/api/x"), "changed")
        dropped = self.metric("sallyport_session_cache_invalidations_total")
        for key in self.redis.keys(f"*{session_handle(browser.session)}*"):
            self.redis.command("DEL", key)
        self.eventually(lambda: self.with_session(browser.session).status == 401, "the end of a deleted session", 0.2)
        self.assertGreater(self.metric("sallyport_session_cache_invalidations_total"), dropped)


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
        cls.late.kill()
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.late.close()

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        configuration["store"]["redis"]["url"] = cls.late.url

    def test_N01_it_starts_serves_tokens_and_becomes_ready_when_redis_comes(self):
        status, body, _ = self.admin("/readyz")
        self.assertEqual(status, 503)
        self.assertIn(b"store", body.lower())
        self.assertEqual(self.with_token(self.stand.token()).status, 200)
        self.assertEqual(self.get(target="/public/x").status, 200)
        self.assertEqual(self.get().status, 401)
        self.assert_unavailable(self.with_session(forged_id()))  # whether it is forged cannot be told before the secret is known
        self.assert_unavailable(self.get(target="/login", method="POST", body=sign_in_body({"sub": "early"})))
        self.late.start()
        self.eventually(lambda: self.gateway.admin_status("/readyz") == 200, "readiness", 3)
        self.wait_for_store()
        self.assert_subject(self.sign_in("early").ask("GET", "/api/x"), "early")
        self.assertEqual(self.with_session(forged_id()).status, 401)


class Password(StoreCase):
    redis_password = "a-password-of-the-store"

    def test_the_password_opens_the_store_and_is_in_no_log(self):
        self.assert_subject(self.sign_in("opened").ask("GET", "/api/x"), "opened")
        text = self.gateway.output() + self.gateway.log("access") + self.gateway.log("audit")
        self.assertNotIn(self.redis_password, text)

    def test_N14_a_password_that_changes_is_read_again(self):
        cookie = self.sign_in("rotating").session
        self.redis.command("CONFIG", "SET", "requirepass", "the-next-password")
        self.redis.password = "the-next-password"
        self.redis.kill_clients()
        self.wait_until_bypassed(cookie)
        write_secret(self.stand.folder / "keys/redis", "the-next-password")
        self.wait_until_back(cookie, "rotating")


class LeastRights(StoreCase):
    """The Redis user of docs/sessions-and-tokens.md, to the letter."""
    PASSWORD = "the-password-of-the-gateway"

    @classmethod
    def setUpClass(cls):
        text = (REPOSITORY / "docs/sessions-and-tokens.md").read_text()
        rule = " ".join(text.split("user gateway on ")[1].split("```")[0].split())
        cls.redis_options = [f"user gateway on {rule.replace('PASSWORD', cls.PASSWORD)}"]
        super().setUpClass()

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        write_secret(stand.folder / "keys/redis", cls.PASSWORD)
        configuration["store"]["redis"] |= {"username": "gateway", "password_file": "keys/redis"}
        configuration["sessions"]["foreign"] = foreign_section(stand, "the-secret-of-the-application")

    def test_the_documented_user_may_do_what_is_needed_and_no_more(self):
        browser, pair = self.sign_in("least"), self.token_pair("least")
        self.assert_subject(browser.ask("GET", "/api/x"), "least")
        self.refreshed(pair["refresh_token"])
        self.redis.command("SET", "sess:an-id", '{"cookie":{},"user":{"id":"foreign"}}')
        cookie = express_cookie("an-id", "the-secret-of-the-application")
        self.assert_subject(self.get(f"Cookie: connect.sid={cookie}"), "foreign")
        self.assertEqual(self.admin("/sessions?subject=least")[0], 200)
        self.revoke(subject="least")
        self.assertEqual(browser.ask("GET", "/api/x").status, 401)
        self.assertEqual(browser.ask("POST", "/.gateway/logout").status, 204)
        refused = [dict(zip(entry[::2], entry[1::2])).get(b"object") for entry in self.redis.command("ACL", "LOG")]
        self.assertEqual(refused, [], "the gateway asked for more than the documents say")
        with RedisClient(self.redis.port, "gateway", self.PASSWORD) as client:
            for command in (("SET", "sess:an-id", "x"), ("GET", "others"), ("FLUSHALL",), ("KEYS", "*"),
                            ("CONFIG", "SET", "maxmemory", "1")):
                with self.subTest(command), self.assertRaises(RedisError):
                    client.command(*command)


class Eviction(StoreCase):
    redis_options = ["maxmemory-policy allkeys-lru", "maxmemory 64mb"]

    def test_N12_a_store_that_may_evict_is_warned_about(self):
        self.sign_in()
        self.eventually(lambda: "maxmemory-policy" in self.gateway.output() or "eviction" in self.gateway.output(), "the warning", 3)


class SlowStore(StoreCase):
    """A line to Redis that delays."""

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        cls.line = SlowLine(("127.0.0.1", cls.redis.port))
        configuration["store"]["redis"]["url"] = f"redis://127.0.0.1:{cls.line.port}/0"

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.line.close()

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
