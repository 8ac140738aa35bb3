"""Hazards I: what the service is told about the caller comes from the gateway alone (DESIGN §3.1), seen by the oracle."""
import re

from support.gateway import GatewayCase, main
from support.http_client import bearer, chunked, request

OURS = ["X-Auth-Subject", "X-Auth-Issuer", "X-Auth-Method", "X-Auth-Roles", "X-Auth-Scopes", "X-Auth-Session", "X-Auth-Assertion",
        "X-Auth-Establish", "X-User-Id", "X-User-Email"]
FORWARDING = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri",
              "X-Forwarded-Method", "X-Forwarded-Server", "Forwarded", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL"]


def aliases(name: str) -> list[str]:
    words = name.split("-")
    return [name, name.upper(), name.lower(), "_".join(words), ".".join(words), "-".join(words[:-1]) + "_" + words[-1],
            "_".join(words).lower(), words[0] + "_" + "-".join(words[1:])]


class IdentityHeaders(GatewayCase):
    def setUp(self):
        super().setUp()
        self.token = self.stand.token(roles=["reader", "writer"], scope="a:read b:write")

    def assert_not_seen(self, *secrets: str) -> None:
        for secret in secrets:
            self.assertNotIn(secret.encode(), self.oracle.last.raw_head)

    def test_the_service_sees_the_verified_identity(self):
        self.assertEqual(self.ask("GET", "/api/x?q=1", token=self.token).status, 200)
        seen = self.oracle.last
        self.assertEqual(seen.target, "/api/x?q=1")
        for name, value in {"X-Auth-Subject": "alice", "X-Auth-Issuer": "https://issuer.test", "X-Auth-Method": "jwt",
                            "X-Auth-Roles": "reader,writer", "X-Auth-Scopes": "a:read,b:write", "Host": "localhost",
                            "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost",
                            "Via": "1.1 sallyport"}.items():
            self.assertEqual(seen.header(name), value, name)
        self.assertEqual(seen.all("Authorization"), [])
        self.assertTrue(seen.header("X-Request-Id"))

    def test_I01_a_spoofed_header_is_replaced(self):
        for name in ("X-Auth-Subject", "x-auth-subject", "X-AUTH-SUBJECT", "x-Auth-sUbject"):
            with self.subTest(name):
                self.assertEqual(self.ask("GET", "/api/x", f"{name}: mallory", token=self.token).status, 200)
                self.assertEqual(self.oracle.last.header("X-Auth-Subject"), "alice")
                self.assert_not_seen("mallory")

    def test_I02_on_public_and_optional_routes_it_is_removed_too(self):
        for target in ("/public/x", "/optional/x", "/stripped/x", "/read-only/x"):
            for method in ("GET", "HEAD", "OPTIONS"):
                if method == "OPTIONS" and target == "/read-only/x":
                    continue
                with self.subTest(f"{method} {target}"):
                    headers = [f"{name}: mallory" for name in OURS]
                    self.assertEqual(self.ask(method, target, *headers).status, 200)
                    self.assert_not_seen("mallory")
                    self.assertEqual(self.oracle.last.header("X-Auth-Method"), "anonymous")
                    self.assertEqual([name for name in self.oracle.last.names() if name.startswith("x-auth")], ["x-auth-method"])

    def test_I03_aliases_are_removed(self):
        for target, headers in (("/public/x", ()), ("/api/x", (bearer(self.token),)), ("/mapped/x", (bearer(self.token),))):
            for name in OURS:
                with self.subTest(f"{target} {name}"):
                    spoofed = [f"{alias}: mallory" for alias in aliases(name)]
                    self.assertEqual(self.ask("GET", target, *headers, *spoofed).status, 200)
                    self.assert_not_seen("mallory")

    def test_I03_a_name_that_only_resembles_ours_passes(self):
        self.assertEqual(self.ask("GET", "/public/x", "X-Auth-Subjects: kept", "X-Authsubject: kept2", "XX-Auth-Subject: kept3").status,
                         200)
        for name, value in {"X-Auth-Subjects": "kept", "X-Authsubject": "kept2", "XX-Auth-Subject": "kept3"}.items():
            self.assertEqual(self.oracle.last.header(name), value)

    def test_I04_trailers_never_arrive(self):
        for head in ("Trailer: X-Auth-Subject", "X-Plain: 1"):
            data = request("POST", "/public/x", "Transfer-Encoding: chunked", head) + chunked(b"body")[:-2]
            data += b"X-Auth-Subject: mallory\r\nX-Other: mallory\r\nHost: mallory\r\n\r\n"
            with self.subTest(head):
                self.assertEqual(self.exchange(data, tls=True).status, 200)
                seen = self.oracle.last
                self.assertEqual(seen.body, b"body")
                self.assert_not_seen("mallory")
                self.assertEqual(seen.all("Trailer"), [])

    def test_I05_connection_cannot_remove_our_headers(self):
        for value in ("X-Auth-Subject", "close, x-auth-subject",
                      "keep-alive, Authorization, Cookie, Host, X-Forwarded-For, X-Request-Id, Via"):
            with self.subTest(value):
                self.assertEqual(self.ask("GET", "/api/x", f"Connection: {value}", "X-Hop: 1", token=self.token).status, 200)
                seen = self.oracle.last
                for name in ("X-Auth-Subject", "X-Forwarded-For", "X-Request-Id", "Via", "Host"):
                    self.assertEqual(len(seen.all(name)), 1, name)
                self.assertNotIn("x-auth-subject", (seen.header("Connection") or "").lower())
        self.assertEqual(self.ask("GET", "/public/x", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 5", "Proxy-Connection: keep-alive",
                                  "X-Kept: 1").status, 200)
        seen = self.oracle.last
        self.assertEqual((seen.all("X-Hop"), seen.all("Keep-Alive"), seen.all("Proxy-Connection"), seen.all("X-Kept")), ([], [], [], ["1"]))

    def test_I08_our_header_comes_once_however_often_it_was_sent(self):
        spoofed = ["X-Auth-Subject: mallory"] * 3
        self.assertEqual(self.ask("GET", "/api/x", *spoofed, bearer(self.token), *spoofed).status, 200)
        self.assertEqual(self.oracle.last.all("X-Auth-Subject"), ["alice"])

    def test_I09_without_the_claim_the_callers_own_header_is_gone(self):
        self.assertEqual(self.ask("GET", "/mapped/x", "X-User-Email: boss@example.test", token=self.stand.token(email="a@b.c")).status, 200)
        self.assertEqual(self.oracle.last.header("X-User-Email"), "a@b.c")
        self.assertEqual(self.ask("GET", "/mapped/x", "X-User-Email: boss@example.test", token=self.token).status, 200)
        self.assertEqual(self.oracle.last.all("X-User-Email"), [])
        self.assertEqual(self.oracle.last.header("X-User-Id"), "alice")
        self.assertEqual(self.oracle.last.header("X-Auth-Method"), "jwt")  # always goes along
        self.assertEqual(self.oracle.last.all("X-Auth-Subject"), [])       # this route names its own

    def test_I10_forwarding_headers_are_written_fresh(self):
        for name in FORWARDING:
            with self.subTest(name):
                spoofed = [f"{alias}: 6.6.6.6" for alias in aliases(name)]
                self.assertEqual(self.ask("GET", "/public/x", *spoofed).status, 200)
                self.assert_not_seen("6.6.6.6")
                self.assertEqual(self.oracle.last.header("X-Forwarded-For"), "127.0.0.1")

    def test_I10_forwarding_headers_never_decide(self):
        with self.nothing_upstream():
            for header in ("X-Forwarded-Uri: /public/x", "X-Original-URL: /public/x", "X-Rewrite-URL: /public/x",
                           "X-Forwarded-Method: OPTIONS",
                           "X-HTTP-Method-Override: GET", "X-Forwarded-Prefix: /public", "X-Forwarded-Host: api.test",
                           "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1;host=public"):
                with self.subTest(header):
                    self.assert_problem(self.ask("GET", "/admin/x", header), 401)

    def test_I11_nobody_is_trusted_by_default(self):
        for header in ("X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: ::ffff:127.0.0.1", "X-Forwarded-For: fe80::1%eth0"):
            self.assertEqual(self.ask("GET", "/public/x", header, tls=False).status, 200)
            self.assertEqual(self.oracle.last.header("X-Forwarded-For"), "127.0.0.1")
            self.assertEqual(self.oracle.last.header("X-Forwarded-Proto"), "http")

    def test_I16_authorization_goes_where_the_route_says(self):
        self.assertEqual(self.ask("GET", "/api/x", token=self.token).status, 200)
        self.assertEqual(self.oracle.last.all("Authorization"), [])
        self.assertEqual(self.ask("GET", "/passing/x", token=self.token).status, 200)
        self.assertEqual(self.oracle.last.header("Authorization"), f"Bearer {self.token}")
        self.assertEqual(self.ask("GET", "/public/x", "Authorization: Bearer not-ours").status, 200)
        self.assertEqual(self.oracle.last.header("Authorization"), "Bearer not-ours")

    def test_I17_a_health_checks_user_agent_opens_nothing(self):
        for agent in ("GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"):
            with self.nothing_upstream():
                self.assert_problem(self.ask("GET", "/api/x", f"User-Agent: {agent}"), 401)
            self.assertEqual(self.ask("GET", "/public/x", f"User-Agent: {agent}").status, 200)

    def test_I18_identity_headers_in_an_answer_are_the_services_own_affair(self):
        self.oracle.answer = lambda *_: (b"HTTP/1.1 200 OK\r\nServer: origin\r\nX-Kept: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
                                         b"Keep-Alive: timeout=5\r\nX-Auth-Establish: e30\r\nContent-Length: 2\r\n\r\nok")
        response = self.ask("GET", "/public/x")
        self.assertEqual((response.status, response.body, response.header("X-Kept")), (200, b"ok", "1"))
        for name in ("X-Hop", "Keep-Alive", "X-Auth-Establish"):
            self.assertEqual(response.all(name), [], name)

    def test_names_that_fold_to_framing_are_removed(self):
        self.assertEqual(self.ask("POST", "/public/x", "Content_Length: 500", "Transfer_Encoding: chunked", "Transfer.Encoding: x",
                                  body=b"abc").status, 200)
        seen = self.oracle.last
        self.assertEqual(seen.body, b"abc")
        self.assertEqual(seen.folded_names() & {"transfer-encoding"}, set())
        self.assertEqual([name for name in seen.names() if name.startswith("content_")], [])

    def test_te_and_trailer_never_arrive(self):
        self.assertEqual(self.ask("GET", "/public/x", "TE: trailers", "Connection: TE", "Trailer: X", "Upgrade: foo").status, 200)
        for name in ("TE", "Trailer", "Upgrade"):
            self.assertEqual(self.oracle.last.all(name), [], name)

    def test_the_request_id_is_ours_and_the_same_everywhere(self):
        response = self.ask("GET", "/public/x", "X-Request-Id: mallory", "X_Request_Id: mallory")
        sent = self.oracle.last.header("X-Request-Id")
        self.assert_not_seen("mallory")
        self.assertEqual(response.header("X-Request-Id"), sent)
        self.gateway.wait_for_line("access", lambda line: line.get("request_id") == sent)
        self.assertNotEqual(self.ask("GET", "/public/x").header("X-Request-Id"), sent)

    def test_traceparent_keeps_its_trace_and_a_malformed_one_is_replaced(self):
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        form = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
        self.ask("GET", "/public/x", f"traceparent: 00-{trace}-00f067aa0ba902b7-01", "tracestate: a=b")
        seen = self.oracle.last
        self.assertRegex(seen.header("traceparent"), form)
        self.assertEqual(seen.header("traceparent").split("-")[1::2], [trace, "01"])
        for header in ("X-None: 1", "traceparent: 00-zz-zz-01", f"traceparent: 00-{'0' * 32}-00f067aa0ba902b7-01",
                       f"traceparent: ff-{trace}-00f067aa0ba902b7-01", f"traceparent: 00-{trace.upper()}-00f067aa0ba902b7-01"):
            with self.subTest(header):
                self.ask("GET", "/public/x", header)
                self.assertRegex(self.oracle.last.header("traceparent"), form)
                self.assertNotIn(trace, self.oracle.last.header("traceparent"))

    def test_the_host_goes_on_as_it_came(self):
        for host in ("localhost", "Example.TEST:8443", "127.0.0.1", "[::1]:80"):
            self.assertEqual(self.ask("GET", "/public/x", host=host).status, 200)
            self.assertEqual(self.oracle.last.header("Host"), host)
            self.assertEqual(self.oracle.last.header("X-Forwarded-Host"), host)


if __name__ == "__main__":
    main()
