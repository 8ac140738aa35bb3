"""Hazards H: token pairs that the gateway issues, rotates and revokes."""
import json
import time

from support.gateway import PATIENCE, main, run_command
from support.http_client import bearer, request
from support.sessions import (ACCESS, FORM, ISSUER, REFRESH, SessionCase, SetCookie, claims_within, family_handle, flip, forged_id, form,
                              generation_of, set_cookies, sign_in_body)
from support.tokens import decode, encode, forge, verify


class TokenPairs(SessionCase):
    """What is issued, and to whom."""

    def public_keys(self) -> list[dict]:
        answer = self.get(target="/.gateway/jwks.json")
        self.assertEqual(answer.status, 200)
        return json.loads(answer.body)["keys"]

    def test_a_browser_gets_cookies(self):
        for tls in (True, False):
            with self.subTest(tls=tls):
                browser = self.browser(tls=tls)
                answer = browser.ask("POST", "/token", body=sign_in_body({"sub": "alice"}))
                self.assertEqual((answer.status, answer.body), (200, b"welcome"))
                self.assertEqual(len(answer.all("Set-Cookie")), 2)
                for cookie in map(SetCookie.parse, answer.all("Set-Cookie")):
                    lifetime = cookie.attributes.pop("max-age", None)
                    self.assertTrue(lifetime is None or int(lifetime) > 0)
                    self.assertEqual(cookie.attributes, {"path": "/", "secure": None, "httponly": None, "samesite": "Strict"})
                self.assertEqual(set(browser.cookies), {ACCESS, REFRESH})
                self.assert_subject(browser.ask("GET", "/api/x"), "alice")
                seen = self.oracle.last
                self.assertEqual((seen.header("X-Auth-Method"), seen.header("X-Auth-Issuer")), ("jwt", ISSUER))
                self.assertEqual(seen.all("Cookie"), [])

    def test_anyone_else_gets_json(self):
        pair = self.token_pair("bob", roles=["reader", "admin"], scope="reports:read", email="bob@example.com")
        self.assertTrue(800 < pair["expires_in"] <= 900, pair["expires_in"])
        for line in (bearer(pair["access_token"]), f"Cookie: {ACCESS}={pair['access_token']}"):
            self.assert_subject(self.get(line), "bob")
            self.assertEqual(self.oracle.last.header("X-Auth-Roles"), "reader,admin")
            self.assertEqual(self.oracle.last.header("X-Auth-Scopes"), "reports:read")
            for target in ("/admin/x", "/reports/x", "/edge-only/x"):
                self.assertEqual(self.get(line, target=target).status, 200)
            for target in ("/corp/x", "/other/x", "/sessions-only/x"):
                self.assertEqual(self.get(line, target=target).status, 401)

    def test_the_access_token_is_as_promised_and_openssl_agrees(self):
        keys = self.public_keys()
        for key in keys:
            self.assertEqual(set(key) & {"d", "p", "q", "dp", "dq", "qi", "k"}, set())
        pair = self.token_pair("alice", roles=["reader"], tenant="acme")
        header, claims = verify(pair["access_token"], keys)
        self.assertEqual((header["typ"], header["alg"], header["kid"]), ("at+jwt", "ES256", keys[0]["kid"]))
        self.assertEqual((claims["iss"], claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]], claims["sub"]),
                         (ISSUER, ["api"], "alice"))
        self.assertEqual((claims["roles"], claims["tenant"]), (["reader"], "acme"))
        self.assertEqual(claims["exp"] - claims["iat"], 900)
        self.assertLess(abs(claims["iat"] - time.time()), 5 * PATIENCE)
        self.assertLessEqual(claims["auth_time"], claims["iat"])
        self.assertTrue(claims["jti"])
        self.assertEqual(claims["sid"], family_handle(pair["refresh_token"]))
        self.assertNotIn(pair["refresh_token"], json.dumps(claims))
        self.assertNotIn(encode(decode(pair["refresh_token"])[:24]), json.dumps(claims))
        other = self.token_pair("alice")
        self.assertNotEqual(claims_within(other["access_token"])["jti"], claims["jti"])
        self.assertNotEqual(claims_within(other["access_token"])["sid"], claims["sid"])
        self.assertNotEqual(other["refresh_token"], pair["refresh_token"])

    def test_the_key_set_is_cacheable_json_for_everybody(self):
        answer = self.get(target="/.gateway/jwks.json")
        self.assertIn(answer.header("Content-Type").partition(";")[0], ("application/json", "application/jwk-set+json"))
        self.assertEqual(self.get(target="/.gateway/jwks.json", method="POST", body=b"").status, 405)
        self.assertEqual(self.get(bearer("bad"), target="/.gateway/jwks.json").status, 200)

    def test_nobody_else_can_speak_for_the_edge(self):
        pair = self.token_pair("alice")
        head, claims, signature = pair["access_token"].split(".")
        good = json.loads(decode(claims))
        header = json.loads(decode(head))
        forged = {"by another issuer's key": self.stand.key.sign(good | {"sub": "root"}, typ="at+jwt"),
                  "by another key under our kid": self.stand.other.sign(good, typ="at+jwt", kid=header["kid"]),
                  "unsigned": forge({"alg": "none", "typ": "at+jwt"}, good),
                  "other claims": ".".join((head, encode(json.dumps(good | {"sub": "root"}).encode()), signature)),
                  "flipped": ".".join((head, claims, flip(signature, 10)))}
        for name, token in forged.items():
            with self.subTest(name):
                self.assert_invalid_token(token)
                self.assert_invalid_token(token, "/edge-only/x")
        self.assert_accepted(pair["access_token"], "/edge-only/x")

    def test_a_token_of_the_edge_needs_its_type_audience_and_time(self):
        usual = claims_within(self.token_pair()["access_token"])

        def signed(typ: str = "at+jwt", without: str = "", **changes) -> str:
            claims = {name: value for name, value in (usual | changes).items() if name != without}
            made = run_command("token", "sign", "--keys", self.stand.folder / "keys/edge.jwks.json", "--claims", json.dumps(claims),
                               "--type", typ)
            self.assertEqual(made.returncode, 0, made.stderr)
            return made.stdout.strip()
        self.assert_accepted(signed())
        for name, token in {"audience": signed(aud="other"), "expired": signed(exp=usual["iat"] - 60), "type": signed(typ="JWT"),
                            "no family": signed(without="sid"), "no audience": signed(without="aud"),
                            "nobody": signed(without="sub")}.items():
            with self.subTest(name):
                self.assert_invalid_token(token)

    def test_a_login_with_tokens_ends_what_was_before(self):
        session = self.sign_in("early")
        old = session.session
        browser = session.copy()
        self.sign_in_with_tokens("early", browser)
        self.assertEqual(self.with_session(old).status, 401, "the session from before the login lives on")
        first = browser.copy()
        self.sign_in_with_tokens("early", browser)
        self.assert_invalid_grant(self.refresh_by_form(first.refresh))
        self.assert_subject(self.with_token(browser.cookies[ACCESS]), "early")


class Refreshing(SessionCase):
    """Rotation on one gateway."""

    def test_a_refresh_token_becomes_the_next_pair(self):
        first = self.token_pair("alice", roles=["reader"])
        second = self.refreshed(first["refresh_token"])
        third = self.refreshed(second["refresh_token"])
        self.assertEqual(len({each["refresh_token"] for each in (first, second, third)}), 3)
        self.assertEqual([generation_of(each["refresh_token"]) for each in (first, second, third)], [1, 2, 3])
        self.assertEqual(len({claims_within(each["access_token"])["jti"] for each in (first, second, third)}), 3)
        self.assertEqual(len({claims_within(each["access_token"])["sid"] for each in (first, second, third)}), 1)
        self.assertEqual(claims_within(third["access_token"])["roles"], ["reader"])
        for pair in (first, second, third):  # each until its own end
            self.assert_subject(self.with_token(pair["access_token"]), "alice")

    def test_H03_H07_the_same_token_again_gets_the_same_successor(self):
        first = self.token_pair()
        second = self.refreshed(first["refresh_token"])
        for _ in range(5):
            again = self.refreshed(first["refresh_token"])
            self.assertEqual(again["refresh_token"], second["refresh_token"])
            self.assertEqual(claims_within(again["access_token"])["jti"], claims_within(second["access_token"])["jti"])
            self.assertEqual(claims_within(again["access_token"]), claims_within(second["access_token"]))
        self.refreshed(second["refresh_token"])

    def test_H05_a_grandparent_revokes_the_family_even_within_the_window(self):
        first = self.token_pair("robbed")
        second = self.refreshed(first["refresh_token"])
        third = self.refreshed(second["refresh_token"])
        self.assert_invalid_grant(self.refresh_by_form(first["refresh_token"]))
        self.assert_family_is_dead(first, second, third)

    def assert_family_is_dead(self, *pairs: dict) -> None:
        for pair in pairs:
            self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"]))
            self.assertEqual(self.with_token(pair["access_token"]).status, 401)
            self.assertEqual(self.get(f"Cookie: {ACCESS}={pair['access_token']}; {REFRESH}={pair['refresh_token']}").status, 401)
        family = family_handle(pairs[0]["refresh_token"])
        self.gateway.wait_for_line("audit", lambda line: "reuse" in json.dumps(line))
        told = [line for line in self.gateway.log_lines("audit") if "reused" in json.dumps(line) and family in json.dumps(line)]
        self.assertEqual(len(told), 1, "reuse is audited once, with the handle of its family")

    def test_a_generation_that_was_never_given_out_cannot_be_made(self):
        first = self.token_pair()
        raw = bytearray(decode(first["refresh_token"]))
        for at in (0, 23, 24, 31, 32, 47):
            with self.subTest(at):
                changed = bytes(raw[:at]) + bytes([raw[at] ^ 1]) + bytes(raw[at + 1:])
                self.assert_invalid_grant(self.refresh_by_form(encode(changed)))
        self.refreshed(first["refresh_token"])  # and nothing of that revoked the family

    def test_refused_forms(self):
        good = self.token_pair()["refresh_token"]
        asked = {"no grant_type": form(refresh_token=good), "another grant": form(grant_type="password", refresh_token=good),
                 "no token": form(grant_type="refresh_token"), "empty token": form(grant_type="refresh_token", refresh_token=""),
                 "two tokens": form(grant_type="refresh_token", refresh_token=good) + b"&refresh_token=" + good.encode(),
                 "two grants": form(grant_type="refresh_token", refresh_token=good) + b"&grant_type=refresh_token",
                 "broken escape": b"grant_type=refresh_token&refresh_token=%zz", "forged": form(grant_type="refresh_token",
                                                                                              refresh_token=forged_id()),
                 "100 KiB": b"grant_type=refresh_token&x=" + b"x" * 100_000}
        for name, body in asked.items():
            with self.subTest(name):
                answer = self.get(FORM, target="/.gateway/refresh", method="POST", body=body)
                self.assertIn(answer.status, (400, 413))
                if answer.status == 400:
                    self.assertIn(json.loads(answer.body).get("error"), ("invalid_grant", "invalid_request", "unsupported_grant_type"))
        body = form(grant_type="refresh_token", refresh_token=good)
        for name, lines in {"no type": (), "JSON": ("Content-Type: application/json",)}.items():
            with self.subTest(name):
                self.assertIn(self.get(*lines, target="/.gateway/refresh", method="POST", body=body).status, (400, 401, 415))
        self.assertEqual(self.get(target="/.gateway/refresh").status, 405)
        self.refreshed(good)  # nothing of that spent it

    def test_H15_a_refresh_token_in_a_url_is_nothing_and_no_log_has_one(self):
        pair = self.token_pair("discreet")
        query = f"grant_type=refresh_token&refresh_token={pair['refresh_token']}"
        self.assertIn(self.get(FORM, target=f"/.gateway/refresh?{query}", method="POST", body=b"").status, (400, 401))
        self.assertEqual(self.get(target=f"/api/x?{query}").status, 401)
        second = self.refreshed(pair["refresh_token"])
        answer = self.refresh_by_form(flip(second["refresh_token"], 7))
        self.assertNotIn(second["refresh_token"][8:], answer.body.decode())
        browser = self.sign_in_with_tokens("discreet")
        browser.ask("GET", "/api/x")
        for each in (browser.ask("GET", "/passing/x"), browser.ask("GET", "/public/x")):
            self.assertEqual(each.status, 200)
            self.assertNotIn(browser.refresh.encode(), self.oracle.last.raw_head, "a refresh token went to a service")
        text = self.gateway.output() + self.gateway.log("access") + self.gateway.log("audit") + self.admin("/metrics")[1].decode()
        secrets = [pair["refresh_token"], second["refresh_token"], browser.refresh, pair["access_token"], second["access_token"],
                   browser.cookies[ACCESS]]
        for secret in secrets:
            self.assertNotIn(secret, text)
        stored = b"".join(path.read_bytes() for path in self.stand.folder.glob("sallyport.db*"))
        for secret in (pair["refresh_token"], second["refresh_token"]):
            self.assertNotIn(secret.encode(), stored)
            self.assertNotIn(decode(secret)[:24], stored)

    def test_by_cookie_the_new_pair_comes_as_cookies(self):
        browser = self.sign_in_with_tokens()
        before = browser.copy()
        answer = browser.ask("POST", "/.gateway/refresh")
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(set(set_cookies(answer)), {ACCESS, REFRESH})
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        self.assertNotEqual(browser.refresh, before.refresh)
        self.assert_subject(browser.ask("GET", "/api/x"), "alice")
        forced = before.copy()
        forced.speaks = False
        refused = forced.ask("POST", "/.gateway/refresh", "Sec-Fetch-Site: cross-site")
        self.assertEqual((refused.status, refused.all("Set-Cookie")), (403, []))
        nobody = self.browser()
        self.assertIn(nobody.ask("POST", "/.gateway/refresh").status, (400, 401))
        nobody.cookies[REFRESH] = forged_id()
        self.assert_invalid_grant(nobody.ask("POST", "/.gateway/refresh"))

    def test_H14_after_a_logout_no_successor_is_good(self):
        browser = self.sign_in_with_tokens("leaver")
        first = browser.copy()
        browser.ask("POST", "/.gateway/refresh")
        second = browser.copy()
        answer = browser.ask("POST", "/.gateway/logout")
        self.assertEqual(answer.status, 204)
        self.assertTrue(all(each.clears for each in set_cookies(answer).values()))
        self.assertEqual(browser.cookies, {})
        for old in (first, second):
            self.assert_invalid_grant(self.refresh_by_form(old.refresh))
            self.assertEqual(self.with_token(old.cookies[ACCESS]).status, 401)
            self.assertEqual(old.ask("GET", "/api/x").status, 401)

    def test_H13_thief_and_user_by_turns_both_end(self):
        stolen = self.token_pair("victim")
        thief = self.refreshed(self.refreshed(stolen["refresh_token"])["refresh_token"])
        self.assert_invalid_grant(self.refresh_by_form(stolen["refresh_token"]))  # the user, later
        self.assert_invalid_grant(self.refresh_by_form(thief["refresh_token"]))
        self.assertEqual(self.with_token(thief["access_token"]).status, 401)

    def test_H08_a_client_that_leaves_in_the_middle_loses_nothing(self):
        for number in range(20):
            pair = self.token_pair(f"hasty-{number}")
            with self.stand.connect(False) as connection:
                connection.send(request("POST", "/.gateway/refresh", FORM,
                                        body=form(grant_type="refresh_token", refresh_token=pair["refresh_token"])))
            second = self.refreshed(pair["refresh_token"])  # H07: the retry
            self.assertEqual(generation_of(second["refresh_token"]), 2)
            self.assertEqual(self.refreshed(pair["refresh_token"])["refresh_token"], second["refresh_token"])

    def test_a_restart_keeps_families(self):
        pair = self.token_pair("stayer")
        second = self.refreshed(pair["refresh_token"])
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual(self.refreshed(pair["refresh_token"])["refresh_token"], second["refresh_token"])
        self.assert_subject(self.with_token(second["access_token"]), "stayer")
        self.refreshed(second["refresh_token"])


class ShortWindow(SessionCase):
    """After the reuse window, and at the end of lives."""
    tokens = {"reuse_window": "1s", "access_ttl": f"{6 * PATIENCE}s", "refresh_ttl": f"{6 * PATIENCE}s", "family_ttl": f"{12 * PATIENCE}s"}

    def test_H04_after_the_window_an_old_token_revokes_the_family(self):
        browser = self.sign_in_with_tokens("robbed")
        stolen = browser.copy()
        browser.ask("POST", "/.gateway/refresh")
        self.assertEqual(self.refreshed(stolen.refresh)["refresh_token"], browser.refresh)  # still within
        time.sleep(1.1)
        self.assert_invalid_grant(self.refresh_by_form(stolen.refresh))
        self.assert_invalid_grant(self.refresh_by_form(browser.refresh))
        self.assertEqual(self.with_token(browser.cookies[ACCESS]).status, 401)
        self.assertEqual(self.with_token(stolen.cookies[ACCESS]).status, 401)
        line = self.gateway.wait_for_line("audit", lambda each: "reused" in json.dumps(each))
        self.assertNotIn(stolen.refresh, json.dumps(line))
        self.assertEqual(self.metric("sallyport_refresh_total", result="reused"), 1)

    def test_refresh_tokens_and_families_end(self):
        idle, busy = self.token_pair("idle"), self.token_pair("busy")
        began, refused = time.monotonic(), None
        while time.monotonic() - began < 16 * PATIENCE:
            time.sleep(1 * PATIENCE)
            answer = self.refresh_by_form(busy["refresh_token"])
            if answer.status != 200:
                refused = time.monotonic() - began
                break
            busy = json.loads(answer.body)
            lived = time.monotonic() - began
        self.assert_invalid_grant(answer)
        self.assertTrue(10 * PATIENCE < refused < 14 * PATIENCE, refused)
        self.assertGreater(lived, 9 * PATIENCE)
        self.assert_invalid_grant(self.refresh_by_form(idle["refresh_token"]))


if __name__ == "__main__":
    main()
