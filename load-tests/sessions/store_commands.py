#!/usr/bin/env python3
"""How often warm and forged requests make a gateway ask its store: never (INFO commandstats says so).

    load-tests/sessions/store_commands.py [--warm 100000] [--forged 100000] [--connections 16]

Exit status 1 when Redis counted a single command for them.
"""
import argparse
import sys
import time

from lab import Connection, Lab, bearer, request, session_line
from support.sessions import FORM, REFRESH, forged_id, form


def ask_all(connections: list[Connection], requests: list[bytes], expected: int) -> float:
    """Seconds for all of them, sixteen or so at once; every answer must be `expected`."""
    began = time.monotonic()
    for first in range(0, len(requests), len(connections)):
        batch = requests[first:first + len(connections)]
        for connection, data in zip(connections, batch):
            connection.send(data)
        for connection, _ in zip(connections, batch):
            status = connection.read_response().status
            assert status == expected, status
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm", type=int, default=100_000)
    parser.add_argument("--forged", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    lab = Lab(replicas=0, workers=2)
    connections = [lab.connect(lab.gateways[0]) for _ in range(options.connections)]
    lines = [session_line(cookie) for cookie in lab.sign_in([f"warm-{number}" for number in range(10)])]
    lines += [bearer(pair["access_token"]) for pair in lab.token_pairs([f"warm-{number}" for number in range(10)])]
    for connection in connections:
        for line in lines:
            assert connection.ask("GET", "/who/x", line).status == 200
    failed = False

    def judge(name: str, requests: list[bytes], expected: int) -> None:
        nonlocal failed
        before = lab.redis.data_commands()
        taken = ask_all(connections, requests, expected)
        after = lab.redis.data_commands()
        asked = {command: calls - before.get(command, 0) for command, calls in after.items() if calls > before.get(command, 0)}
        failed |= bool(asked)
        print(f"{name}: {len(requests)} requests in {taken:.1f} s, store commands: {asked or 0}", flush=True)

    warm = [request("GET", "/who/x", line) for line in lines]
    judge("warm", [warm[number % len(warm)] for number in range(options.warm)], 200)
    forged = [request("GET", "/who/x", session_line(forged_id())) for _ in range(options.forged)]
    judge("forged session ids", forged, 401)
    judge("forged refresh cookies", [request("GET", "/who/x", f"Cookie: {REFRESH}={forged_id()}") for _ in range(options.forged // 2)], 401)
    bodies = [form(grant_type="refresh_token", refresh_token=forged_id()) for _ in range(options.forged // 2)]
    judge("forged refresh tokens", [request("POST", "/.gateway/refresh", FORM, body=body) for body in bodies], 400)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
