"""Hazards D: key confusion, and key sets that must not be loaded, through the whole gateway. Also the command line's `keys` and `token`."""
import json
import pathlib
import tempfile

from support import tokens
from support.gateway import GatewayCase, main, run_command
from support.tokens import claims_of, decode, encode, forge_hmac


class Keys(GatewayCase):
    def test_D01_a_public_key_is_no_secret(self):
        for algorithm in ("RS256", "ES256"):
            key = self.stand.corp[algorithm]
            self.assert_accepted(key.sign(claims_of()))
            pem = key.public_pem
            certificate = tokens.openssl("req", "-x509", "-new", "-key", key.path, "-subj", "/CN=x")
            forms = {"PEM": pem, "PEM without its last line end": pem.rstrip(b"\n"), "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
                     "DER": key.public_der, "JWK": json.dumps(key.jwk()).encode(), "JWK Set": tokens.jwks(key).encode(),
                     "the file": (self.stand.folder / "keys/corp.jwks.json").read_bytes(), "certificate": certificate,
                     "modulus or x": decode(key.jwk().get("n") or key.jwk()["x"])}
            for name, secret in forms.items():
                for hs in ("HS256", "HS384", "HS512"):
                    with self.subTest(f"{algorithm} {name} {hs}"):
                        self.assert_invalid_token(forge_hmac(hs, secret, claims_of(), kid=key.kid))

    def test_D02_an_empty_secret_verifies_nothing(self):
        for hs in ("HS256", "HS384", "HS512"):
            for name, header in {"kid of an RSA key": {"kid": self.stand.corp["RS256"].kid}, "no kid": {}}.items():
                with self.subTest(f"{hs} {name}"):
                    self.assert_invalid_token(forge_hmac(hs, b"", claims_of(), **header))
                    self.assert_invalid_token(forge_hmac(hs, b"", claims_of("https://shared.test"), **header))
        self.assert_accepted(forge_hmac("HS256", self.stand.shared.secret, claims_of("https://shared.test")))

    def test_D03_the_key_decides_the_algorithm(self):
        corp = self.stand.corp
        for signer, header in (("RS256", {"alg": "RS256", "kid": corp["ES256"].kid}), ("ES384", {"alg": "ES256", "kid": corp["ES384"].kid}),
                               ("ES256", {"alg": "ES512", "kid": corp["ES256"].kid}), ("RS256", {"alg": "EdDSA", "kid": corp["RS256"].kid}),
                               ("EdDSA", {"alg": "RS256", "kid": corp["EdDSA"].kid}),
                               ("ES256", {"alg": "EdDSA", "kid": corp["ES256"].kid})):
            with self.subTest(f"{signer} as {header}"):
                self.assert_invalid_token(corp[signer].sign(claims_of(), header=header))

    def test_D04_the_two_rsa_paddings_are_not_one(self):
        key = self.stand.corp["RS256"]
        for signed, said in (("PS256", "RS256"), ("RS256", "PS256"), ("RS512", "RS256"), ("PS384", "PS256")):
            self.assert_accepted(key.sign(claims_of(), signed))
            with self.subTest(f"{signed} as {said}"):
                self.assert_invalid_token(key.sign(claims_of(), signed, header={"alg": said, "typ": "JWT", "kid": key.kid}))

    def test_D05_a_key_serves_only_for_what_it_says(self):
        key = self.stand.typed_key
        for kid in ("typed-plain", "typed-sig", "typed-alg"):
            with self.subTest(kid):
                self.assert_accepted(key.sign(claims_of("https://typed.test"), kid=kid))
        for kid in ("typed-enc", "typed-encrypt", "typed-other-alg"):
            with self.subTest(kid):
                self.assert_invalid_token(key.sign(claims_of("https://typed.test"), kid=kid))

    def test_D13_one_issuers_key_does_not_speak_for_another(self):
        self.assert_accepted(self.stand.token("https://other.test"))
        self.assert_invalid_token(self.stand.other.sign(claims_of()))
        self.assert_invalid_token(self.stand.key.sign(claims_of("https://other.test")))
        self.assert_invalid_token(self.stand.other.sign(claims_of(), kid=self.stand.key.kid))

    def test_D14_equal_key_ids_of_two_issuers_stay_apart(self):
        other = self.stand.same_kid
        self.assertEqual(other.kid, self.stand.key.kid)
        self.assert_accepted(other.sign(claims_of("https://same-kid.test")))
        self.assert_accepted(self.stand.key.sign(claims_of()))
        self.assert_invalid_token(other.sign(claims_of()))
        self.assert_invalid_token(self.stand.key.sign(claims_of("https://same-kid.test")))

    @classmethod
    def change(cls, stand, configuration, policies):
        folder = stand.folder / "keys"
        stand.typed_key = tokens.Key("ES256", "typed", folder)
        members = {"typed-plain": {}, "typed-sig": {"use": "sig", "key_ops": ["verify"]}, "typed-alg": {"alg": "ES256"},
                   "typed-enc": {"use": "enc"}, "typed-encrypt": {"key_ops": ["encrypt"]}, "typed-other-alg": {"alg": "ES384"}}
        (folder / "typed.jwks.json").write_text(json.dumps({"keys": [stand.typed_key.jwk() | {"kid": kid} | more
                                                                     for kid, more in members.items()]}))
        stand.same_kid = tokens.Key("ES256", stand.key.kid, stand.folder / "tls")
        (folder / "same-kid.jwks.json").write_text(tokens.jwks(stand.same_kid))
        for name in ("typed", "same-kid"):
            configuration["issuers"].append({"name": name, "issuer": f"https://{name}.test", "audiences": ["api"], "algorithms": ["ES256"],
                                             "keys": {"jwks_file": f"keys/{name}.jwks.json"}})


class KeySets(GatewayCase):
    """Key sets that a start must refuse: judged by `check` and by `token verify`."""

    def check(self, content: str, algorithms=("RS256",)) -> tuple[int, str]:
        """The exit code of `sallyport token verify` with this key set, and what it said."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "keys.json"
            path.write_text(content)
            run = run_command("token", "verify", "--keys", path, "--algorithms", ",".join(algorithms), stdin=self.good + "\n")
            return run.returncode, run.stdout + run.stderr

    def setUp(self):
        super().setUp()
        self.key = self.stand.corp["RS256"]
        self.good = self.key.sign(claims_of())

    def assert_set_refused(self, *keys) -> None:
        code, said = self.check(json.dumps({"keys": list(keys)}))
        self.assertEqual(code, 1, said)
        self.assertNotIn("valid\n", said)

    def test_D06_a_duplicate_kid_is_refused(self):
        self.assertEqual(self.check(json.dumps({"keys": [self.key.jwk()]})), (0, "valid\n"))
        self.assert_set_refused(self.key.jwk(), tokens.Key("RS256", self.key.kid).jwk())

    def test_D07_secrets_beside_public_keys_are_refused(self):
        self.assert_set_refused(self.key.jwk(), {"kty": "oct", "kid": "secret", "k": encode(b"x" * 64)})

    def test_D08_weak_rsa_keys_are_refused(self):
        n = decode(self.key.jwk()["n"])
        even = n[:-1] + bytes([n[-1] & 0xFE])
        for name, members in {"e = 1": {"e": "AQ"}, "e = 2": {"e": "Ag"}, "even modulus": {"n": encode(even)}, "n = 0": {"n": "AA"},
                              "n empty": {"n": ""}, "16,384 bits": {"n": encode(b"\xff" * 2048)}}.items():
            with self.subTest(name):
                self.assert_set_refused(self.key.jwk() | members)
        weak = tokens.Key("RS256", "weak", bits=1024)
        self.good = weak.sign(claims_of())
        self.assert_set_refused(weak.jwk())

    def test_D09_points_off_the_curve_are_refused(self):
        key = self.stand.key
        self.good = key.sign(claims_of())
        self.assertEqual(self.check(json.dumps({"keys": [key.jwk()]}), ["ES256"])[0], 0)
        jwk = key.jwk()
        x = decode(jwk["x"])
        for name, members in {"swapped": {"x": jwk["y"], "y": jwk["x"]}, "short x": {"x": encode(x[1:])},
                              "infinity": {"x": encode(bytes(32)),
                              "y": encode(bytes(32))}, "bit flipped": {"x": encode(bytes([x[0] ^ 1]) + x[1:])}}.items():
            with self.subTest(name):
                code, said = self.check(json.dumps({"keys": [jwk | members]}), ["ES256"])
                self.assertEqual(code, 1, said)

    def test_D10_a_short_secret_is_refused(self):
        self.good = forge_hmac("HS256", b"x" * 31, claims_of())
        code, said = self.check(json.dumps({"keys": [{"kty": "oct", "k": encode(b"x" * 31)}]}), ["HS256"])
        self.assertEqual(code, 1, said)

    def test_D12_private_members_are_neither_needed_nor_shown(self):
        made = run_command("keys", "generate", "--algorithm", "RS256", "--kid", "private")
        self.assertEqual(made.returncode, 0, made.stderr)
        private = json.loads(made.stdout)["keys"][0]
        code, said = self.check(made.stdout)
        self.assertEqual(code, 1)  # our token was signed by another key
        for member in ("d", "p", "q"):
            self.assertNotIn(private[member], said)


class CommandLine(GatewayCase):
    """`keys generate`, `token sign` and `token verify`, against openssl's signatures and our own gateway."""

    def test_generated_keys_sign_what_the_gateway_accepts(self):
        for algorithm in ("ES256", "RS256", "EdDSA"):
            with self.subTest(algorithm):
                claims = claims_of("https://generated.test", sub=f"by-{algorithm}")
                token = run_command("token", "sign", "--keys", self.stand.generated, "--kid", f"generated-{algorithm}",
                                    "--claims", json.dumps(claims))
                self.assertEqual(token.returncode, 0, token.stderr)
                self.assert_accepted(token.stdout.strip(), subject=f"by-{algorithm}")

    def test_token_sign_sets_the_lifetime(self):
        claims = {name: value for name, value in claims_of("https://generated.test").items() if name not in ("iat", "exp")}
        token = run_command("token", "sign", "--keys", self.stand.generated, "--kid", "generated-ES256", "--claims", json.dumps(claims),
                            "--ttl", "5m").stdout.strip()
        made = json.loads(decode(token.split(".")[1]))
        self.assertEqual(made["exp"] - made["iat"], 300)
        self.assert_accepted(token)

    def test_an_expiry_among_the_claims_stays(self):
        claims = claims_of("https://generated.test", exp=1_000_000_000)
        token = run_command("token", "sign", "--keys", self.stand.generated, "--kid", "generated-ES256", "--claims", json.dumps(claims))
        self.assertEqual(json.loads(decode(token.stdout.strip().split(".")[1]))["exp"], 1_000_000_000)
        self.assert_invalid_token(token.stdout.strip())

    def test_verify_reads_one_token_per_line(self):
        corp = self.stand.folder / "keys/corp.jwks.json"
        good = [key.sign(claims_of()) for key in self.stand.corp.values()]
        run = run_command("token", "verify", "--keys", corp, "--algorithms", "ES256,RS256,ES384,ES512,EdDSA", stdin="\n".join(good) + "\n")
        self.assertEqual((run.returncode, run.stdout.splitlines()), (0, ["valid"] * 5), run.stderr)
        run = run_command("token", "verify", "--keys", corp, "--algorithms", "ES256",
                          stdin="\n".join([good[0], "", good[1], "x.y.z"]) + "\n")
        lines = run.stdout.splitlines()
        self.assertEqual(run.returncode, 1)
        self.assertEqual(lines[:2], ["valid", "refused: empty"])
        self.assertEqual([line.split(":")[0] for line in lines[2:]], ["refused", "refused"])

    def test_verify_takes_pem_and_a_token_as_argument(self):
        key = self.stand.key
        with tempfile.TemporaryDirectory() as folder:
            pem = pathlib.Path(folder) / "key.pem"
            pem.write_bytes(key.public_pem)
            good = key.sign(claims_of(), without=["kid"])
            run = run_command("token", "verify", "--keys", pem, "--algorithms", "ES256", good)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            run = run_command("token", "verify", "--keys", pem, "--algorithms", "ES256", good[:-8] + "AAAAAAAA")
            self.assertEqual(run.returncode, 1)
            pem.write_text("no keys here")
            run = run_command("token", "verify", "--keys", pem, "--algorithms", "ES256", good)
            self.assertEqual(run.returncode, 1)
            self.assertTrue(run.stderr.strip())

    @classmethod
    def change(cls, stand, configuration, policies):
        keys = [json.loads(run_command("keys", "generate", "--algorithm", algorithm, "--kid", f"generated-{algorithm}").stdout)["keys"][0]
                for algorithm in ("ES256", "RS256", "EdDSA")]
        stand.generated = stand.folder / "keys/generated.jwks.json"
        stand.generated.touch(mode=0o600)
        stand.generated.write_text(json.dumps({"keys": keys}))
        public = [{name: value for name, value in key.items() if name not in ("d", "p", "q", "dp", "dq", "qi")} for key in keys]
        (stand.folder / "keys/generated.public.json").write_text(json.dumps({"keys": public}))
        configuration["issuers"].append({"name": "generated", "issuer": "https://generated.test", "audiences": ["api"],
                                         "algorithms": ["ES256", "RS256", "EdDSA"], "keys": {"jwks_file": "keys/generated.public.json"}})


if __name__ == "__main__":
    main()
