"""Hazards A: tricks with the JOSE header, through the whole gateway. Each refused token has a twin without the fault that passes."""
import socket
import threading
import time

from support import tokens
from support.gateway import PATIENCE, GatewayCase, main
from support.tokens import claims_of, encode, forge, forge_hmac


class JoseHeaders(GatewayCase):
    def shared_token(self, header) -> str:
        """Correctly signed by the shared secret, whatever the header says."""
        signing_input = encode(tokens.as_json(header)) + "." + encode(tokens.as_json(claims_of("https://shared.test")))
        return signing_input + "." + encode(tokens.hmac_signature("HS256", self.stand.shared.secret, signing_input))

    def assert_header_decides(self, good, bad: dict) -> None:
        self.assert_accepted(self.shared_token(good))
        for name, header in bad.items():
            with self.subTest(name):
                self.assert_invalid_token(self.shared_token(header))

    def test_A01_alg_none_is_refused(self):
        self.assert_accepted(self.stand.token())
        self.assert_invalid_token(forge({"alg": "none"}, claims_of()))
        self.assert_invalid_token(forge({"alg": "none", "kid": self.stand.key.kid}, claims_of()))

    def test_A02_no_spelling_of_none_is_accepted(self):
        for name in ("None", "NONE", "nOnE", " none", "none "):
            with self.subTest(name):
                self.assert_invalid_token(forge({"alg": name}, claims_of()))

    def test_A03_no_prefix_of_none_is_accepted(self):
        for name in ("", "n", "no", "non", "none\0"):
            with self.subTest(repr(name)):
                self.assert_invalid_token(forge({"alg": name}, claims_of()))

    def test_A04_alg_must_be_a_string(self):
        self.assert_header_decides({"alg": "HS256"}, {
            "missing": {"typ": "JWT"}, "null": {"alg": None}, "number": {"alg": 256}, "array": {"alg": ["HS256"]},
            "object": {"alg": {"HS256": True}}, "true": {"alg": True}})

    def test_A05_alg_is_compared_byte_for_byte(self):
        self.assert_header_decides({"alg": "HS256"},
                                   {"lower case": {"alg": "hs256"}, "space": {"alg": "HS256 "}, "HS-256": {"alg": "HS-256"}})

    def test_A06_an_algorithm_that_the_issuer_does_not_list_is_refused(self):
        key = self.stand.corp["RS256"]
        self.assert_accepted(key.sign(claims_of()))
        other = claims_of("https://other.test")
        self.assertEqual(self.ask("GET", "/other/x", token=self.stand.other.sign(other)).status, 200)
        self.assert_invalid_token(forge_hmac("HS256", b"x" * 64, other), "/other/x")  # `other` lists ES256 alone
        self.assert_invalid_token(key.sign(other, "RS256"), "/other/x")
        self.assert_invalid_token(key.sign(claims_of(), header={"alg": "ES256K", "kid": key.kid}, algorithm="RS256"))

    def test_A07_duplicate_alg_members_are_refused(self):
        self.assert_header_decides('{"alg":"HS256"}', {
            "good first": '{"alg":"HS256","alg":"none"}', "good last": '{"alg":"none","alg":"HS256"}',
            "equal": '{"alg":"HS256","alg":"HS256"}'})

    def test_A08_an_escaped_key_is_the_key_it_spells(self):
        self.assert_header_decides('{"a\\u006cg":"HS256"}', {
            "escaped first": '{"a\\u006cg":"none","alg":"HS256"}', "escaped last": '{"alg":"HS256","a\\u006cg":"none"}'})

    def test_A09_every_crit_is_refused(self):
        self.assert_header_decides({"alg": "HS256"}, {
            "known name": {"alg": "HS256", "crit": ["exp"], "exp": 1}, "empty": {"alg": "HS256", "crit": []},
            "string": {"alg": "HS256", "crit": "x"}, "registered name": {"alg": "HS256", "crit": ["alg"]},
            "absent name": {"alg": "HS256", "crit": ["absent"]}, "twice": {"alg": "HS256", "crit": ["x", "x"], "x": 1}})

    def test_A10_unencoded_payloads_are_refused(self):
        self.assert_header_decides({"alg": "HS256"}, {
            "b64 alone": {"alg": "HS256", "b64": False}, "b64 with crit": {"alg": "HS256", "b64": False, "crit": ["b64"]}})

    def test_A11_a_key_in_the_token_is_not_believed(self):
        attacker = tokens.Key("ES256")
        self.assert_invalid_token(attacker.sign(claims_of(), jwk=attacker.jwk()))
        self.assert_invalid_token(attacker.sign(claims_of(), jwk=attacker.jwk(), kid=self.stand.key.kid))

    def test_A12_a_key_url_is_never_fetched(self):
        self.assert_no_fetch("jku")

    def test_A13_certificates_in_the_token_are_not_believed_nor_fetched(self):
        self.assert_no_fetch("x5u")
        attacker = tokens.Key("RS256", self.stand.corp["RS256"].kid)
        certificate = tokens.openssl("req", "-x509", "-new", "-key", attacker.path, "-subj", "/CN=x", "-outform", "DER")
        chain = [tokens.base64.b64encode(certificate).decode()]
        self.assert_invalid_token(attacker.sign(claims_of(), x5c=chain))
        self.assert_invalid_token(attacker.sign(claims_of(), x5t="AAAA"))

    def assert_no_fetch(self, member: str) -> None:
        connections = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.5)

            def count():
                try:
                    while True:
                        connections.append(server.accept())
                except OSError:
                    pass
            thread = threading.Thread(target=count)
            thread.start()
            attacker = tokens.Key("ES256", self.stand.key.kid)
            self.assert_invalid_token(attacker.sign(claims_of(), **{member: f"http://127.0.0.1:{server.getsockname()[1]}/keys"}))
            thread.join()
        self.assertEqual(connections, [])

    def test_A14_kid_is_no_path(self):
        self.assert_accepted(self.stand.key.sign(claims_of()))
        for kid in ("../../../../dev/null", "/dev/null", "file:///etc/passwd", str(self.stand.folder / "keys/corp.jwks.json")):
            with self.subTest(kid):
                self.assert_invalid_token(forge_hmac("HS256", b"", claims_of(), kid=kid))
                self.assert_invalid_token(forge_hmac("HS256", b"", claims_of("https://shared.test"), kid=kid))
                self.assert_invalid_token(self.stand.key.sign(claims_of(), kid=kid))

    def test_A15_kid_is_no_query_and_no_command(self):
        for kid in ("x' UNION SELECT '1';--", "| sleep 10", "$(sleep 10)", "*\r\nFLUSHALL\r\n"):
            with self.subTest(kid):
                began = time.monotonic()
                self.assert_invalid_token(self.stand.key.sign(claims_of(), kid=kid))
                self.assertLess(time.monotonic() - began, 5 * PATIENCE)

    def test_A16_without_a_kid_exactly_one_key_must_fit(self):
        self.assert_accepted(self.stand.key.sign(claims_of(), without=["kid"]))  # one P-256 key in the set
        self.assert_accepted(self.stand.twins[0].sign(claims_of("https://twins.test")))
        self.assert_invalid_token(self.stand.twins[0].sign(claims_of("https://twins.test"), without=["kid"]))

    def test_A17_a_kid_of_another_kind_or_size_is_refused(self):
        for name, kid in {"10 KB": "k" * 10_000, "number": 1, "null": None, "array": ["corp-ES256"], "NUL": "corp-ES256\0",
                          "unknown": "nobody"}.items():
            with self.subTest(name):
                self.assert_invalid_token(self.stand.key.sign(claims_of(), kid=kid))

    def test_A18_a_token_type_that_is_asked_for_must_be_there(self):
        claims = claims_of("https://typed.test")
        for good in ("at+jwt", "application/AT+JWT"):
            self.assert_accepted(self.stand.twins[0].sign(claims, typ=good), "/typed/x")
        for name, header in {"JWT": {"typ": "JWT"}, "missing": {"without": ["typ"]}, "id token": {"typ": "id+jwt"},
                             "number": {"typ": 1}}.items():
            with self.subTest(name):
                self.assert_invalid_token(self.stand.twins[0].sign(claims, **header), "/typed/x")

    def test_A19_a_nested_token_is_refused(self):
        self.assert_header_decides({"alg": "HS256"}, {"cty JWT": {"alg": "HS256", "cty": "JWT"}})
        inner = self.stand.token()
        self.assert_invalid_token(self.stand.key.sign(inner.encode(), cty="JWT"))
        self.assert_invalid_token(self.stand.key.sign(inner.encode()))

    def test_A20_compression_and_encryption_are_refused_without_work(self):
        self.assert_header_decides({"alg": "HS256"}, {"zip": {"alg": "HS256", "zip": "DEF"}})
        jwe = {"direct": {"alg": "dir", "enc": "A256GCM"},
               "password": {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31 - 1, "p2s": "AAAA"}}
        for name, header in jwe.items():
            with self.subTest(name):
                used = self.gateway.cpu_seconds()
                self.assert_invalid_token(".".join([encode(tokens.as_json(header)), "AAAA", "AAAA", "AAAA", "AAAA"]))
                self.assertLess(self.gateway.cpu_seconds() - used, 0.5 * PATIENCE)

    def test_A21_a_header_that_is_no_object_is_refused(self):
        self.assert_header_decides({"alg": "HS256"}, {
            "array": '[{"alg":"HS256"}]', "string": '"HS256"', "number": "1", "empty": "", "no members": "{}",
            "invalid UTF-8": b'{"alg":"HS256","x":"\xff"}', "byte order mark": b'\xef\xbb\xbf{"alg":"HS256"}',
            "2,000 levels": '{"alg":"HS256","x":' + "[" * 2000 + "]" * 2000 + "}", "trailing bytes": '{"alg":"HS256"}x'})

    def test_A22_a_huge_header_is_refused(self):
        token = self.shared_token({"alg": "HS256"} | {f"member{number}": number for number in range(4000)})
        self.assertGreater(len(token), 64 * 1024)
        with self.nothing_upstream():
            self.assertIn(self.status_or_closed(token), (0, 401, 431))
        self.assert_invalid_token(self.shared_token({"alg": "HS256"} | {f"m{number}": 1 for number in range(700)}))

    @classmethod
    def change(cls, stand, configuration, policies):
        """An issuer with two keys of one algorithm, and one that wants `typ: at+jwt`."""
        folder = stand.folder / "keys"
        stand.twins = [tokens.Key("ES256", f"twin-{number}", folder) for number in range(2)]
        (folder / "twins.jwks.json").write_text(tokens.jwks(*stand.twins))
        for name, more in {"twins": {}, "typed": {"token_type": "at+jwt"}}.items():
            configuration["issuers"].append({"name": name, "issuer": f"https://{name}.test", "audiences": ["api"], "algorithms": ["ES256"],
                                             "keys": {"jwks_file": "keys/twins.jwks.json"}, **more})
        policies["routes"].append({"name": "typed", "match": {"path": "/typed/**"}, "access": "authenticated",
                                   "credentials": [{"jwt": "typed"}], "upstream": "service"})


if __name__ == "__main__":
    main()
