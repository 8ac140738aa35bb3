"""Hazards N10, N12, N13, N14, G08 and G09: what is asked of Redis, by whom, and what becomes of it when it is emptied."""
import time

from support.gateway import PATIENCE, REPOSITORY, main
from support.http_client import bearer
from support.redis_server import RedisClient, RedisError
from support.sessions import (ACCESS, REFRESH, SESSION, express_cookie, foreign_section, forged_id, form, session_handle, write_secret)
from support.store_case import StoreCase


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
        asked = []
        for _ in range(3):  # a machine so busy that the channel's heartbeat comes late makes the gateway ask, rightly: look again
            hits, before = self.metric("sallyport_session_cache_hits_total"), self.redis.data_commands()
            for number in range(10_000 // PATIENCE):
                self.assertEqual(connections[number % 8].ask("GET", "/api/x", f"Cookie: {SESSION}={cookie}").status, 200)
            asked.append(sum(self.redis.data_commands().values()) - sum(before.values()))
            if asked[-1] == 0:
                break
        self.assertEqual(asked[-1], 0, asked)
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


if __name__ == "__main__":
    main()
