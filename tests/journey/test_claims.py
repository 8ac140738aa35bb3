"""Hazards C: claims, their types, limits and times, through the whole gateway. Every token here is correctly signed."""
import json
import os
import pathlib
import threading
import time

from support import tokens
from support.gateway import REPOSITORY, GatewayCase, main
from support.http_client import bearer
from support.tokens import claims_of

SHARED = "https://shared.test"


class Claims(GatewayCase):
    def sign(self, claims) -> str:
        """By the shared secret, which is quick; the same code judges the claims of every algorithm."""
        return self.stand.shared.sign(claims)

    def good(self, **more) -> dict:
        return claims_of(SHARED, **more)

    def assert_claims_refused(self, claims) -> None:
        self.assert_invalid_token(self.sign(claims))

    def assert_claims_accepted(self, claims) -> None:
        self.assert_accepted(self.sign(claims))

    def raw(self, name: str, json_text: str) -> str:
        """Good claims as text, with one member spelled as given."""
        claims = {key: value for key, value in self.good().items() if key != name}
        return json.dumps(claims)[:-1] + f', "{name}": {json_text}}}'

    def test_C01_exp_is_required(self):
        self.assert_claims_accepted(self.good())
        self.assert_claims_refused(self.good(exp=None))

    def test_C02_exp_of_another_type_is_refused(self):
        for value in ('"1"', '"99999999999"', "true", "null", "[]", "{}", f"[{int(time.time()) + 600}]"):
            with self.subTest(value):
                self.assert_claims_refused(self.raw("exp", value))

    def test_C03_exp_holds_with_the_tolerance_and_no_longer(self):
        now = int(time.time())
        self.assert_claims_accepted(self.good(exp=now + 60))
        self.assert_claims_accepted(self.good(exp=now - 1))  # tolerance 5 s
        self.assert_claims_refused(self.good(exp=now - 6))
        self.assert_claims_refused(self.good(exp=now - 3600))

    def test_C04_exp_may_be_a_fraction_and_is_compared_as_a_number(self):
        now = int(time.time())
        for value in (f"{now + 60}.5", "17e8", "1.9E+9", "1e10"):
            with self.subTest(value):
                number = float(value)
                (self.assert_claims_accepted if now < number < 253402300800 else self.assert_claims_refused)(self.raw("exp", value))
        for value in ("1.5", f"{now - 60}.999", "0.5"):
            with self.subTest(value):
                self.assert_claims_refused(self.raw("exp", value))

    def test_C05_extreme_numbers_never_wrap(self):
        for value in ("1e308", "1e999", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 20, "-1", "-0", "0",
                      "NaN", "Infinity", "-1e308", "-9223372036854775809"):
            with self.subTest(value):
                self.assert_claims_refused(self.raw("exp", value))

    def test_C06_milliseconds_are_no_expiry(self):
        self.assert_claims_refused(self.good(exp=int(time.time() * 1000) + 600_000))

    def test_C07_numbers_that_cost_are_refused_at_once(self):
        for value in ("1e999999999", "9" * 8_000, "0." + "0" * 8_000 + "1"):
            with self.subTest(value[:20]):
                used = self.gateway.cpu_seconds()
                self.assert_claims_refused(self.raw("exp", value))
                self.assertLess(self.gateway.cpu_seconds() - used, 1)

    def test_C08_nbf_holds(self):
        now = int(time.time())
        for good in (now - 60, now + 2):
            self.assert_claims_accepted(self.good(nbf=good))
        for name, value in {"future": now + 60, "string": str(now - 60), "true": True, "array": [], "object": {}}.items():
            with self.subTest(name):
                self.assert_claims_refused(self.good(nbf=value))
        self.assert_claims_refused(self.raw("nbf", "null"))
        self.assert_claims_refused(self.good(nbf=now + 700, exp=now + 600))

    def test_C09_iat_holds_and_max_age_needs_it(self):
        now = int(time.time())
        self.assert_claims_accepted(self.good(iat=None))
        for name, value in {"future": now + 60, "string": str(now), "false": False}.items():
            with self.subTest(name):
                self.assert_claims_refused(self.good(iat=value))
        aged = claims_of("https://aged.test")
        self.assert_accepted(self.stand.key.sign(aged))
        for name, value in {"missing": None, "too old": now - 120}.items():
            with self.subTest(f"max_age: {name}"):
                self.assert_invalid_token(self.stand.key.sign({k: v for k, v in (aged | {"iat": value}).items() if v is not None}))

    def test_C11_iss_is_compared_byte_for_byte(self):
        self.assert_claims_accepted(self.good())
        for name, value in {"wrong": "https://evil.test", "prefix": SHARED[:-1], "suffix": SHARED[1:], "longer": SHARED + ".evil",
                            "slash": SHARED + "/", "case": SHARED.upper(), "space": SHARED + " ", "homograph": "https://sh\u0430red.test",
                            "array": [SHARED], "empty": "", "number": 1, "NUL": SHARED + "\0"}.items():
            with self.subTest(name):
                self.assert_claims_refused(self.good() | {"iss": value})
        self.assert_claims_refused(self.raw("iss", "null"))
        self.assert_claims_refused({name: value for name, value in self.good().items() if name != "iss"})

    def test_C12_one_of_our_audiences_must_be_in_aud(self):
        for value in ("api", ["api"], ["other", "api"], ["api", "api"]):
            with self.subTest(f"good {value}"):
                self.assert_claims_accepted(self.good(audience=value))
        for value in ("other", ["other"], [], "", [""], [1], {}, {"api": 1}, [["api"]], "API", "api,other", "api other", " api", "ap",
                      "apix",
                      "api\0", 1, True, [None]):
            with self.subTest(f"bad {value!r}"):
                self.assert_claims_refused(self.good(audience=value))
        self.assert_claims_refused(self.good(audience=None))
        self.assert_claims_refused(self.raw("aud", "null"))

    def test_C13_sub_is_a_string_that_is_not_empty(self):
        for name, value in {"empty": "", "number": 1, "array": ["alice"], "object": {}}.items():
            with self.subTest(name):
                self.assert_claims_refused(self.good() | {"sub": value})
        self.assert_claims_refused(self.good(sub=None))
        for sub in ("alice\r\nX-Role: admin", "a" * 10_000):  # an identity, but none that can be told to a service
            with self.nothing_upstream():
                self.assertIn(self.ask("GET", "/api/x", token=self.sign(self.good(sub=sub))).status, (401, 403))

    def test_C14_a_claim_never_writes_a_second_header_line(self):
        self.assertEqual(self.ask("GET", "/mapped/x", token=self.sign(self.good(email="a@example.test"))).status, 200)
        self.assertEqual(self.oracle.last.header("X-User-Email"), "a@example.test")
        for name, value in {"CRLF": "x\r\nX-Role: admin", "LF": "x\nX-Role: admin", "CR": "x\rX-Role: admin", "NUL": "x\0y",
                            "DEL": "x\x7fy",
                            "HTAB": "x\ty", "ESC": "\x1b[2J", "9 KB": "x" * 9_000, "4097 bytes": "x" * 4097}.items():
            with self.subTest(name), self.nothing_upstream():
                response = self.ask("GET", "/mapped/x", token=self.sign(self.good(email=value)))
                self.assert_problem(response, 403)
        self.assertEqual(self.ask("GET", "/mapped/x", token=self.sign(self.good(email="x" * 4096))).status, 200)
        self.assertEqual(self.ask("GET", "/mapped/x", token=self.sign(self.good(email="bj\u00f6rn\u202e"))).status, 200)
        self.assertIn("X-User-Email: bj\u00f6rn\u202e".encode(), self.oracle.last.raw_head)  # UTF-8 goes as it is
        for lone in ('"\\ud800"', '"\\udc00x"'):
            with self.nothing_upstream():
                self.assert_invalid_token(self.sign(self.raw("email", lone)), "/mapped/x")

    def test_C14_a_list_element_with_a_comma_is_refused(self):
        self.assertEqual(self.ask("GET", "/api/x", token=self.sign(self.good(roles=["a", "b"]))).status, 200)
        self.assertEqual(self.oracle.last.header("X-Auth-Roles"), "a,b")
        with self.nothing_upstream():
            self.assert_problem(self.ask("GET", "/api/x", token=self.sign(self.good(roles=["a,admin"]))), 403)
            self.assert_problem(self.ask("GET", "/api/x", token=self.sign(self.good(roles=["a\r\nX: y"]))), 403)

    def test_C15_a_missing_claim_injects_nothing(self):
        spoofed = "X-User-Email: boss@example.test"
        for name, claims in {"missing": self.good(), "null": self.raw("email", "null"), "object": self.good(email={"a": 1})}.items():
            with self.subTest(name):
                self.assertEqual(self.ask("GET", "/mapped/x", spoofed, token=self.sign(claims)).status, 200)
                self.assertEqual(self.oracle.last.all("X-User-Email"), [])
        for value, text in ((True, "true"), (False, "false"), (7, "7"), (1.5, "1.5")):
            with self.subTest(f"{value}"):
                self.assertEqual(self.ask("GET", "/mapped/x", token=self.sign(self.good(level=value))).status, 200)
                self.assertEqual(self.oracle.last.header("X-User-Level"), text)

    def test_C16_roles_match_whole_elements(self):
        for roles in ("admin", ["admin"], ["user", "admin"]):
            with self.subTest(f"good {roles}"):
                self.assertEqual(self.ask("GET", "/admin/x", token=self.sign(self.good(roles=roles))).status, 200)
        for roles in ("user admin", "administrator", ["administrator"], ["Admin"], ["admin "], ["user admin"], [], "", [["admin"]],
                      {"admin": True}, True, ["admin\0"]):
            with self.subTest(f"bad {roles!r}"), self.nothing_upstream():
                self.assertEqual(self.ask("GET", "/admin/x", token=self.sign(self.good(roles=roles))).status, 403)

    def test_C17_scopes_split_on_single_spaces(self):
        for scope in ("reports:read", "x reports:read", "reports:read x"):
            with self.subTest(f"good {scope}"):
                self.assertEqual(self.ask("GET", "/reports/x", token=self.sign(self.good(scope=scope))).status, 200)
        for scope in ("reports:readwrite", "Reports:read", "x\treports:read", "x\u00a0reports:read", "reports:read,x", "reports", ""):
            with self.subTest(f"bad {scope!r}"), self.nothing_upstream():
                self.assertEqual(self.ask("GET", "/reports/x", token=self.sign(self.good(scope=scope))).status, 403)

    def test_C18_duplicate_claims_are_refused(self):
        for name, value in (("sub", '"bob"'), ("exp", str(int(time.time()) + 600)), ("unrelated", "1")):
            text = json.dumps(self.good(unrelated=1))
            with self.subTest(name):
                self.assert_claims_refused(text[:-1] + f', "{name}": {value}}}')

    def test_C19_claims_that_are_no_object_are_refused(self):
        for text in ("", "[]", '"text"', "1", "null", "true", "[{}]", "{", "{}", "undefined"):
            with self.subTest(text):
                self.assert_claims_refused(text)

    def test_C19_every_malformed_document_of_the_json_suite_is_refused(self):
        folder = pathlib.Path(os.environ.get("SALLYPORT_CORPORA", REPOSITORY.parent / "shared/corpora")) / "JSONTestSuite/test_parsing"
        if not folder.is_dir():
            self.skipTest("the JSONTestSuite corpus is not here")
        files = sorted(folder.glob("n_*.json"))
        self.assertEqual(len(files), 188)
        with self.nothing_upstream(), self.stand.connect(False) as connection:
            for file in files:
                token = self.sign(file.read_bytes())
                with self.subTest(file.name):
                    if len(token) > 15_000:  # deeper than a head is long: the field itself is refused
                        self.assertIn(self.status_or_closed(token), (0, 401, 431))
                    else:
                        self.assertEqual(connection.ask("GET", "/api/x", bearer(token)).status, 401)
        self.assert_claims_accepted(self.good())

    def test_C20_nothing_may_stand_behind_the_claims(self):
        good = json.dumps(self.good()).encode()
        self.assert_claims_accepted(good)
        self.assert_claims_accepted(good + b" \n")  # JSON's own white space
        for name, tail in {"text": b"x", "second object": b"{}", "NUL": b"\0", "comma": b",", "brace": b"}"}.items():
            with self.subTest(name):
                self.assert_claims_refused(good + tail)

    def test_C21_deep_nesting_is_refused(self):
        for levels in (1024, 1025, 4000):
            with self.subTest(levels):
                self.assert_claims_refused(self.raw("unrelated", "[" * levels + "]" * levels))
        self.assert_claims_accepted(self.raw("unrelated", "[" * 4 + "]" * 4))
        with self.nothing_upstream():
            token = self.sign(self.raw("unrelated", "[" * 100_000 + "]" * 100_000))
            self.assertIn(self.status_or_closed(token), (0, 401, 431))

    def test_C22_a_token_over_the_limit_is_refused_before_any_work(self):
        token = self.sign(self.good(filler="x" * 1_000_000))
        used = self.gateway.cpu_seconds()
        with self.nothing_upstream():
            self.assertIn(self.status_or_closed(token), (0, 401, 431))
            self.assertIn(self.status_or_closed(self.sign(self.good() | {f"c{n}": n for n in range(10_000)})), (0, 401, 431))
        self.assertLess(self.gateway.cpu_seconds() - used, 1)

    def test_C23_invalid_utf8_is_refused(self):
        for text in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
            with self.subTest(text.hex()):
                self.assert_claims_refused(json.dumps(self.good()).encode()[:-1] + b', "note": "' + text + b'"}')

    def test_C24_an_escaped_name_is_the_claim_it_spells(self):
        claims = json.dumps(self.good(exp=None))[:-1]
        self.assert_claims_refused(claims + ', "e\\u0078p": 0}')
        self.assert_claims_accepted(claims + f', "e\\u0078p": {int(time.time()) + 600}}}')
        self.assert_claims_refused(claims + f', "exp": {int(time.time()) + 600}, "e\\u0078p": 0}}')

    def test_C27_a_cached_token_is_refused_when_it_expires(self):
        token = self.stand.key.sign(claims_of("https://exact.test", lifetime=3))
        expires = json.loads(tokens.decode(token.split(".")[1]))["exp"]
        with self.stand.connect() as connection:
            last_good, first_bad = 0.0, None
            while first_bad is None and time.time() < expires + 5:
                before = time.time()
                if connection.ask("GET", "/api/x", bearer(token)).status == 200:
                    last_good = before
                else:
                    first_bad = time.time()
                time.sleep(0.02)
        self.assertGreater(last_good, expires - 2)
        self.assertLessEqual(last_good, expires)  # this issuer has no tolerance
        self.assertIsNotNone(first_bad)

    def test_C28_two_tokens_that_differ_in_the_subject_never_mix(self):
        now = int(time.time())
        pair = {name: self.stand.key.sign(claims_of(sub=name, iat=now, exp=now + 600)) for name in ("alice", "bobby")}
        wrong, done = [], []

        def alternate(number: int) -> None:
            with self.stand.connect() as connection:
                for turn in range(40):
                    name = ("alice", "bobby")[(number + turn) % 2]
                    seen = json.loads(connection.ask("GET", f"/api/{name}", bearer(pair[name])).body)
                    if ["X-Auth-Subject", name] not in seen["headers"]:
                        wrong.append(seen)
                    done.append(1)
        threads = [threading.Thread(target=alternate, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertEqual(len(done), 64 * 40)

    def test_C29_a_verified_token_is_judged_again_on_every_route(self):
        corp, other = self.stand.token(), self.stand.token("https://other.test")
        for _ in range(2):
            self.assert_accepted(corp, "/corp/x")
            self.assert_invalid_token(corp, "/other/x")
            self.assert_accepted(other, "/other/x")
            self.assert_invalid_token(other, "/corp/x")
        for _ in range(2):
            self.assertEqual(self.ask("GET", "/reports/x", token=corp).status, 403)
            self.assert_accepted(corp, "/api/x")

    def test_C30_nested_claim_paths_are_followed_exactly(self):
        def groups(value) -> list[str]:
            self.assertEqual(self.ask("GET", "/nested/x", token=self.sign(self.good() | value)).status, 200)
            return self.oracle.last.all("X-Nested")
        self.assertEqual(groups({"realm.access": {"a/b": {"roles": "one"}}}), ["one"])
        for name, value in {"missing level": {"realm.access": {}}, "dots are no path": {"realm": {"access": {"a/b": {"roles": "one"}}}},
                            "string on the way": {"realm.access": "a"}, "array on the way": {"realm.access": [{"a/b": 1}]},
                            "absent": {}}.items():
            with self.subTest(name):
                self.assertEqual(groups(value), [])

    @classmethod
    def change(cls, stand, configuration, policies):
        for name, more in {"aged": {"max_age": "60s"}, "exact": {"clock_tolerance": "0s"}}.items():
            configuration["issuers"].append({"name": name, "issuer": f"https://{name}.test", "audiences": ["api"], "algorithms": ["ES256"],
                                             "keys": {"jwks_file": "keys/corp.jwks.json"}, **more})
        policies["routes"].append({"name": "nested", "match": {"path": "/nested/**"}, "access": "authenticated", "upstream": "service",
                                   "identity": {"headers": {"X-Nested": "/realm.access/a~1b/roles"}}})


if __name__ == "__main__":
    main()
