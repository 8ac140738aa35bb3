#!/usr/bin/env python3
"""The demo's accounts: a form, a password, and one line to the gateway that says who it was.

    deploy/demo/accounts_service.py [--port 9002]

GET /login shows the form. POST /login and POST /token check a name and a password; when they fit, the answer carries X-Auth-Establish, and
the gateway makes a session or a token pair of it. No cookie, no token and no session is this service's business.
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FORM_BYTES_MAX = 4096
PAGE = """<!doctype html>
<title>Sign in</title>
<form method="post">
  <label>Name <input name="user" autocomplete="username" autofocus></label>
  <label>Password <input name="password" type="password" autocomplete="current-password"></label>
  <button>Sign in</button>
</form>
"""


def hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


class Account:
    def __init__(self, password: str, **claims):
        self.salt = os.urandom(16)
        self.hash = hashed(password, self.salt)
        self.claims = claims


# A real service would read these from its database.
ACCOUNTS = {
    "alice": Account("wonderland", name="Alice", roles=["reader", "writer"], scope="orders:read orders:write"),
    "bob": Account("builder", name="Bob", roles=["reader"], scope="orders:read"),
}
NOBODY = Account("")  # a name that is not there takes as long as a wrong password


def recognise(fields: dict[str, list[str]]) -> dict | None:
    """The claims of whoever the form names, if the password is his."""
    user, password = (fields[name][0] if len(fields.get(name, [])) == 1 else "" for name in ("user", "password"))
    account = ACCOUNTS.get(user, NOBODY)
    fits = hmac.compare_digest(hashed(password, account.salt), account.hash)
    if not fits or account is NOBODY:
        return None
    return {"sub": user, "auth_time": int(time.time()), **account.claims}


class Accounts(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "accounts"
    sys_version = ""

    def answer(self, status: int, content_type: str, text: str, *fields: tuple[str, str]) -> None:
        payload = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Cache-Control", "no-store")
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def do_GET(self) -> None:
        if self.path == "/healthz":
            return self.answer(200, "text/plain", "ok\n")
        if self.path == "/login":
            return self.answer(200, "text/html; charset=utf-8", PAGE)
        self.answer(404, "text/plain", "There is no such page.\n")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > FORM_BYTES_MAX or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            return self.answer(413, "text/plain", "This is more than a name and a password.\n")
        form = self.rfile.read(size).decode(errors="replace")
        if self.path not in ("/login", "/token"):
            return self.answer(404, "text/plain", "There is no such page.\n")
        claims = recognise(urllib.parse.parse_qs(form))
        if claims is None:
            return self.answer(401, "text/plain", "The name or the password is wrong.\n")
        statement = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        self.answer(200, "text/plain", f"Welcome, {claims['name']}.\n", ("X-Auth-Establish", statement))

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9002)
    port = parser.parse_args().port
    try:
        server = Server(("127.0.0.1", port), Accounts)
    except OSError as error:
        sys.exit(f"accounts_service: 127.0.0.1:{port}: {error.strerror}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
