#!/usr/bin/env python3
"""What slow clients cost the others: slowhttptest in its three modes, beside normal clients.

    load-tests/operations/slow_clients.py [--connections 4000] [--seconds 30] [--rounds 3]

Normal clients ask the gateway at a steady rate over TLS and over clear text. Their p99 is taken beside 4,000 connections that send heads
slowly (slowloris), bodies slowly (RUDY) or read slowly, in turn from the gateway and from an nginx that nobody else asks: what the attacker
takes from the machine that he shares here, he takes both times, and only the rest is the gateway's. Interleaved `rounds` times for each mode.
Exit status 1 when the median of the p99s is higher by 20 % or more and by half a millisecond where the gateway is attacked, a normal request
fails, or something runs out.
"""
import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from ground import Ground, Origin, holdings
from support.http_client import Closed, bearer

MODES = {"slow heads": ["-H"], "slow bodies": ["-B", "-s", "8192"], "slow reads": ["-X", "-w", "1", "-y", "16", "-n", "5", "-z", "8"]}


class Normal:
    """8 clients, 50 requests a second each; times in seconds."""

    def __init__(self, ground: Ground):
        self.stand, self.times, self.failed, self.ended = ground.stand, [], 0, threading.Event()
        self.line = bearer(ground.stand.token(sub="normal"))
        self.threads = [threading.Thread(target=self.run, args=(number % 2 == 0,), daemon=True) for number in range(8)]
        for thread in self.threads:
            thread.start()

    def run(self, tls: bool) -> None:
        connection = self.stand.connect(tls, timeout=30)
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                good = connection.ask("GET", "/who/x", self.line).status == 200
            except (OSError, Closed):
                good, connection = False, self.stand.connect(tls, timeout=30)
            taken = time.monotonic() - began
            self.times.append(taken)
            self.failed += not good
            time.sleep(max(0.0, 0.02 - taken))

    def p99(self, seconds: float) -> float:
        self.times = []
        time.sleep(seconds)
        ordered = sorted(self.times)
        return ordered[int(len(ordered) * 0.99)] * 1e3

    def end(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=4000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("slowhttptest") is None:
        sys.exit("slowhttptest is not installed: deploy/install-dependencies.sh load")
    ground, ok = Ground(), True
    with tempfile.TemporaryDirectory(prefix="sallyport-elsewhere-") as folder:
        elsewhere = Origin(pathlib.Path(folder))
        normal = Normal(ground)
        normal.p99(3)
        pid = ground.gateway.process.pid

        def beside(port: int, flags: list[str]) -> float:
            """The p99 of normal clients of the gateway while `port` is attacked."""
            attack = subprocess.Popen(["nice", "-n", "19", "slowhttptest", *flags, "-c", str(options.connections), "-r", "2000", "-i", "5", "-l",
                                       str(options.seconds), "-p", "3", "-u", f"http://127.0.0.1:{port}/who/slow"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(options.connections / 2000 + 1)
            taken = normal.p99(options.seconds / 2)
            holds.append(holdings(pid))
            attack.wait(options.seconds + 60)
            time.sleep(1)
            return taken

        for mode, flags in MODES.items():
            holds: list[dict] = []
            alone, other, ours = [], [], []
            for _ in range(options.rounds):
                alone.append(normal.p99(options.seconds / 3))
                other.append(beside(elsewhere.port, flags))
                ours.append(beside(ground.stand.plain_address[1], flags))
            before, during = statistics.median(other), statistics.median(ours)
            bad = during >= before * 1.2 and during - before >= 0.5
            ok = ok and not bad and not normal.failed
            text = "; ".join(f"{name} {statistics.median(values):.2f} ms ({', '.join(f'{value:.2f}' for value in values)})"
                             for name, values in (("nobody attacked", alone), ("somebody else", other), ("the gateway", ours)))
            print(f"{'BROKEN' if bad else 'holds'}: {mode}: p99 {text}; {max(holds, key=lambda each: each['descriptors'])}; "
                  f"{normal.failed} normal requests failed", flush=True)
        normal.end()
        elsewhere.process.terminate()
        elsewhere.process.wait()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
