#!/usr/bin/env python3
"""What happens to warm sessions when the channel that brings changes is cut, and how long it takes to come back.

    load-tests/sessions/channel.py [--rounds 10] [--cut kill|stop|both]

`stop` stops Redis with SIGSTOP: within 1.1 s no warm session may be served from memory any more, none may be served later, and routes with
JWTs must not lose a request; after SIGCONT sessions must be back within 1 s, over no more connections than before. `kill` ends the
connections that subscribe (CLIENT KILL) and deletes sessions at that very moment, behind the gateways' backs: none may be served 1.1 s
later.
Exit status 1 when a bound was broken.
"""
import argparse
import sys
import time

from lab import Lab, Load, bearer, milliseconds, session_line
from support.sessions import session_handle

BYPASS, RECOVERY = 1.1, 1.0


class Run:
    def __init__(self, lab: Lab):
        self.lab, self.failures = lab, []
        self.bypass, self.recovery, self.deletion = [], [], []

    def fail(self, text: str) -> None:
        self.failures.append(text)
        print("BROKEN:", text, flush=True)

    def warm(self, cookie: str) -> list:
        connections = [self.lab.connect(gateway) for gateway in self.lab.gateways for _ in range(2)]
        for connection in connections * 2:
            assert connection.ask("GET", "/who/x", session_line(cookie)).status == 200
        return connections

    def stop_redis(self, cookie: str, pool: int) -> None:
        connections = self.warm(cookie)
        self.lab.redis.pause()
        began, last_served = time.monotonic(), 0.0
        while time.monotonic() < began + 3:
            for connection in connections:
                sent = time.monotonic() - began
                status = connection.ask("GET", "/who/x", session_line(cookie)).status
                if status == 200:
                    last_served = sent
                elif status != 503:
                    self.fail(f"a warm session was answered {status} while Redis was stopped")
        self.bypass.append(last_served)
        if last_served > BYPASS:
            self.fail(f"served from memory {last_served:.2f} s after the channel fell silent")
        self.lab.redis.resume()
        back = time.monotonic()
        most = 0
        waiting = set(range(len(connections)))
        while waiting and time.monotonic() < back + 10:
            most = max(most, len(self.lab.redis.clients()))
            for at in list(waiting):
                if connections[at].ask("GET", "/who/x", session_line(cookie)).status == 200:
                    waiting.discard(at)
        taken = time.monotonic() - back
        self.recovery.append(taken)
        if taken > RECOVERY:
            self.fail(f"back only {taken:.2f} s after Redis")
        if most > pool:
            self.fail(f"{most} connections where there were {pool}")

    def cut_channel(self, cookie: str) -> None:
        connections = self.warm(cookie)
        killed, patience = 0, time.monotonic() + 2
        while not killed and time.monotonic() < patience:  # the one that was killed before is just being replaced
            killed = self.lab.redis.kill_clients(lambda client: client.get("sub", "0") != "0" or client.get("cmd") in ("subscribe", "xread"))
        if not killed:
            self.fail("no connection of the channel was found")
        for key in self.lab.redis.keys(f"*{session_handle(cookie)}*"):
            self.lab.redis.command("DEL", key)
        began, last_served = time.monotonic(), 0.0
        while time.monotonic() < began + 1.6:
            for connection in connections:
                sent = time.monotonic() - began
                if connection.ask("GET", "/who/x", session_line(cookie)).status == 200:
                    last_served = sent
        self.deletion.append(last_served)
        if last_served > BYPASS:
            self.fail(f"a deleted session was served {last_served:.2f} s after its end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cut", choices=("kill", "stop", "both"), default="both")
    options = parser.parse_args()
    lab = Lab()
    run = Run(lab)
    pairs = lab.token_pairs([f"steady-{number}" for number in range(20)])
    load = [Load(gateway.addresses["plain"], [bearer(pair["access_token"]) for pair in pairs]) for gateway in lab.gateways]
    time.sleep(0.5)
    pool = len(lab.redis.clients())
    for number in range(options.rounds):
        if options.cut in ("stop", "both"):
            run.stop_redis(lab.sign_in([f"stopped-{number}"])[0], pool)
        if options.cut in ("kill", "both"):
            run.cut_channel(lab.sign_in([f"deleted-{number}"])[0])
    for each in load:
        counts = each.stop()
        print("JWT load:", ", ".join(f"{value} {name}" for name, value in counts.items()))
        if counts["refused without a reason"]:
            run.fail("a route with JWTs lost requests")
    print("last request served from memory after SIGSTOP:", milliseconds(run.bypass))
    print("every connection served again after SIGCONT:", milliseconds(run.recovery))
    print("last request served with a session that was deleted behind a cut channel:", milliseconds(run.deletion))
    sys.exit(1 if run.failures else 0)


if __name__ == "__main__":
    main()
