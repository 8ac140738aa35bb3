#!/usr/bin/env python3
"""How long a revocation takes to the other gateway, under load.

    load-tests/sessions/revocation.py [--revocations 1000] [--bound-ms 10] [--load 1] [--seed N]

Two gateways, one Redis. Sessions, subjects and token ids take turns: each credential is warm on both gateways, is revoked by POST
/revocations at the first, and from the end of that answer the second is asked until it refuses. Other processes ask the second gateway all
the time with all credentials, revoked ones included. Exit status 1: a 99th percentile above the bound, or a single request that was sent
later than the bound and served.
"""
import argparse
import json
import multiprocessing
import random
import sys
import time

from lab import Connection, Lab, Load, bearer, milliseconds, session_line
from support.sessions import claims_within

KINDS = ("session", "subject", "token_id")


def credentials(lab: Lab, count: int) -> list[tuple[str, str, str]]:
    """Kind, what is revoked, and the field that presents it."""
    found = []
    sessions = iter(lab.sign_in([f"session-{number}" for number in range(0, count, 3)]))
    pairs = iter(lab.token_pairs([f"token-{number}" for number in range(count - count // 3)]))
    for number in range(count):
        kind = KINDS[number % 3]
        if kind == "session":
            cookie = next(sessions)
            found.append((kind, cookie, session_line(cookie)))
        else:
            token = next(pairs)["access_token"]
            claims = claims_within(token)
            found.append((kind, claims["sub"] if kind == "subject" else claims["jti"], bearer(token)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revocations", type=int, default=1000)
    parser.add_argument("--bound-ms", type=float, default=10)
    parser.add_argument("--load", type=int, default=1, help="processes that ask the second gateway meanwhile")
    parser.add_argument("--probes", type=int, default=3, help="connections that wait for the refusal")
    parser.add_argument("--workers", type=int, default=1, help="of each gateway")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bound = options.bound_ms / 1000

    lab = Lab(workers=options.workers)
    here, there = lab.gateways
    known = credentials(lab, options.revocations)
    random.Random(options.seed).shuffle(known)
    ends = multiprocessing.Array("d", len(known), lock=False)
    load = Load(there.addresses["plain"], [line for _, _, line in known], ends, options.load, bound) if options.load else None
    probes = [lab.connect(there) for _ in range(options.probes)]
    admin, warm = Connection(here.admin, timeout=30), lab.connect(here)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    late = 0
    for at, (kind, value, line) in enumerate(known):
        for connection in (warm, *probes):
            answer = connection.ask("GET", "/who/x", line)
            assert answer.status == 200, (kind, answer.status)
        answer = admin.ask("POST", "/revocations", "Content-Type: application/json", body=json.dumps({kind: value}).encode())
        told = time.monotonic()
        ends[at] = told
        assert answer.status // 100 == 2, (kind, answer.status, answer.body)
        refused = False
        for _ in range(200):
            for connection in probes:
                sent = time.monotonic()
                status = connection.ask("GET", "/who/x", line).status
                now = time.monotonic()
                assert status in (200, 401), status
                if status == 401 and not refused:
                    refused = True
                    times[kind].append(now - told)
                elif status == 200 and sent > told + bound:
                    late += 1
            if refused:
                break
        assert refused, f"the {kind} was never refused"
        for connection in (warm, *probes):
            if connection.ask("GET", "/who/x", line).status == 200 and time.monotonic() > told + bound:
                late += 1
    failed = late > 0
    for kind, taken in times.items():
        ordered = sorted(taken)
        over = ordered[int(len(ordered) * 0.99)] > bound if ordered else True
        failed |= over
        print(f"{kind:9} {milliseconds(taken)}{'   ABOVE THE BOUND' if over else ''}")
    if load:
        counts = load.stop()
        failed |= counts["served too late"] > 0 or counts["refused without a reason"] > 0
        print("load:", ", ".join(f"{value} {name}" for name, value in counts.items()))
    print(f"served by the probes later than {options.bound_ms:g} ms after the answer: {late}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
