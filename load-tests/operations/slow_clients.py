#!/usr/bin/env python3
"""What slow clients cost the others: slowhttptest in its three modes, beside normal clients.

    load-tests/operations/slow_clients.py [--connections 4000] [--seconds 20] [--rounds 3]

Normal clients are wrk at full speed over TLS with 64 connections. Their p99 is taken alone and beside 4,000 connections that send heads slowly
(slowloris), bodies slowly (RUDY) or read slowly, until after these have been timed out, in turn from the gateway and from an nginx that nobody
else asks. The attacker has a core for himself, and the gateway shares the other with the normal clients and the origins; what a busy
neighbour takes from a core all the same is what the nginx shows. Interleaved `rounds` times for each mode.
Exit status 1 when the median of the p99s is higher by 20 % or more where the gateway is attacked than where nobody is, a normal request fails,
or the attack did not take place.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

from ground import Ground, Origin, Wrk, holdings

MODES = {"slow heads": ["-H"], "slow bodies": ["-B", "-s", "8192"], "slow reads": ["-X", "-w", "1", "-y", "16", "-n", "5", "-z", "8"]}


class Normal:
    def __init__(self, ground: Ground):
        self._stand, self.failed = ground.stand, 0

    def p99(self, seconds: int) -> float:
        """In milliseconds."""
        load = Wrk(self._stand, seconds)
        load.join()
        self.failed += load.failed
        return load.result["p99_us"] / 1e3


def attack(core: int, port: int, flags: list[str], options: argparse.Namespace) -> subprocess.Popen:
    command = ["taskset", "-c", str(core), "slowhttptest", *flags, "-c", str(options.connections), "-r", "2000",
               "-i", "5", "-l", str(options.seconds), "-p", "3", "-u", f"http://127.0.0.1:{port}/who/slow"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=4000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("slowhttptest") is None:
        sys.exit("slowhttptest is not installed: deploy/install-dependencies.sh load")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("the attacker needs a core for himself: two are needed")
    second_core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # and with this process everybody whom it starts, but for the attacker
    ok = True
    with tempfile.TemporaryDirectory(prefix="sallyport-elsewhere-") as folder:
        ground, elsewhere = Ground(), Origin(pathlib.Path(folder))
        normal = Normal(ground)
        pid = ground.gateway.process.pid

        def beside(port: int, flags: list[str]) -> float:
            """The p99 of normal clients of the gateway while `port` is attacked."""
            attacker = attack(second_core, port, flags, options)
            watch = threading.Timer(options.connections / 2000 + 1, lambda: (holds.append(holdings(pid)), alive.append(attacker.poll() is None)))
            watch.start()
            taken = normal.p99(options.seconds)
            watch.join()
            attacker.wait(60)
            return taken

        for mode, flags in MODES.items():
            holds: list[dict] = []
            alive: list[bool] = []
            alone, other, ours = [], [], []
            for _ in range(options.rounds):
                alone.append(normal.p99(options.seconds))
                other.append(beside(elsewhere.port, flags))
                ours.append(beside(ground.stand.plain_port, flags))
            rise = statistics.median(ours) / statistics.median(alone)
            # Bodies are refused with their heads, and the attacker is soon done.
            held = max(each["descriptors"] for each in holds)
            if mode != "slow bodies" and (not all(alive) or held < options.connections * 0.8):
                sys.exit(f"{mode}: slowhttptest did not attack (the gateway held {held} descriptors)")
            bad = rise >= 1.2 or normal.failed > 0
            ok = ok and not bad
            text = "; ".join(f"{name} {statistics.median(values):.2f} ms ({', '.join(f'{value:.2f}' for value in values)})"
                             for name, values in (("nobody attacked", alone), ("somebody else", other), ("the gateway", ours)))
            print(f"{'BROKEN' if bad else 'holds'}: {mode}: p99 {rise - 1:+.0%}: {text}; {max(holds, key=lambda each: each['descriptors'])}; "
                  f"{normal.failed} normal requests failed", flush=True)
        elsewhere.process.terminate()
        elsewhere.process.wait()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
