"""Rules that add, set and remove fields, and security headers."""
import unittest

from support.gateway import GatewayCase


class HeaderRules(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        policies["routes"] += [
            {"name": "ruled", "match": {"path": "/ruled/**"}, "access": "authenticated", "upstream": "service",
             "request_headers": {"set": {"X-Stage": "production"}, "add": {"X-Tag": "edge"}, "remove": ["X-Debug", "User-Agent"]},
             "response_headers": {"set": {"Cache-Control": "private"}, "add": {"Link": "</b>"}, "remove": ["X-Powered-By", "Set-Cookie"]}},
            {"name": "strict", "match": {"path": "/strict/**"}, "access": "authenticated", "upstream": "service", "security_headers": "strict"},
        ]

    def test_request_rules_replace_what_the_client_says_with_all_its_aliases(self):
        self.ask("GET", "/ruled/x", "X-Stage: test", "x_stage: test", "X.Stage: test", "X-Tag: mine", "X-Debug: 1", "X_Debug: 2",
                 "User-Agent: curl", token=self.stand.token(sub="alice"))
        seen = self.oracle.last
        self.assertEqual(seen.all("X-Stage"), ["production"])
        self.assertEqual(seen.all("X-Tag"), ["mine", "edge"])
        self.assertTrue(seen.folded_names().isdisjoint({"x-debug", "user-agent"}))
        self.assertEqual([name.lower().replace("_", "-").replace(".", "-") for name, _ in seen.headers].count("x-stage"), 1)
        self.assertEqual(seen.header("X-Auth-Subject"), "alice")

    def test_rules_come_before_identity(self):
        self.ask("GET", "/ruled/x", token=self.stand.token(sub="alice"))
        names = [name.lower() for name, _ in self.oracle.last.headers]
        self.assertLess(names.index("x-tag"), names.index("x-auth-subject"))

    def test_response_rules_change_what_the_upstream_says_and_nothing_of_ours(self):
        self.oracle.answer = lambda *_: (b"HTTP/1.1 200 OK\r\nX-Powered-By: php\r\nSet-Cookie: a=b\r\nCache-Control: public\r\nLink: </a>\r\n"
                                         b"Content-Length: 0\r\n\r\n")
        answer = self.ask("GET", "/ruled/x", token=self.stand.token())
        self.assertEqual(answer.all("Cache-Control"), ["private"])
        self.assertEqual(answer.all("Link"), ["</a>", "</b>"])
        self.assertIsNone(answer.header("X-Powered-By"))
        self.assertIsNone(answer.header("Set-Cookie"))
        self.assertIsNotNone(answer.header("X-Request-Id"))
        refused = self.ask("GET", "/ruled/x")
        self.assertEqual((refused.status, refused.all("Cache-Control")), (401, ["no-store"]))

    def test_other_routes_are_left_alone(self):
        self.ask("GET", "/public/x", "X-Debug: 1", "X-Stage: test")
        self.assertEqual((self.oracle.last.header("X-Debug"), self.oracle.last.header("X-Stage")), ("1", "test"))

    def test_security_headers_stand_on_every_answer_of_their_route(self):
        for name, answer in {"upstream": self.ask("GET", "/strict/x", token=self.stand.token()), "ours": self.ask("GET", "/strict/x")}.items():
            with self.subTest(name):
                self.assertEqual(answer.header("Strict-Transport-Security"), "max-age=31536000")
                self.assertEqual(answer.header("Content-Security-Policy"), "frame-ancestors 'none'")
                self.assertEqual(answer.header("X-Frame-Options"), "DENY")
                self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
                self.assertEqual(answer.header("Referrer-Policy"), "strict-origin-when-cross-origin")
        self.assertIsNone(self.ask("GET", "/strict/x", tls=False).header("Strict-Transport-Security"))

    def test_the_upstreams_own_security_headers_stay(self):
        self.oracle.answer = lambda *_: (b"HTTP/1.1 200 OK\r\nX-Frame-Options: SAMEORIGIN\r\nStrict-Transport-Security: max-age=5\r\n"
                                         b"Content-Length: 0\r\n\r\n")
        answer = self.ask("GET", "/strict/x", token=self.stand.token())
        self.assertEqual(answer.all("X-Frame-Options"), ["SAMEORIGIN"])
        self.assertEqual(answer.all("Strict-Transport-Security"), ["max-age=5"])
        self.assertIsNone(answer.header("Content-Security-Policy"))


if __name__ == "__main__":
    unittest.main()
