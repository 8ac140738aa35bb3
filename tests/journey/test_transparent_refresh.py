"""Hazard H01: access cookies that expire on the way, and keys of the edge that rotate."""
import json

from support.gateway import main
from support.http_client import ask_together, bearer, request
from support.sessions import (ACCESS, REFRESH, SessionCase, claims_within, edge_keys, family_handle, flip, generation_of, set_cookies,
                              write_secret)
from support.tokens import forge, verify


class TransparentRefresh(SessionCase):
    """The access cookie has expired, and the request goes through nevertheless."""

    def test_an_expired_access_cookie_is_renewed_on_the_way(self):
        browser = self.expire_access(self.sign_in_with_tokens("late", roles=["admin"]))
        before = browser.copy()
        self.assertEqual(self.with_token(before.cookies[ACCESS]).status, 401)
        answer = browser.ask("GET", "/admin/x")
        self.assert_subject(answer, "late")
        self.assertEqual(set(set_cookies(answer)), {ACCESS, REFRESH})
        seen = self.oracle.last
        self.assertEqual((seen.header("X-Auth-Method"), seen.header("X-Auth-Roles"), seen.all("Cookie")), ("jwt", "admin", []))
        self.assertEqual(generation_of(browser.refresh), 2)
        answer = browser.ask("GET", "/admin/x")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        answer = before.ask("GET", "/admin/x")  # the same old cookies again: the same successor
        self.assert_subject(answer, "late")
        self.assertEqual(before.refresh, browser.refresh)

    def test_an_access_cookie_that_the_browser_dropped_is_renewed_too(self):
        browser = self.sign_in_with_tokens("dropped")
        del browser.cookies[ACCESS]
        self.assert_subject(browser.ask("GET", "/api/x"), "dropped")
        self.assertIn(ACCESS, browser.cookies)

    def test_what_is_not_renewed(self):
        def ask(browser, *lines, target="/api/x"):
            with self.nothing_upstream():
                answer = browser.ask("GET", target, *lines)
            self.assertNotEqual(answer.status, 200)
            self.assertEqual([each for each in set_cookies(answer).values() if not each.clears], [])
            return answer
        browser = self.expire_access(self.sign_in_with_tokens())
        browser.cookies[ACCESS] = flip(browser.cookies[ACCESS], len(browser.cookies[ACCESS]) - 10)
        self.assertEqual(ask(browser).status, 401)  # not expired alone: forged
        browser = self.expire_access(self.sign_in_with_tokens())
        browser.cookies[REFRESH] = flip(browser.refresh, 5)
        self.assertEqual(ask(browser).status, 401)
        browser = self.expire_access(self.sign_in_with_tokens())
        self.assertEqual(ask(browser, bearer("bad")).status, 401)  # a bearer token decides
        for target in ("/corp/x", "/sessions-only/x"):  # routes that do not take our tokens
            self.assertEqual(ask(browser, target=target).status, 401)
        self.assert_subject(browser.ask("GET", "/api/x"), "alice")
        mobile = self.token_pair()
        self.assertEqual(self.get(bearer(forge({"alg": "none"}, {})), f"Cookie: {REFRESH}={mobile['refresh_token']}").status, 401)

    def test_a_public_route_spends_nothing(self):
        browser = self.expire_access(self.sign_in_with_tokens())
        answer = browser.ask("GET", "/public/x")
        self.assertEqual((answer.status, answer.all("Set-Cookie")), (200, []))
        self.assertEqual(self.oracle.last.header("X-Auth-Method"), "anonymous")

    def test_an_unsafe_request_is_checked_before_anything_is_spent(self):
        browser = self.expire_access(self.sign_in_with_tokens("posting"))
        forced = browser.copy()
        forced.speaks = False
        with self.nothing_upstream():
            answer = forced.ask("POST", "/api/x", "Sec-Fetch-Site: cross-site", body=b"x")
        self.assertEqual(answer.status, 403)
        answer = browser.ask("POST", "/api/x", body=b"hello")
        self.assert_subject(answer, "posting")
        self.assertEqual(json.loads(answer.body)["body_bytes"], 5)
        self.assertEqual(generation_of(browser.refresh), 2)

    def test_a_family_that_is_over_is_a_plain_401(self):
        browser = self.expire_access(self.sign_in_with_tokens())
        self.revoke(family=family_handle(browser.refresh))
        with self.nothing_upstream():
            self.assert_problem(browser.ask("GET", "/api/x"), 401)

    def test_H01_many_at_once_rotate_once(self):
        for number in range(3):
            browser = self.expire_access(self.sign_in_with_tokens(f"parallel-{number}"))
            rotated = self.metric("sallyport_refresh_total", result="rotated")
            data = request("GET", "/api/x", *browser.lines())
            answers = ask_together([self.gateway.addresses["plain"]], [data] * 100)
            self.assertEqual([answer.status for answer in answers], [200] * 100)
            successors = {set_cookies(answer)[REFRESH].value for answer in answers}
            self.assertEqual(len(successors), 1)
            self.assertEqual(generation_of(successors.pop()), 2)
            self.assertEqual(len({claims_within(set_cookies(answer)[ACCESS].value)["jti"] for answer in answers}), 1)
            self.assertEqual(self.metric("sallyport_refresh_total", result="rotated") - rotated, 1)


class Algorithms(SessionCase):
    """Every kind of edge key, and their rotation."""
    redis_options = []

    def write_keys(self, text: str) -> None:
        write_secret(self.stand.folder / "keys/edge.jwks.json", text)
        self.gateway.stop()
        self.gateway.start()

    def public_keys(self) -> list[dict]:
        return json.loads(self.get(target="/.gateway/jwks.json").body)["keys"]

    def test_each_algorithm_signs_what_openssl_verifies(self):
        for algorithm in ("RS256", "EdDSA", "ES256"):
            with self.subTest(algorithm):
                self.write_keys(edge_keys(algorithm))
                pair = self.token_pair()
                header, claims = verify(pair["access_token"], self.public_keys())
                self.assertEqual((header["alg"], claims["sub"]), (algorithm, "alice"))
                self.assert_subject(self.with_token(pair["access_token"]), "alice")

    def test_keys_rotate_without_a_logout(self):
        old, new = (json.loads(edge_keys("ES256", kids=[kid]))["keys"][0] for kid in ("old", "new"))
        self.write_keys(json.dumps({"keys": [old]}))
        browser, mobile = self.sign_in_with_tokens("rotating"), self.token_pair("rotating")
        session = self.sign_in("rotating")
        self.write_keys(json.dumps({"keys": [new, old]}))
        self.assertEqual({key["kid"] for key in self.public_keys()}, {"old", "new"})
        self.assert_subject(self.with_token(mobile["access_token"]), "rotating")
        self.assert_subject(browser.ask("GET", "/api/x"), "rotating")
        second = self.refreshed(mobile["refresh_token"])
        self.assertEqual(verify(second["access_token"], self.public_keys())[0]["kid"], "new")
        self.write_keys(json.dumps({"keys": [new]}))
        self.assertEqual(self.with_token(mobile["access_token"]).status, 401)
        self.assert_subject(self.with_token(second["access_token"]), "rotating")
        self.assert_subject(self.with_token(self.refreshed(second["refresh_token"])["access_token"]), "rotating")
        self.assert_subject(session.ask("GET", "/api/x"), "rotating")


if __name__ == "__main__":
    main()
