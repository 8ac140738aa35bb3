#!/usr/bin/env python3
"""What callers notice when the server that publishes an issuer's keys is down, slow, hostile or changes its keys.

    load-tests/operations/keys.py [--storm 10000] [--seconds 10]

In turn: the server is down at start and comes up; the issuer changes its key under load; the server hangs; it sends 100 MB; and `storm`
unknown kids a second arrive while it answers. Valid tokens must be served throughout (but for a start without any keys), the server must be
asked at most once in the interval between fetches, and memory must stay flat.
Exit status 1 when one of these does not hold.
"""
import argparse
import http.server
import json
import sys
import threading
import time

from ground import Ground, Wrk, holdings
from support.free_ports import free_port
from support.http_client import Closed, bearer
from support.tokens import Key, claims_of, encode, jwks

ISSUER, INTERVAL = "https://remote.test", 10.0


class KeyServer:
    """Answers GET with `document`, or as `mode` says. `asked` has when."""

    def __init__(self, port: int):
        self.port, self.document, self.mode, self.asked = port, "", "good", []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(time.monotonic())
                if server.mode == "hang":
                    time.sleep(60)
                content = server.document.encode()
                self.send_response(200)
                self.send_header("Cache-Control", "max-age=60")
                self.send_header("Content-Length", str(100_000_000 if server.mode == "huge" else len(content)))
                self.end_headers()
                try:
                    if server.mode == "huge":
                        for _ in range(100):
                            self.wfile.write(b" " * 1_000_000)
                    else:
                        self.wfile.write(content)
                except OSError:
                    pass

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Caller(threading.Thread):
    """Shows a fresh valid token with every request; `key` may be exchanged. `failed` has when and how."""

    def __init__(self, ground: Ground, key: Key):
        super().__init__(daemon=True)
        self.ground, self.key, self.asked, self.failed, self.ended = ground, key, 0, [], threading.Event()
        self.start()

    def run(self) -> None:
        connection = self.ground.stand.connect(False, timeout=30)
        while not self.ended.is_set():
            token = self.key.sign(claims_of(issuer=ISSUER, sub="remote", jti=str(self.asked)))
            try:
                status = connection.ask("GET", "/remote/x", bearer(token)).status
            except (OSError, Closed) as error:
                status, connection = repr(error), self.ground.stand.connect(False, timeout=30)
            self.asked += 1
            if status != 200:
                self.failed.append((time.monotonic(), status))
            time.sleep(0.002)

    def end(self) -> list:
        self.ended.set()
        self.join(30)
        return self.failed


def storm(ground: Ground, key: Key, rate: int, seconds: float) -> int:
    """Tokens of unknown kids, a different one with every request, at least `rate` a second; how many were answered otherwise than 401."""
    signed = key.sign(claims_of(issuer=ISSUER, sub="stranger")).split(".")
    headers = (encode(json.dumps({"alg": "ES256", "kid": f"unknown-{number}"}).encode()) for number in range(int(rate * seconds * 3)))
    refused = 'sallyport_requests_total{route="remote",method="GET",code="401"}'
    before = ground.gateway.metrics().get(refused, 0)
    load = Wrk(ground.stand, int(seconds), "/remote/x", connections=16, tls=False,
               tokens=[f"{header}.{signed[1]}.{signed[2]}" for header in headers])
    load.join()
    asked = load.result["requests"]
    print(f"  {asked} unknown kids in {seconds} s: {asked / seconds:.0f} a second ({rate} were asked for)")
    if asked < rate * seconds:
        return asked  # not the storm that was asked for
    time.sleep(1)
    counted = ground.gateway.metrics().get(refused, 0) - before
    return max(0, asked - int(counted)) + load.result["errors_read"] + load.result["errors_timeout"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storm", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    port, keys = free_port(), []

    def change(stand, configuration: dict, policies: dict) -> None:
        keys.extend(Key("ES256", f"remote-{number}", stand.folder / "keys") for number in range(3))
        configuration["issuers"].append({"name": "remote", "issuer": ISSUER, "audiences": ["api"], "algorithms": ["ES256"],
                                         "keys": {"jwks_url": f"http://127.0.0.1:{port}/jwks.json", "cache_file": "remote.cache.json"}})
        configuration["store"] = {"kind": "embedded", "path": "sallyport.db"}
        policies["routes"].append({"name": "remote", "match": {"path": "/remote/**"}, "access": "authenticated", "upstream": "origin",
                                   "credentials": [{"jwt": "remote"}]})
    ground = Ground(change, wait_for="/livez")  # not ready without keys, and that is the point
    ok = True

    def judge(text: str, good: bool) -> None:
        nonlocal ok
        ok = ok and good
        print(("holds: " if good else "BROKEN: ") + text, flush=True)

    token = lambda key: bearer(key.sign(claims_of(issuer=ISSUER, sub="remote")))
    with ground.stand.connect(False, timeout=30) as connection:
        judge("without any keys: 503, and /readyz says so", connection.ask("GET", "/remote/x", token(keys[0])).status == 503
              and ground.gateway.admin_status("/readyz") == 503)
    server = KeyServer(port)
    server.document = jwks(keys[0])
    began = time.monotonic()
    while ground.gateway.admin_status("/readyz") != 200 and time.monotonic() < began + 60:
        time.sleep(0.1)
    judge(f"ready {time.monotonic() - began:.1f} s after the server came up", time.monotonic() < began + 60)

    caller = Caller(ground, keys[0])
    time.sleep(INTERVAL + 1)
    server.document = jwks(keys[0], keys[1])
    caller.key = keys[1]
    time.sleep(3)
    judge(f"a new key under load: {caller.asked} requests, {len(caller.failed)} failed", not caller.failed)
    before = holdings(ground.gateway.process.pid)
    for mode in ("hang", "huge"):
        server.mode = mode
        with ground.stand.connect(False, timeout=30) as connection:
            connection.ask("GET", "/remote/x", token(keys[2]))  # unknown: worth a fetch
        time.sleep(INTERVAL + 2)
        judge(f"the server {mode}s: {len(caller.failed)} failed", not caller.failed)
    server.mode = "good"
    time.sleep(INTERVAL + 1)
    asked = len(server.asked)
    other = storm(ground, keys[2], options.storm, options.seconds)
    fetches = server.asked[asked - 1:]
    # Those that requests cause are an interval apart; the regular one, once a minute here, may fall between two of them.
    gaps = [after - before for before, after in zip(fetches, fetches[1:])]
    judge(f"a storm of unknown kids: {other} of them not 401, fetches {', '.join(f'{gap:.1f} s' for gap in gaps)} after the one before, "
          f"{len(caller.failed)} valid ones failed", not other and not caller.failed and all(two > INTERVAL - 0.1 for two in map(sum, zip(gaps, gaps[1:]))))
    caller.end()
    after = holdings(ground.gateway.process.pid)
    judge(f"memory: before {before}, after {after}", after["kib"] < before["kib"] * 1.25 + 16384)
    server.close()
    ground.gateway.stop()
    ground.gateway.start("/livez")
    with ground.stand.connect(False, timeout=30) as connection:
        judge("a restart with the server down", connection.ask("GET", "/remote/x", token(keys[1])).status == 200)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
