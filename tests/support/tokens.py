"""Keys and tokens for tests.

Signatures come from the openssl command and from Python's hmac, never from the gateway's own code: what the gateway accepts was made by
somebody else. `sallyport token sign` and `keys generate` are tested against these.
"""
import base64
import functools
import hashlib
import hmac
import json
import pathlib
import secrets
import tempfile
import time

from support.certificates import openssl

_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
_CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def as_json(content) -> bytes:
    """Bytes and text stay as they are, so that a test can sign what is no JSON."""
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def hmac_signature(algorithm: str, secret: bytes, signing_input: str) -> bytes:
    return hmac.new(secret, signing_input.encode(), _HASHES[algorithm[2:]]).digest()


def _raw_from_der(der: bytes, width: int) -> bytes:
    """R || S (RFC 7518 §3.4) from the ECDSA-Sig-Value that openssl writes."""
    at = 3 if der[1] & 0x80 else 2
    numbers = []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big"))
        at += 2 + length
    return b"".join(number.to_bytes(width, "big") for number in numbers)


def _der_from_raw(raw: bytes) -> bytes:
    """ECDSA-Sig-Value from R || S."""
    numbers = b""
    for half in (raw[:len(raw) // 2], raw[len(raw) // 2:]):
        number = half.lstrip(b"\0") or b"\0"
        if number[0] & 0x80:
            number = b"\0" + number
        numbers += bytes([2, len(number)]) + number
    return b"\x30" + (b"\x81" if len(numbers) > 127 else b"") + bytes([len(numbers)]) + numbers


def _der_length(size: int) -> bytes:
    if size < 128:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def _der(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _der_length(len(content)) + content


def public_key_der(jwk: dict) -> bytes:
    """SubjectPublicKeyInfo of a public JWK."""
    if jwk["kty"] == "EC":
        curves = {"P-256": "06082a8648ce3d030107", "P-384": "06052b81040022", "P-521": "06052b81040023"}
        algorithm = _der(0x30, bytes.fromhex("06072a8648ce3d0201" + curves[jwk["crv"]]))
        return _der(0x30, algorithm + _der(3, b"\0\4" + decode(jwk["x"]) + decode(jwk["y"])))
    if jwk["kty"] == "OKP":
        return bytes.fromhex("302a300506032b6570032100") + decode(jwk["x"])
    integers = b"".join(_der(2, (b"\0" if number[0] & 0x80 else b"") + number) for number in (decode(jwk["n"]), decode(jwk["e"])))
    return _der(0x30, bytes.fromhex("300d06092a864886f70d0101010500") + _der(3, b"\0" + _der(0x30, integers)))


def verify(token: str, keys: list[dict]) -> tuple[dict, dict]:
    """The header and the claims of a compact JWS that the openssl command finds signed by the key of its kid; AssertionError otherwise."""
    header, claims = (json.loads(decode(part)) for part in token.split(".")[:2])
    signing_input, _, signature = token.rpartition(".")
    fitting = [key for key in keys if key.get("kid") == header.get("kid")]
    assert len(fitting) == 1, f"{len(fitting)} keys of the kid {header.get('kid')!r}"
    algorithm, raw = header["alg"], decode(signature)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, content in (("key", public_key_der(fitting[0])), ("data", signing_input.encode()),
                              ("signature", _der_from_raw(raw) if algorithm.startswith("ES") else raw)):
            (folder / file).write_bytes(content)
        openssl("pkey", "-pubin", "-inform", "DER", "-in", folder / "key", "-out", folder / "pem")
        if algorithm == "EdDSA":
            result = openssl("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", folder / "pem", "-in", folder / "data",
                             "-sigfile", folder / "signature")
        else:
            padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if algorithm.startswith("PS") else []
            result = openssl("dgst", f"-sha{algorithm[2:]}", "-verify", folder / "pem", *padding, "-signature", folder / "signature",
                             folder / "data")
    assert b"erified" in result, result
    return header, claims


class Key:
    """One signing key. `algorithm` is what it signs by default; an RSA key can sign RS and PS alike."""

    def __init__(self, algorithm: str, kid: str | None = None, folder: pathlib.Path | None = None, bits: int = 2048):
        self.algorithm, self.kid = algorithm, kid
        self._temporary = None if folder else tempfile.TemporaryDirectory()
        folder = folder or pathlib.Path(self._temporary.name)
        self.secret = b""
        self.path = folder / f"{kid or algorithm}.pem"
        if algorithm.startswith("HS"):
            self.secret = secrets.token_hex(64).encode()  # no byte of it is a line end, which secret_file would drop
            return
        if algorithm in _CURVES:
            options = ["EC", "-pkeyopt", f"ec_paramgen_curve:{_CURVES[algorithm][0]}"]
        elif algorithm == "EdDSA":
            options = ["ED25519"]
        else:
            options = ["RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"]
        openssl("genpkey", "-algorithm", *options, "-out", self.path)

    @functools.cached_property
    def public_pem(self) -> bytes:
        return openssl("pkey", "-in", self.path, "-pubout")

    @functools.cached_property
    def public_der(self) -> bytes:
        return openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    def jwk(self, **more) -> dict:
        """The public half (or, of a secret, the secret)."""
        key = {"kid": self.kid} if self.kid else {}
        if self.secret:
            key |= {"kty": "oct", "k": encode(self.secret)}
        elif self.algorithm in _CURVES:
            curve, width = _CURVES[self.algorithm]
            point = self.public_der[-2 * width:]
            key |= {"kty": "EC", "crv": curve, "x": encode(point[:width]), "y": encode(point[width:])}
        elif self.algorithm == "EdDSA":
            key |= {"kty": "OKP", "crv": "Ed25519", "x": encode(self.public_der[-32:])}
        else:
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1]
            key |= {"kty": "RSA", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}
        return key | more

    def signature(self, algorithm: str, signing_input: str) -> bytes:
        if self.secret:
            return hmac_signature(algorithm, self.secret, signing_input)
        data = signing_input.encode()
        if algorithm == "EdDSA":
            with tempfile.NamedTemporaryFile() as file:  # openssl 3.0 signs Ed25519 from files alone
                file.write(data)
                file.flush()
                return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", file.name)
        digest = f"-sha{algorithm[2:]}"
        if algorithm.startswith("PS"):
            return openssl("dgst", digest, "-sign", self.path, "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest",
                           stdin=data)
        signature = openssl("dgst", digest, "-sign", self.path, stdin=data)
        if algorithm.startswith("ES"):
            return _raw_from_der(signature, _CURVES[self.algorithm][1])
        return signature

    def sign(self, claims, algorithm: str | None = None, header: dict | bytes | str | None = None, without=(), **more_header) -> str:
        """A compact JWS. `header` replaces the whole header; `more_header` adds to the usual one and `without` takes away."""
        algorithm = algorithm or self.algorithm
        if header is None:
            header = {"alg": algorithm, "typ": "JWT"} | ({"kid": self.kid} if self.kid else {}) | more_header
            header = {name: value for name, value in header.items() if name not in without}
        signing_input = encode(as_json(header)) + "." + encode(as_json(claims))
        return signing_input + "." + encode(self.signature(algorithm, signing_input))


def jwks(*keys: Key) -> str:
    return json.dumps({"keys": [key.jwk() for key in keys]})


def forge(header, claims, signature: bytes = b"") -> str:
    return f"{encode(as_json(header))}.{encode(as_json(claims))}.{encode(signature)}"


def forge_hmac(algorithm: str, secret: bytes, claims, **header) -> str:
    signing_input = encode(as_json({"alg": algorithm, "typ": "JWT"} | header)) + "." + encode(as_json(claims))
    return signing_input + "." + encode(hmac_signature(algorithm, secret, signing_input))


def claims_of(issuer: str = "https://issuer.test", sub: str | None = "alice", audience="api", lifetime: float = 600, **more) -> dict:
    """Claims that the test gateways accept. A claim given as None is left out."""
    now = int(time.time())
    claims = {"iss": issuer, "aud": audience, "sub": sub, "iat": now, "exp": now + lifetime} | more
    return {name: value for name, value in claims.items() if value is not None}
