#!/usr/bin/env python3
"""Whether a request fails while one process hands the sockets over to the next.

    load-tests/operations/restart.py [--restarts 10] [--seconds 6]

wrk asks over TLS at full speed; meanwhile SIGUSR2 makes the process start its successor and drain, `restarts` times, one every `seconds`.
Exit status 1 when one request failed, or a process did not end.
"""
import argparse
import os
import pathlib
import signal
import sys
import time

from ground import Ground, Wrk, holdings


def successor_of(pid: int, within: float) -> int:
    """The process that took over; waits until the old one has gone."""
    deadline, fresh = time.monotonic() + within, 0
    while time.monotonic() < deadline:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        if children.exists() and children.read_text().split():
            fresh = int(children.read_text().split()[0])
        if fresh and has_ended(pid):
            return fresh
        time.sleep(0.02)
    sys.exit(f"BROKEN: {pid} did not hand over within {within} s (successor {fresh})")


def has_ended(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=6)
    options = parser.parse_args()
    ground = Ground()
    pid = ground.gateway.process.pid
    load = Wrk(ground.stand, options.restarts * options.seconds + 4)
    time.sleep(2)
    for number in range(options.restarts):
        began = time.monotonic()
        os.kill(pid, signal.SIGUSR2)
        old, pid = pid, successor_of(pid, 40)
        print(f"{number + 1}: {old} -> {pid} in {time.monotonic() - began:.2f} s, now {holdings(pid)}", flush=True)
        time.sleep(max(0.0, began + options.seconds - time.monotonic()))
    load.join()
    print(f"{load.result.get('requests')} requests, {load.failed} failed: {load.result}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 40
    while not has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    sys.exit(1 if load.failed or not has_ended(pid) else 0)


if __name__ == "__main__":
    main()
