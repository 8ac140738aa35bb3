"""CORS: preflights that the gateway answers, those that it passes on, and what actual answers say."""
import unittest

from support.gateway import GatewayCase

APP = "https://app.example"


class Cors(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        def route(name: str, access: str, cors, **more) -> dict:
            return {"name": name, "match": {"path": f"/{name}/**"}, "access": access, "upstream": "service", "cors": cors} | more
        policies["routes"] += [
            route("shared", "authenticated", {"allowed_origins": [APP, "https://other.example:8443"], "allowed_methods": ["GET", "DELETE"],
                                              "allowed_headers": ["Authorization", "X-Thing"], "exposed_headers": ["ETag"],
                                              "allow_credentials": True, "max_age": "10m"}),
            route("open", "public", {"allowed_origins": ["*"]}),
            route("sandboxed", "public", {"allowed_origins": ["null"]}),
            route("passed", "authenticated", "pass", forward_credentials=True),
            {"name": "split-read", "match": {"path": "/split/**", "methods": ["GET"]}, "access": "public", "upstream": "service"},
            {"name": "split-write", "match": {"path": "/split/**", "methods": ["PUT"]}, "access": "authenticated", "upstream": "service",
             "cors": {"allowed_origins": [APP]}},
        ]

    def preflight(self, target: str, *headers: str, origin: str = APP, method: str = "GET"):
        return self.ask("OPTIONS", target, f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *headers)

    def test_a_preflight_is_answered_without_a_credential_and_without_the_upstream(self):
        answer = self.preflight("/shared/x", "Access-Control-Request-Headers: authorization, x-thing", method="DELETE")
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.header("Access-Control-Allow-Origin"), APP)
        self.assertEqual(answer.header("Access-Control-Allow-Credentials"), "true")
        self.assertEqual(answer.header("Access-Control-Allow-Methods"), "GET, DELETE")
        self.assertEqual(answer.header("Access-Control-Allow-Headers"), "Authorization, X-Thing")
        self.assertEqual(answer.header("Access-Control-Max-Age"), "600")
        self.assertIn("Origin", answer.header("Vary"))
        self.assertEqual(len(self.oracle.seen), 0)

    def test_a_preflight_is_refused_for_what_is_not_allowed(self):
        refused = {
            "origin": self.preflight("/shared/x", origin="https://evil.example"),
            "origin with a suffix": self.preflight("/shared/x", origin=APP + ".evil.example"),
            "origin in upper case": self.preflight("/shared/x", origin=APP.upper()),
            "null": self.preflight("/shared/x", origin="null"),
            "method": self.preflight("/shared/x", method="PUT"),
            "header": self.preflight("/shared/x", "Access-Control-Request-Headers: x-thing, x-other"),
        }
        for name, answer in refused.items():
            with self.subTest(name):
                self.assertEqual(answer.status, 403)
                self.assertIsNone(answer.header("Access-Control-Allow-Origin"))
        self.assertEqual(len(self.oracle.seen), 0)

    def test_what_is_no_preflight_is_judged_like_any_request(self):
        self.assertEqual(self.ask("OPTIONS", "/shared/x").status, 401)
        self.assertEqual(self.ask("OPTIONS", "/shared/x", f"Origin: {APP}").status, 401)
        self.assertEqual(self.ask("OPTIONS", "/shared/x", f"Origin: {APP}", "Origin: https://evil.example",
                                  "Access-Control-Request-Method: GET").status, 401)
        self.assertEqual(self.ask("OPTIONS", "/api/x", f"Origin: {APP}", "Access-Control-Request-Method: GET").status, 401)
        self.assertEqual(len(self.oracle.seen), 0)

    def test_the_route_of_the_requested_method_answers(self):
        self.assertEqual(self.preflight("/split/x", method="PUT").status, 204)
        self.assertEqual(self.preflight("/split/x", method="GET").status, 405)

    def test_an_actual_answer_names_the_very_origin(self):
        self.oracle.answer = lambda *_: (b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Allow-Private-Network: true\r\n"
                                         b"Vary: Accept\r\nContent-Length: 0\r\n\r\n")
        answer = self.ask("GET", "/shared/x", f"Origin: {APP}", token=self.stand.token())
        self.assertEqual(answer.all("Access-Control-Allow-Origin"), [APP])
        self.assertEqual(answer.header("Access-Control-Allow-Credentials"), "true")
        self.assertEqual(answer.header("Access-Control-Expose-Headers"), "ETag")
        self.assertIsNone(answer.header("Access-Control-Allow-Private-Network"))
        self.assertEqual(answer.all("Vary"), ["Accept", "Origin"])
        for origin in ("https://evil.example", "null"):
            foreign = self.ask("GET", "/shared/x", f"Origin: {origin}", token=self.stand.token())
            self.assertEqual((foreign.status, foreign.all("Access-Control-Allow-Origin")), (200, []))
            self.assertEqual(foreign.all("Vary"), ["Accept", "Origin"])

    def test_a_page_may_read_why_it_was_refused(self):
        answer = self.ask("GET", "/shared/x", f"Origin: {APP}")
        self.assertEqual((answer.status, answer.header("Access-Control-Allow-Origin")), (401, APP))

    def test_every_origin_and_no_origin(self):
        answer = self.ask("GET", "/open/x", f"Origin: {APP}")
        self.assertEqual(answer.header("Access-Control-Allow-Origin"), "*")
        self.assertIsNone(answer.header("Access-Control-Allow-Credentials"))
        self.assertIsNone(self.ask("GET", "/open/x", "Origin: null").header("Access-Control-Allow-Origin"))
        self.assertEqual(self.ask("GET", "/sandboxed/x", "Origin: null").header("Access-Control-Allow-Origin"), "null")

    def test_a_passed_preflight_carries_nobody_and_no_credential(self):
        self.oracle.answer = lambda *_: b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: https://mine.example\r\n\r\n"
        answer = self.preflight("/passed/x", f"Authorization: Bearer {self.stand.token()}", "Cookie: a=b", "X-Auth-Subject: boss",
                                "X_Auth_Subject: boss", "X-HTTP-Method-Override: DELETE", "X-Api-Key: k", origin="https://mine.example")
        self.assertEqual((answer.status, answer.header("Access-Control-Allow-Origin")), (204, "https://mine.example"))
        seen = self.oracle.last
        self.assertEqual((seen.method, seen.header("X-Auth-Method")), ("OPTIONS", "anonymous"))
        self.assertEqual(seen.header("Origin"), "https://mine.example")
        self.assertTrue(seen.folded_names().isdisjoint({"authorization", "cookie", "x-auth-subject", "x-http-method-override", "x-api-key"}))

    def test_a_preflight_with_a_body_is_none(self):
        answer = self.ask("OPTIONS", "/passed/x", f"Origin: {APP}", "Access-Control-Request-Method: GET", body=b"hello")
        self.assertEqual(answer.status, 401)
        self.assertEqual(len(self.oracle.seen), 0)


if __name__ == "__main__":
    unittest.main()
