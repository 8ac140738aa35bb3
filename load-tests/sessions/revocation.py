#!/usr/bin/env python3
"""How long a revocation takes to the other gateway, under load.

    load-tests/sessions/revocation.py [--revocations 1000] [--bound-ms 10] [--load 1] [--seed N]

Two gateways, one Redis. Sessions, subjects and token ids take turns, and families whose spent refresh token comes again (theft): each
credential is warm on both gateways, is revoked at the first by POST /revocations or by the replay, and from the end of that answer the
second is asked until it refuses. Other processes ask the second gateway all the time with all credentials, revoked ones included. Exit
status 1: a 99th percentile above the bound, or a single request that was sent later than the bound and served.
"""
import argparse
import json
import multiprocessing
import random
import sys
import time

from lab import Connection, Lab, Load, bearer, milliseconds, session_line
from support.sessions import FORM, claims_within, form

KINDS = ("session", "subject", "token_id", "theft")


def credentials(lab: Lab, count: int) -> list[tuple[str, str, str]]:
    """Kind, what is revoked, and the field that presents it."""
    found = []
    sessions = iter(lab.sign_in([f"session-{number}" for number in range(0, count, len(KINDS))]))
    pairs = iter(lab.token_pairs([f"token-{number}" for number in range(count)]))
    with lab.connect(lab.gateways[0]) as connection:
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            if kind == "session":
                cookie = next(sessions)
                found.append((kind, cookie, session_line(cookie)))
                continue
            pair = next(pairs)
            claims, value = claims_within(pair["access_token"]), pair["refresh_token"]
            if kind == "theft":  # the owner has refreshed; who comes with the old token now is a thief
                answer = connection.ask("POST", "/.gateway/refresh", FORM, body=refresh_form(value))
                assert answer.status == 200, answer.body
            else:
                value = claims["sub"] if kind == "subject" else claims["jti"]
            found.append((kind, value, bearer(pair["access_token"])))
    return found


def refresh_form(token: str) -> bytes:
    return form(grant_type="refresh_token", refresh_token=token)


def revoke(kind: str, value: str, admin: Connection, client: Connection) -> None:
    if kind == "theft":
        answer = client.ask("POST", "/.gateway/refresh", FORM, body=refresh_form(value))
        assert answer.status == 400, (kind, answer.status, answer.body)
        return
    answer = admin.ask("POST", "/revocations", "Content-Type: application/json", body=json.dumps({kind: value}).encode())
    assert answer.status // 100 == 2, (kind, answer.status, answer.body)


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

    lab = Lab(workers=options.workers, tokens={"reuse_window": "0s"})
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
        revoke(kind, value, admin, warm)
        told = time.monotonic()
        ends[at] = told
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
