"""What everybody is given alike: one certificate, keys, tokens, sessions. Made when it is first asked for, in the working folder."""
import base64
import functools
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import socket
import sys
import time

from compare.processes import run

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
AUDIENCE = "load"
CLAIMS = {"aud": AUDIENCE, "sub": "user-0001", "roles": ["reader"], "scope": "orders:read orders:write", "email": "user@load.example"}


def issuer_of(algorithm: str, number: int = 0) -> str:
    return f"https://{algorithm.lower()}{number or ''}.issuer.load.example"


def write_secret(name: str, content: str | bytes) -> str:
    path = pathlib.Path(name)
    path.touch(mode=0o600)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if len(body) < 128 else bytes([0x80 | len(size)]) + size) + body


def _public_pem(jwk: dict) -> str:
    """SubjectPublicKeyInfo (RFC 5280) of an RSA or P-256 key: what HAProxy's jwt_verify reads."""
    def number(name):
        return base64.urlsafe_b64decode(jwk[name] + "=" * (-len(jwk[name]) % 4))
    if jwk["kty"] == "RSA":
        algorithm = _der(0x30, bytes.fromhex("06092a864886f70d010101"), _der(0x05))
        key = _der(0x30, *[_der(0x02, b"\0" * (n[0] >> 7) + n) for n in (number("n"), number("e"))])
    else:
        algorithm = _der(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06082a8648ce3d030107"))
        key = b"\x04" + number("x") + number("y")
    text = base64.encodebytes(_der(0x30, algorithm, _der(0x03, b"\0", key))).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n"


class Material:
    def __init__(self, binary: str):
        self._binary = binary
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt")
        os.chmod("tls.key", 0o600)
        write_secret("tls.pem", pathlib.Path("tls.crt").read_text() + pathlib.Path("tls.key").read_text())
        for algorithm in ALGORITHMS:
            self._make_key(algorithm)

    def _make_key(self, algorithm: str) -> None:
        name = algorithm.lower()
        if algorithm == "HS256":
            # HAProxy takes the secret as a word of its configuration, so it is made of hex digits, for everybody alike.
            secret = secrets.token_hex(32)
            write_secret("hs256.secret", secret)
            encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
            private = json.dumps({"keys": [{"kty": "oct", "kid": name, "alg": "HS256", "use": "sig", "k": encoded}]})
        else:
            private = run(self._binary, "keys", "generate", "--algorithm", algorithm, "--kid", name)
        write_secret(f"{name}.jwks", private)
        if algorithm != "HS256":
            pathlib.Path(f"{name}.public.jwks").write_text(run(self._binary, "keys", "public", "--keys", f"{name}.jwks"))
        if algorithm in ("RS256", "ES256"):
            pathlib.Path(f"{name}.pub.pem").write_text(_public_pem(json.loads(private)["keys"][0]))

    @functools.cache
    def tokens(self, algorithm: str, count: int, issuer_number: int = 0) -> str:
        """A file of so many different tokens that are valid for two hours."""
        name = algorithm.lower()
        claims = CLAIMS | {"iss": issuer_of(algorithm, issuer_number)}
        text = run(self._binary, "token", "sign", "--keys", f"{name}.jwks", "--ttl", "2h", "--count", count, "--claims", json.dumps(claims))
        return self._write(f"{name}.{count}.{issuer_number}.tokens", text)

    @functools.cache
    def tokens_of_issuers(self, algorithm: str, issuers: int, count: int) -> str:
        """`count` tokens, of every issuer alike, the issuers in turn."""
        each = [pathlib.Path(self.tokens(algorithm, count // issuers, number)).read_text().split() for number in range(issuers)]
        return self._write(f"{algorithm}.{issuers}-issuers.tokens", "".join(f"{token}\n" for turn in zip(*each) for token in turn))

    @staticmethod
    def _write(name: str, text: str) -> str:
        path = pathlib.Path(name).resolve()
        path.write_text(text)
        return str(path)


class Sessions:
    """Records of sessions in Redis as the gateway writes them (gateway/store/redis_scripts.hpp, create_session; the cookie's value:
    gateway/authenticate/tag_keys.cpp), in bulk: a million takes less than a minute. Only the index of each subject's sessions is left out,
    which no request reads. They end when they are idle as when they are not: a first use has nothing to prolong, as in the peers' scripts."""

    _LIFE = 24 * 3600_000  # milliseconds

    def __init__(self, redis_port: int, prefix: str = "sallyport:"):
        self.secret_file = write_secret("session.secret", secrets.token_hex(32))
        secret = pathlib.Path(self.secret_file).read_bytes()
        self._key = hmac.digest(secret, b"sallyport session id", "sha256")
        self._redis_port, self._prefix = redis_port, prefix

    def _record(self, handle: str, number: int, now: int) -> str:
        claims = json.dumps({"roles": ["reader"], "scope": "orders:read orders:write", "email": f"user-{number}@load.example"}, separators=(",", ":"))
        ends = now + self._LIFE
        return f'{{"v":1,"key":"{handle}","created":{now},"ends":{ends},"idle":{ends},"seen":{now},"subject":"user-{number}","claims":{claims}}}'

    @functools.cache
    def create(self, count: int) -> dict[str, str]:
        """Files of so many credentials: `ours` of cookies, `keys` of what the record stands under, for who looks it up without a tag."""
        began, now = time.monotonic(), int(time.time() * 1000)
        ours, keys = [], []
        with socket.create_connection(("127.0.0.1", self._redis_port), 60) as redis:
            for first in range(0, count, 5000):
                batch = []
                for number in range(first, min(first + 5000, count)):
                    body = secrets.token_bytes(32)
                    cookie = base64.urlsafe_b64encode(body + hmac.digest(self._key, body, "sha256")[:16]).decode()
                    handle = hashlib.sha256(body).hexdigest()
                    parts = ["SET", f"{self._prefix}session:{{{handle}}}", self._record(handle, number, now), "PXAT", str(now + self._LIFE)]
                    batch.append(f"*{len(parts)}\r\n" + "".join(f"${len(part)}\r\n{part}\r\n" for part in parts))
                    ours.append(f"Cookie: __Host-session={cookie}\n")
                    keys.append(f"Cookie: sid={handle}\n")
                redis.sendall("".join(batch).encode())
                _expect_ok(redis, len(batch))
        if count > 100_000:
            print(f"{count} sessions written to Redis in {time.monotonic() - began:.0f} s", flush=True)
        return {"ours": Material._write(f"sessions.{count}.ours", "".join(ours)), "keys": Material._write(f"sessions.{count}.keys", "".join(keys))}


def _expect_ok(redis: socket.socket, count: int) -> None:
    answers = b""
    while len(answers) < 5 * count:
        piece = redis.recv(65536)
        if not piece:
            sys.exit("Redis hung up")
        answers += piece
    if answers != b"+OK\r\n" * count:
        sys.exit(f"Redis answered {answers[:200]!r}")
