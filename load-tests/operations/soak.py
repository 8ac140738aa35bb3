#!/usr/bin/env python3
"""Whether a gateway stays what it is: load for a long time, with things going wrong around it.

    load-tests/operations/soak.py [--minutes 30] [--load 0.7] [--every 15]

First the most that wrk gets is measured, then a share `load` of it is kept up. Every `every` seconds something happens, in turn: one of three
servers dies or hangs for a while, Redis is stopped or killed, the configuration is reloaded, good or broken, clients send garbage, go away
in the middle, sign in, refresh and sign out, somebody is revoked, log files are rotated. What the process holds is sampled all the time.
Exit status 1 when the process ended or was replaced, when a request of that load failed, or when memory, descriptors or threads in the last
third lie above the second third.
"""
import argparse
import atexit
import os
import random
import signal
import socket
import statistics
import sys
import time

from faults import Server
from ground import Ground, Wrk, holdings
from support.http_client import Closed, bearer
from support.redis_server import RedisServer
from support.sessions import SESSION, Accounts, keep_sessions, set_cookies, sign_in_body


class Soak:
    def __init__(self, seen):
        self.redis, self.servers = RedisServer(), [Server(seen) for _ in range(3)]
        atexit.register(self.redis.close)
        self.random, self.log = random.Random(1), []

        def change(stand, configuration: dict, policies: dict) -> None:
            keep_sessions(stand, configuration, policies, self.redis)
            configuration["log"] = {"level": "info", "access": "access.log", "audit": "audit.log"}
            configuration["upstreams"].append(
                {"name": "three", "servers": [{"url": f"http://127.0.0.1:{server.port}"} for server in self.servers],
                 "timeouts": {"connect": "500ms", "response": "1s", "idle": "60s"},
                 "health": {"path": "/three/0", "interval": "1s", "timeout": "500ms", "healthy_after": 2, "unhealthy_after": 2}})
            policies["routes"].append({"name": "three", "match": {"path": "/three/**"}, "access": "public", "upstream": "three"})
        self.ground = Ground(change, oracle=Accounts())
        self.stand = self.ground.stand

    # What goes wrong, or on. Each comes back within some seconds, and leaves nothing behind.

    def server_dies(self) -> None:
        name = self.random.choice(("killed", "stopped", "slow", "garbage"))
        self.servers[1].fault(name)
        self.ask_three(40)
        self.servers[1].mend(name)

    def redis_is_away(self) -> None:
        self.redis.pause()
        time.sleep(2)
        self.redis.resume()

    def reloads(self) -> None:
        policies = self.stand.policies
        self.ground.write_configuration(policies=policies | {"routes": [*policies["routes"], {"name": "half"}]})
        self.ground.gateway.process.send_signal(signal.SIGHUP)
        time.sleep(1)
        self.ground.write_configuration(policies=policies)
        self.ground.gateway.process.send_signal(signal.SIGHUP)

    def garbage(self) -> None:
        for address in (self.stand.plain_address, self.stand.tls_address):
            for _ in range(100):
                with socket.create_connection(address, 5) as connection:
                    connection.sendall(self.random.randbytes(self.random.randrange(1, 4000)))

    def half_requests(self) -> None:
        data = b"POST /three/0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500
        for _ in range(200):
            with socket.create_connection(self.stand.plain_address, 5) as connection:
                connection.sendall(data[:self.random.randrange(1, len(data))])

    def people(self) -> None:
        with self.stand.connect(False, timeout=30) as connection:
            for number in range(50):
                answer = connection.ask("POST", "/login", body=sign_in_body({"sub": f"person-{number}"}))
                if answer.status != 200:
                    continue
                line = f"Cookie: {SESSION}={set_cookies(answer)[SESSION].value}"
                for _ in range(5):
                    connection.ask("GET", "/who/x", line)
        self.ground.gateway.admin_request("/revocations", "POST", b'{"subject": "person-1"}')

    def rotates_logs(self) -> None:
        for name in ("access.log", "audit.log"):
            path = self.ground.gateway.folder / name
            if path.exists():
                path.rename(path.with_suffix(".old"))
        self.ground.gateway.process.send_signal(signal.SIGUSR1)

    def ask_three(self, times: int) -> None:
        with self.stand.connect(False, timeout=30) as connection:
            for number in range(times):
                connection.ask(("GET", "POST")[number % 2], f"/three/{number % 2}", body=b"x" if number % 2 else None)
                time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--every", type=float, default=15)
    options = parser.parse_args()
    import multiprocessing
    soak = Soak(multiprocessing.Array("i", 1000))
    pid = soak.ground.gateway.process.pid
    most = Wrk(soak.stand, 8, connections=64)
    most.join()
    rate = most.result["requests"] / (most.result["microseconds"] / 1e6)
    connections = 256
    delay = connections / (rate * options.load) * 1e3
    print(f"{rate:.0f} requests a second at most; {options.load * rate:.0f} with {connections} connections and {delay:.1f} ms between", flush=True)
    load = Wrk(soak.stand, int(options.minutes * 60), connections=connections, delay=delay)
    things = [soak.server_dies, soak.redis_is_away, soak.reloads, soak.garbage, soak.half_requests, soak.people, soak.rotates_logs]
    began, samples, number, next_thing = time.monotonic(), [], 0, time.monotonic() + options.every
    while load.is_alive():
        samples.append(holdings(pid))
        if time.monotonic() >= next_thing:
            thing = things[number % len(things)]
            try:
                thing()
            except (OSError, Closed) as error:
                print(f"{thing.__name__}: {error!r}", flush=True)
            number, next_thing = number + 1, time.monotonic() + options.every
            if number % 14 == 0:
                print(f"{time.monotonic() - began:.0f} s: {samples[-1]}", flush=True)
        time.sleep(1)
    load.join()
    ok = soak.ground.gateway.alive and not load.failed
    third = len(samples) // 3
    for what, margin in (("kib", 0.05), ("descriptors", 0.1), ("threads", 0)):
        second, last = (statistics.median(each[what] for each in part) for part in (samples[third:2 * third], samples[2 * third:]))
        grown = last > second * (1 + margin) + (1 if margin else 0)
        ok = ok and not grown
        print(f"{'GROWN' if grown else 'flat'}: {what}: {second:.0f} in the second third, {last:.0f} in the last")
    print(f"{load.result.get('requests')} requests of wrk, {load.failed} failed; {number} things happened; process "
          f"{'alive' if soak.ground.gateway.alive else 'DEAD'}")
    os.sync()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
