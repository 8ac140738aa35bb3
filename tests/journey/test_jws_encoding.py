"""Hazards B: the encoding of the compact JWS and of the Authorization field, through the whole gateway."""
import json

from support import tokens
from support.gateway import GatewayCase, main
from support.http_client import bearer
from support.tokens import claims_of, decode, encode

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SEGMENTS = ("header", "payload", "signature")


class JwsEncoding(GatewayCase):
    def setUp(self):
        super().setUp()
        self.token = self.stand.token()
        self.parts = self.token.split(".")

    def with_segment(self, number: int, text: str) -> str:
        return ".".join(self.parts[:number] + [text] + self.parts[number + 1:])

    def assert_bad_request_or_unauthorized(self, token: str) -> None:
        """Bytes that may not stand in a field are malformed HTTP; others make a malformed token."""
        with self.nothing_upstream():
            self.assertIn(self.ask("GET", "/api/x", token=token).status, (400, 401))

    def test_B01_padding_is_refused(self):
        self.assert_accepted(self.token)
        for number, name in enumerate(SEGMENTS):
            with self.subTest(name):
                self.assert_invalid_token(self.with_segment(number, self.parts[number] + "="))
                self.assert_invalid_token(self.with_segment(number, self.parts[number] + "=="))

    def test_B02_the_standard_alphabet_is_refused(self):
        # Claims whose encoding holds both characters that differ, so that the translation changes something.
        token = self.stand.key.sign(claims_of(note="~~~???>>>\u00ff\u00ff" * 3))
        self.assert_accepted(token)
        parts = token.split(".")
        translated = parts[1].replace("-", "+").replace("_", "/")
        self.assertNotEqual(translated, parts[1])
        self.assert_invalid_token(".".join([parts[0], translated, parts[2]]))

    def test_B03_unused_bits_must_be_zero(self):
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        signature = self.parts[2]
        self.assertEqual(len(signature) % 4, 2)  # four bits of the last character are unused
        value = alphabet.index(signature[-1])
        for other in range(value + 1, value + 16):
            altered = signature[:-1] + alphabet[other]
            self.assertEqual(decode(altered), decode(signature))
            with self.subTest(altered[-1]):
                self.assert_invalid_token(self.with_segment(2, altered))

    def test_B04_a_lone_last_character_is_refused(self):
        for number, name in enumerate(SEGMENTS):
            with self.subTest(name):
                segment = self.parts[number]
                lone = segment[:len(segment) - (len(segment) % 4)] + "A"
                self.assert_invalid_token(self.with_segment(number, lone))

    def test_B05_foreign_bytes_are_refused(self):
        for character in " \t\r\n\0?#\x80":
            for number, name in enumerate(SEGMENTS):
                segment = self.parts[number]
                for at in (0, len(segment) // 2, len(segment)):
                    if character in " \t" and (number, at) == (2, len(segment)):
                        continue  # white space behind a value is no part of it
                    if character in " \t" and (number, at) == (0, 0):
                        continue  # "Bearer  token": B16
                    with self.subTest(f"{character!r} in the {name} at {at}"):
                        self.assert_bad_request_or_unauthorized(self.with_segment(number, segment[:at] + character + segment[at:]))

    def test_B06_there_are_exactly_three_segments(self):
        header, payload, signature = self.parts
        for token in (header, f"{header}.{payload}", f"{self.token}.", f".{self.token}", f"{self.token}.{signature}", ".", "..", "...",
                      f"{self.token}.{header}.{payload}", f"{header}..{payload}.{signature}"):
            with self.subTest(token[:40]):
                self.assert_invalid_token(token)

    def test_B07_no_segment_may_be_empty(self):
        for mask in range(1, 8):
            with self.subTest(bin(mask)):
                self.assert_invalid_token(".".join("" if mask >> number & 1 else part for number, part in enumerate(self.parts)))

    def test_B08_thousands_of_dots_are_refused_cheaply(self):
        before = self.gateway.resident_kib()
        for size in (8_000, 60_000):
            with self.nothing_upstream():
                self.assertIn(self.status_or_closed("." * size), (0, 401, 431))
        self.assertLess(self.gateway.resident_kib() - before, 16 * 1024)

    def test_B09_json_serialization_is_refused(self):
        header, payload, signature = self.parts
        flattened = json.dumps({"payload": payload, "protected": header, "signature": signature})
        general = json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]})
        for text in (flattened, general, flattened.replace(" ", ""), encode(flattened.encode())):
            with self.subTest(text[:20]):
                self.assert_invalid_token(text)

    def test_B10_a_detached_payload_is_refused(self):
        self.assert_invalid_token(f"{self.parts[0]}..{self.parts[2]}")

    def test_B11_signatures_have_exactly_their_length(self):
        rsa = self.stand.corp["RS256"]
        token = rsa.sign(claims_of())
        self.assert_accepted(token)
        header, payload, signature = token.split(".")
        raw = decode(signature)
        modulus = decode(rsa.jwk()["n"])
        plus_n = int.from_bytes(raw, "big") + int.from_bytes(modulus, "big")
        bad = {"shorter": raw[:-1], "longer": raw + b"\0", "leading zero": b"\0" + raw, "n": modulus, "s + n": plus_n.to_bytes(257, "big")}
        for name, value in bad.items():
            with self.subTest(f"RS256 {name}"):
                self.assert_invalid_token(f"{header}.{payload}.{encode(value)}")
        raw = decode(self.parts[2])
        for name, value in {"shorter": raw[:-1], "longer": raw + b"\0", "leading zero": b"\0" + raw}.items():
            with self.subTest(f"ES256 {name}"):
                self.assert_invalid_token(self.with_segment(2, encode(value)))

    def test_B12_special_ecdsa_signatures_are_refused(self):
        raw = decode(self.parts[2])
        r, s = raw[:32], raw[32:]
        order, below = P256_ORDER.to_bytes(32, "big"), (P256_ORDER - 1).to_bytes(32, "big")
        zero = bytes(32)
        der_r, der_s = (b"\x02" + bytes([len(part)]) + part for part in (b"\0" + r if r[0] & 0x80 else r, b"\0" + s if s[0] & 0x80 else s))
        cases = {"DER": b"\x30" + bytes([len(der_r + der_s)]) + der_r + der_s, "zeros": zero + zero, "r zero": zero + s, "s zero": r + zero,
                 "r = n": order + s, "s = n": r + order, "both n": order + order, "both n - 1": below + below, "96 bytes": raw + zero,
                 "132 bytes": raw + bytes(68), "swapped": s + r}
        for name, value in cases.items():
            with self.subTest(name):
                self.assert_invalid_token(self.with_segment(2, encode(value)))

    def test_B13_an_enormous_signature_is_refused(self):
        for algorithm in ("ES256", "ES384", "ES512"):
            parts = self.stand.corp[algorithm].sign(claims_of()).split(".")
            self.assert_accepted(".".join(parts))
            for size in (8 * 1024, 16 * 1024):
                with self.subTest(f"{algorithm} {size}"), self.nothing_upstream():
                    token = ".".join([parts[0], parts[1], encode(b"\x01" * size)])
                    self.assertIn(self.ask("GET", "/api/x", token=token).status, (401, 431))

    def test_B14_altered_rsa_signatures_are_refused(self):
        header, payload, signature = self.stand.corp["RS256"].sign(claims_of()).split(".")
        raw = decode(signature)
        for at in (0, 1, 127, 254, 255):
            with self.subTest(at):
                self.assert_invalid_token(f"{header}.{payload}.{encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])}")

    def test_B15_pss_wants_the_salt_of_the_standard(self):
        rsa = self.stand.corp["RS256"]
        self.assert_accepted(rsa.sign(claims_of(), "PS256"))
        signing_input = ".".join(rsa.sign(claims_of(), "PS256").split(".")[:2])
        for name, options in {"no salt": ["rsa_pss_saltlen:0"], "20 bytes": ["rsa_pss_saltlen:20"], "longest": ["rsa_pss_saltlen:max"],
                              "another mask": ["rsa_pss_saltlen:digest", "rsa_mgf1_md:sha1"]}.items():
            with self.subTest(name):
                flags = [part for option in ["rsa_padding_mode:pss", *options] for part in ("-sigopt", option)]
                signature = tokens.openssl("dgst", "-sha256", "-sign", rsa.path, *flags, stdin=signing_input.encode())
                self.assert_invalid_token(f"{signing_input}.{encode(signature)}")

    def test_B16_the_scheme_is_read_without_case_and_the_rest_strictly(self):
        for value in (f"bearer {self.token}", f"BEARER {self.token}", f"Bearer {self.token} ", f"Bearer {self.token}\t"):
            with self.subTest(value[:12]):
                self.assertEqual(self.ask("GET", "/api/x", f"Authorization: {value}").status, 200)
        for value in ("Bearer", "Bearer ", "Bearer,", f"Bearer\t{self.token}", f"Bearer  {self.token}", f"Bearer {self.token} b",
                      f"Bearer {self.token} {self.token}",
                      f'Bearer "{self.token}"', f"Bearer {self.token},", f"Bearer={self.token}", "Basic dXNlcjpwYXNz", self.token,
                      f"Bearer:{self.token}", f"Token {self.token}", ""):
            with self.subTest(value[:12]), self.nothing_upstream():
                self.assert_problem(self.ask("GET", "/api/x", f"Authorization: {value}"), 401)

    def test_B16_another_scheme_is_no_credential(self):
        response = self.ask("GET", "/api/x", "Authorization: Basic dXNlcjpwYXNz")
        self.assert_problem(response, 401)
        self.assertNotIn("error=", response.header("WWW-Authenticate"))
        self.assertEqual(self.ask("GET", "/optional/x", "Authorization: Basic dXNlcjpwYXNz").status, 200)

    def test_B17_two_authorization_fields_are_refused_on_every_route(self):
        good, other, bad = bearer(self.token), bearer(self.stand.token(sub="bob")), bearer("bad")
        for target in ("/api/x", "/public/x", "/optional/x"):
            for name, pair in {"good and bad": (good, bad), "bad and good": (bad, good), "two good": (good, other), "twice": (good, good),
                               "another scheme": (good, "Authorization: Basic eDp5")}.items():
                with self.subTest(f"{target} {name}"), self.nothing_upstream():
                    response = self.ask("GET", target, *pair)
                    self.assert_problem(response, 400)
                    self.assertIn('error="invalid_request"', response.header("WWW-Authenticate"))
        self.assertEqual(self.ask("GET", "/api/x", good).status, 200)

    def test_B18_a_token_in_the_query_or_the_body_is_ignored(self):
        form = f"access_token={self.token}".encode()
        with self.nothing_upstream():
            self.assert_problem(self.ask("GET", f"/api/x?access_token={self.token}"), 401)
            self.assert_problem(self.ask("POST", "/api/x", "Content-Type: application/x-www-form-urlencoded", body=form), 401)
        self.assert_accepted(self.token)
        self.gateway.wait_for_line("access", lambda line: line.get("path") == "/api/x" and line.get("status") == 401)
        self.assertNotIn(self.token, self.gateway.log("access") + self.gateway.log("audit") + self.gateway.output())

    def test_B19_one_credential_decides_and_identities_never_mix(self):
        bob = self.stand.token(sub="bob", roles=["admin"])
        self.assertEqual(self.ask("GET", "/api/x", f"Cookie: access_token={bob}").status, 200)
        self.assertEqual(self.oracle.last.header("X-Auth-Subject"), "bob")
        same = self.ask("GET", "/api/x", bearer(self.token), f"Cookie: access_token={self.token}")
        self.assertEqual(same.status, 200)  # one credential, shown twice
        # A route without `credentials` takes the bearer token before any cookie (DESIGN §2.3): good or bad, it decides.
        self.assertEqual(self.ask("GET", "/api/x", bearer(self.token), f"Cookie: access_token={bob}").status, 200)
        self.assertEqual(self.oracle.last.header("X-Auth-Subject"), "alice")
        self.assertNotIn(bob.encode(), self.oracle.last.raw_head)
        with self.nothing_upstream():
            self.assert_problem(self.ask("GET", "/admin/x", bearer(self.token), f"Cookie: access_token={bob}"), 403)
            for target in ("/api/x", "/admin/x", "/optional/x"):
                self.assert_problem(self.ask("GET", target, bearer("bad"), f"Cookie: access_token={bob}"), 401)
            # Where one kind of credential is asked for, its two places are equal, and two different tokens are two credentials.
            for first, second in ((self.token, bob), (bob, self.token), ("bad", bob)):
                response = self.ask("GET", "/corp/x", bearer(first), f"Cookie: access_token={second}")
                self.assert_problem(response, 400)
                self.assertIn('error="invalid_request"', response.header("WWW-Authenticate"))


if __name__ == "__main__":
    main()
