"""Hazards J: the path that was judged is the path that is sent, and nothing slips between the routes. Also policies, as a caller meets
them."""
from support.gateway import PATIENCE, GatewayCase, main
from support.http_client import request


class Paths(GatewayCase):
    """/public/** is open, /admin/** needs a role, /api/** a token; no route below / catches the rest."""

    def status(self, target: str, *headers: str, method: str = "GET", **options) -> int:
        return self.ask(method, target, *headers, **options).status

    def assert_refused(self, target: str, *statuses: int) -> None:
        for tls in (True, False):
            with self.subTest(f"{target[:60]} tls={tls}"), self.nothing_upstream():
                response = self.exchange(request("GET", target), tls=tls)
                self.assertIn(response.status, statuses)
                if response.status == 400:
                    self.assertTrue(response.closes)

    def assert_sent(self, target: str, as_: str | None = None) -> None:
        with self.subTest(target[:60]):
            self.assertEqual(self.status(target), 200)
            self.assertEqual(self.oracle.last.target, as_ or target)

    def test_J01_climbing_out_is_refused(self):
        for target in ("/public/../admin", "/public/../../admin", "/..", "/.", "/public/.", "/public/./x", "/public/..", "/../public/x"):
            self.assert_refused(target, 400)
        self.assert_sent("/public/x")

    def test_J02_encoded_dots_are_dots(self):
        for dots in ("%2e%2e", "%2E%2E", ".%2e", "%2e.", "%2E.", ".%2E", "%2e", "%2E"):
            self.assert_refused(f"/public/{dots}/admin", 400)
        self.assert_sent("/public/%2e%2e%2e/x", "/public/.../x")  # three dots are a name

    def test_J03_semicolons_belong_to_the_segment(self):
        self.assert_refused("/public/..;/admin", 400)  # a dot segment to whoever drops parameters
        self.assert_refused("/public/.;x=1/admin", 400)
        self.assert_sent("/public/a;x=1/b;y")
        self.assert_refused("/admin;x=1", 404)
        self.assert_refused("/;/admin", 404)
        self.assert_refused("/public;x/y", 404)

    def test_J04_empty_segments_are_refused(self):
        for target in ("//admin", "///admin", "/public//../admin", "/public//x", "//public/x", "/public/x//"):
            self.assert_refused(target, 400)
        self.assert_sent("/public/x/")

    def test_J05_encoded_slashes_and_backslashes_are_refused(self):
        for target in ("/public%2f..%2fadmin", "/public/%2Fadmin", "/public/%5cadmin", "/public/%5C..%5cadmin", "/public\\..\\admin",
                       "/public/\\x"):
            self.assert_refused(target, 400)

    def test_J06_encoded_unreserved_bytes_are_decoded_once(self):
        for target in ("/%61dmin", "/adm%69n", "/%61%64%6D%69%6E/x", "/adm%69n/x"):
            self.assert_refused(target, 401)
        self.assert_sent("/%70ublic/%7Euser/%41%5f%2d", "/public/~user/A_-")

    def test_J07_nothing_is_decoded_twice(self):
        self.assert_refused("/%2561dmin", 404)
        self.assert_sent("/public/%2561dmin")
        self.assert_sent("/public/%252e%252e/admin")

    def test_J08_encoded_control_bytes_are_refused(self):
        for target in ("/admin%00", "/public/%00", "/public/%0a", "/public/%0d%0aX:y", "/public/%1f", "/public/%7f", "/public/%09"):
            self.assert_refused(target, 400)
        self.assert_sent("/public/%20x")
        self.assert_sent("/public/%c3%a9", "/public/%C3%A9")

    def test_J09_paths_are_compared_with_their_case(self):
        self.assert_refused("/ADMIN", 404)
        self.assert_refused("/Public/x", 404)
        self.assert_refused("/PUBLIC/x", 404)

    def test_J10_a_trailing_slash_is_part_of_the_path(self):
        for target in ("/admin", "/admin/", "/admin/x", "/admin/x/"):
            self.assert_refused(target, 401)
        for target in ("/admin/.", "/admin/./x"):
            self.assert_refused(target, 400)
        self.assert_sent("/public/")
        self.assert_sent("/public")

    def test_J11_the_query_never_matches(self):
        self.assert_refused("/admin?x", 401)
        self.assert_refused("/admin?/public", 401)
        self.assert_refused("/api/private?path=/public", 401)
        self.assert_sent("/public?/../admin")
        self.assert_sent("/public/x?a=//..%2f%00&b=%61")  # the query goes as it came

    def test_J12_fragments_are_refused(self):
        for target in ("/admin#/public", "/public#/../admin", "/public/x#", "/public/x?a#b"):
            self.assert_refused(target, 400)

    def test_J13_broken_and_overlong_encodings(self):
        for target in ("/public/%", "/public/%2", "/public/%zz", "/public/%u002e", "/public/%2g", "/%", "/public/%-1"):
            self.assert_refused(target, 400)
        for target in ("/public/%c0%af", "/public/%C0%AE%C0%AE/admin", "/%e0%80%afadmin", "/public/%f0%80%80%af"):
            self.assert_refused(target, 400)
        self.assert_sent("/public/%E2%82%AC/%FF")  # UTF-8, and a byte that is no UTF-8: sent as judged

    def test_J14_prefixes_end_at_segments(self):
        for target in ("/publicx", "/public.evil", "/public-x/y", "/apix", "/apix/y", "/adminx", "/pub"):
            self.assert_refused(target, 404)

    def test_J15_targets_that_are_no_path_are_refused(self):
        for target in ("*", "admin", "public/x", "http:/admin", "http:///admin", "http://", "?x", "@localhost/public/x",
                       "ftp://localhost/public/x",
                       "localhost:80"):
            self.assert_refused(target, 400)
        self.assert_refused("//evil/admin", 400)

    def test_J16_absolute_form_is_judged_and_sent_as_origin_form(self):
        self.assert_refused("http://localhost/admin", 401)
        for target in ("http://localhost/public/x?q", "HTTP://LOCALHOST/public/x?q", "https://localhost/public/x?q"):
            self.assert_sent(target, "/public/x?q")
        self.assert_refused("http://evil.test/public/x", 400)
        self.assert_refused("http://user@localhost/public/x", 400)
        self.assert_refused("http://localhost:81/public/x", 400)
        self.assert_refused("http://localhost/public/../admin", 400)

    def test_J17_no_unicode_is_folded(self):
        for target in ("/\xef\xbd\x81dmin", "/caf\xc3\xa9", "/public/\x80", "/public/\xff"):
            self.assert_refused(target, 400)  # raw bytes above 0x7E
        for target in ("/%ef%bd%81dmin", "/%ef%bc%8fadmin", "/public%ef%bc%8fadmin"):
            self.assert_refused(target, 404)

    def test_J18_long_targets_are_414(self):
        self.assert_sent("/public/" + "a" * 7_000)
        self.assert_refused("/public/" + "a" * 9_000, 414)
        self.assert_refused("/public" + "/a" * 10_000, 414, 431)
        self.assert_refused("/public/" + "../" * 5_000, 414, 431)
        self.assert_refused("/public/" + "../" * 2_000, 400)
        self.assert_sent("/public" + "/a" * 3_000)

    def test_J19_methods_are_what_they_say(self):
        for method, expected in {"GET": 200, "POST": 200, "PATCH": 200, "DELETE": 200, "OPTIONS": 200, "TRACE": 405, "CONNECT": 405,
                                 "get": 501, "PROPFIND": 501, "GETX": 501}.items():
            with self.subTest(method):
                before = self.oracle.count
                response = self.exchange(request(method, "/public/x"))
                self.assertEqual(response.status, expected)
                self.assertEqual(self.oracle.count - before, int(expected == 200))
        for line in ("GET\0 /public/x", "G ET /public/x", "G@T /public/x", " GET /public/x", "\tGET /public/x", "G\xc9T /public/x"):
            with self.subTest(line), self.nothing_upstream():
                self.assertEqual(self.exchange(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1")).status, 400)
        self.assertEqual(self.status("/dav/x", method="PROPFIND"), 200)
        self.assertEqual(self.oracle.last.method, "PROPFIND")
        with self.nothing_upstream():
            self.assertEqual(self.status("/read-only/x", "X-HTTP-Method-Override: GET", method="DELETE"), 405)

    def test_J19_a_method_that_the_route_does_not_list_is_405_with_allow(self):
        with self.nothing_upstream():
            response = self.ask("POST", "/read-only/x", body=b"x")
        self.assert_problem(response, 405)
        self.assertEqual({name.strip() for name in response.header("Allow").split(",")}, {"GET", "HEAD"})

    def test_J20_no_path_makes_matching_slow(self):
        paths = ["/public/" + "a" * 7_000 + "!", "/public" + "/a" * 3_500 + "!", "/users" + "/users" * 1_200, "/public/" + "%61" * 2_300]
        with self.stand.connect(False) as connection:
            used = self.gateway.cpu_seconds()
            for _ in range(50):
                for path in paths:
                    self.assertIn(connection.ask("GET", path).status, (200, 401))
            self.assertLess(self.gateway.cpu_seconds() - used, 1 * PATIENCE)

    def test_J21_the_more_specific_route_wins_wherever_it_stands(self):
        self.assertEqual(self.status("/public/closed/x"), 401)
        self.assertEqual(self.status("/public/open/x"), 200)
        self.assertEqual(self.status("/public/special/x"), 401)
        self.assertEqual(self.status("/public/special/open"), 200)

    def test_J22_what_no_route_names_is_404(self):
        for target in ("/", "/secret", "/.gateway", "/.gateway/", "/.gateway/unknown", "/.gatewayx"):
            with self.subTest(target), self.nothing_upstream():
                self.assert_problem(self.ask("GET", target), 404)

    def test_J23_the_host_chooses_among_routes(self):
        for host in ("api.test", "API.TEST", "api.test:8443", "api.test."):
            with self.subTest(host):
                self.assertEqual(self.status("/hosted/x", host=host), 200)
        for host in ("localhost", "xapi.test", "api.test.evil.test", "sub.api.test", "127.0.0.1"):
            with self.subTest(host), self.nothing_upstream():
                self.assertEqual(self.status("/hosted/x", host=host), 404)

    def test_J24_a_rewrite_sends_what_was_judged(self):
        for target, sent in {"/stripped/x": "/x", "/stripped/x/y?q=/stripped": "/x/y?q=/stripped", "/stripped": "/", "/stripped/": "/",
                             "/stripped/%2561": "/%2561"}.items():
            with self.subTest(target):
                self.assertEqual(self.status(target), 200)
                self.assertEqual(self.oracle.last.target, sent)
        for target in ("/stripped/../admin", "/stripped%2f..", "/stripped/%2e%2e/admin", "/stripped//evil.test/x"):
            self.assert_refused(target, 400)

    def test_J26_head_and_options_are_judged_like_get(self):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            with self.subTest(method), self.nothing_upstream():
                self.assertEqual(self.status("/admin/x", method=method), 401)
                self.assertEqual(self.status("/admin/x", "Origin: https://a.test", "Access-Control-Request-Method: GET", method=method),
                                 401)
        token = self.stand.token(roles=["admin"])
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            self.assertEqual(self.status("/admin/x", method=method, token=token), 200)

    def test_options_asterisk_is_answered_here(self):
        with self.nothing_upstream():
            self.assertEqual(self.exchange(request("OPTIONS", "*"), "OPTIONS").status, 204)

    @classmethod
    def change(cls, stand, configuration, policies):
        policies["routes"] += [
            {"name": "closed", "match": {"path": "/public/closed/**"}, "access": "authenticated", "upstream": "service"},
            {"name": "special", "match": {"path": "/public/special/{name}"}, "access": "authenticated", "upstream": "service"},
            {"name": "special-open", "match": {"path": "/public/special/open"}, "access": "public", "upstream": "service"}]


class Policies(GatewayCase):
    def test_C16_a_missing_role_is_403_without_a_challenge(self):
        with self.nothing_upstream():
            response = self.ask("GET", "/admin/x", token=self.stand.token())
        problem = self.assert_problem(response, 403)
        self.assertNotIn("admin", problem["detail"])
        self.assertEqual(self.ask("GET", "/admin/x", token=self.stand.token(roles=["admin"])).status, 200)

    def test_a_missing_scope_is_403_and_named(self):
        with self.nothing_upstream():
            response = self.ask("GET", "/reports/x", token=self.stand.token())
        self.assert_problem(response, 403)
        challenge = response.header("WWW-Authenticate")
        self.assertIn('error="insufficient_scope"', challenge)
        self.assertIn('scope="reports:read"', challenge)

    def test_nobody_reads_anothers_pages(self):
        self.assertEqual(self.ask("GET", "/users/alice/profile", token=self.stand.token()).status, 200)
        for target in ("/users/bob/profile", "/users/Alice/profile", "/users/alice%20/profile", "/users/%2561lice/profile",
                       "/users/alicex/profile"):
            with self.subTest(target), self.nothing_upstream():
                self.assert_problem(self.ask("GET", target, token=self.stand.token()), 403)
        self.assertEqual(self.ask("GET", "/users/%61lice/profile", token=self.stand.token()).status, 200)
        self.assertEqual(self.oracle.last.target, "/users/alice/profile")
        self.assertEqual(self.ask("GET", "/users/a%20b/profile", token=self.stand.token(sub="a b")).status, 200)

    def test_optional_routes_pass_the_anonymous_and_refuse_the_bad(self):
        self.assertEqual(self.ask("GET", "/optional/x").status, 200)
        self.assertEqual(self.oracle.last.header("X-Auth-Method"), "anonymous")
        self.assertEqual(self.oracle.last.all("X-Auth-Subject"), [])
        self.assert_accepted(self.stand.token(), "/optional/x")
        self.assert_invalid_token("bad", "/optional/x")

    def test_public_routes_read_no_credential(self):
        for header in ("Authorization: Bearer bad", "Authorization: nonsense", f"Authorization: Bearer {self.stand.token()}"):
            self.assertEqual(self.ask("GET", "/public/x", header).status, 200)
            self.assertEqual(self.oracle.last.header("X-Auth-Method"), "anonymous")

    def test_requirements_combine(self):
        good = {"roles": ["editor"], "tenant": "acme"}
        self.assertEqual(self.ask("GET", "/combined/x", token=self.stand.token(**good)).status, 200)
        for name, more in {"suspended": {"suspended": True}, "tenant": {"tenant": "other"}, "role": {"roles": ["reader"]},
                           "nothing": {"roles": None, "tenant": None}}.items():
            with self.subTest(name), self.nothing_upstream():
                self.assertEqual(self.ask("GET", "/combined/x", token=self.stand.token(**(good | more))).status, 403)
        self.assertEqual(self.ask("GET", "/combined/x", token=self.stand.token(**(good | {"suspended": False}))).status, 200)

    def test_networks_are_of_the_peer(self):
        self.assertEqual(self.ask("GET", "/near/x", token=self.stand.token()).status, 200)
        with self.nothing_upstream():
            self.assertEqual(self.ask("GET", "/far/x", "X-Forwarded-For: 10.0.0.1", token=self.stand.token()).status, 403)

    @classmethod
    def change(cls, stand, configuration, policies):
        combined = {"all": [{"any": [{"role": "admin"}, {"role": "editor"}]}, {"claim": {"name": "tenant", "one_of": ["acme", "umbrella"]}},
                            {"not": {"claim": {"name": "suspended", "equals": True}}}]}
        for name, require in {"combined": combined, "near": {"network": ["127.0.0.0/8"]}, "far": {"network": ["10.0.0.0/8"]}}.items():
            policies["routes"].append({"name": name, "match": {"path": f"/{name}/**"}, "access": "authenticated", "require": require,
                                       "upstream": "service"})


if __name__ == "__main__":
    main()
