#!/usr/bin/env python3
"""What callers notice when one of three servers of an upstream dies, hangs, slows down or talks nonsense.

    load-tests/operations/faults.py [--seconds 12] [--rate 300] [--detection 3]

Clients ask at a steady rate, GET and POST in turn, each request with a number of its own; every answer's body is compared with what it must
be. One server at a time is killed, stopped (SIGSTOP), made slow and made to send garbage, for `seconds` each, and mends again. The servers
write down every POST they began to read. `detection` is what docs/operations.md gives the gateway to notice; errors of GETs within that time
after the fault began, or was mended, do not count.
Exit status 1 when more than 0.1 % of the other GETs failed, a POST reached servers twice, or an answer looked complete and was not.
"""
import argparse
import multiprocessing
import os
import signal
import socket
import socketserver
import sys
import threading
import time

from ground import Ground
from support.free_ports import free_port
from support.http_client import Closed, Connection, bearer

GOOD, SLOW, GARBAGE = range(3)
BODY = bytes(range(32, 127)) * 60


class Server:
    """One server of the upstream, a process of its own. POSTs are counted in `seen`, one slot a number."""

    def __init__(self, seen):
        self.port, self.mode, self.seen = free_port(), multiprocessing.Value("i", GOOD), seen
        self.start()

    def start(self) -> None:
        self.process = multiprocessing.Process(target=self._serve, daemon=True)
        self.process.start()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)

    def _serve(self) -> None:
        mode, seen = self.mode, self.seen

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while line := self.rfile.readline():
                    method, target = line.split()[:2]
                    length = 0
                    while (field := self.rfile.readline()) not in (b"\r\n", b""):
                        if field.lower().startswith(b"content-length:"):
                            length = int(field.split(b":")[1])
                    if method == b"POST":
                        with seen.get_lock():
                            seen[int(target.rpartition(b"/")[2])] += 1
                    self.rfile.read(length)
                    if mode.value == SLOW:
                        time.sleep(5)
                    if mode.value == GARBAGE:
                        self.wfile.write(b"\x16\x03\x01 HTTP?\r\n: \r\n\0\r\n\r\n" * 8)
                        return
                    body = target + BODY
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 256
        Listener(("127.0.0.1", self.port), Handler).serve_forever()

    def fault(self, name: str) -> None:
        match name:
            case "killed": self.process.kill()
            case "stopped": os.kill(self.process.pid, signal.SIGSTOP)
            case "slow": self.mode.value = SLOW
            case "garbage": self.mode.value = GARBAGE

    def mend(self, name: str) -> None:
        self.mode.value = GOOD
        match name:
            case "killed":
                self.process.join()
                self.start()
            case "stopped": os.kill(self.process.pid, signal.SIGCONT)


class Clients:
    """Threads that ask at a steady rate until ended; `outcomes` are (sent at, number, method, status or 0)."""

    def __init__(self, address, token: str, rate: int, threads: int = 24):
        self.address, self.line, self.pause = address, bearer(token), threads / rate
        self.lock, self.number, self.outcomes, self.truncated, self.ended = threading.Lock(), 0, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self) -> None:
        connection = None
        while not self.ended.is_set():
            with self.lock:
                number = self.number
                self.number += 1
            method, sent, status = ("GET", "POST")[number % 2], time.monotonic(), 0
            target = f"/faulty/{number}"
            try:
                connection = connection or Connection(self.address, timeout=30)
                answer = connection.ask(method, target, self.line, body=b"x" * 64 if method == "POST" else None)
                status = answer.status
                if status == 200 and answer.body != target.encode() + BODY:
                    self.truncated += 1
            except (OSError, Closed):
                connection = None
            with self.lock:
                self.outcomes.append((sent, number, method, status))
            time.sleep(max(0.0, sent + self.pause - time.monotonic()))

    def end(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--detection", type=float, default=3)
    options = parser.parse_args()
    seen = multiprocessing.Array("i", 10_000_000)
    servers = [Server(seen) for _ in range(3)]

    def change(_, configuration: dict, policies: dict) -> None:
        configuration["upstreams"].append(
            {"name": "faulty", "servers": [{"url": f"http://127.0.0.1:{server.port}"} for server in servers], "retries": 1,
             "timeouts": {"connect": "500ms", "response": "1s", "idle": "60s"},
             "health": {"path": "/faulty/0", "interval": "1s", "timeout": "500ms", "healthy_after": 2, "unhealthy_after": 2}})
        policies["routes"].append({"name": "faulty", "match": {"path": "/faulty/**"}, "access": "authenticated", "upstream": "faulty"})
    ground = Ground(change)
    clients = Clients(ground.stand.plain_address, ground.stand.token(sub="alice"), options.rate)
    time.sleep(2)
    spans, ok = [], True
    for name in ("killed", "stopped", "slow", "garbage"):
        began = time.monotonic()
        servers[1].fault(name)
        time.sleep(options.seconds)
        servers[1].mend(name)
        spans.append((name, began, time.monotonic()))
        time.sleep(options.detection + 2)
    clients.end()
    for name, began, mended in spans:
        told = [each for each in clients.outcomes if began - 1 <= each[0] < mended + options.detection + 2]
        steady = [each for each in told if not began - 1 <= each[0] < began + options.detection and not mended <= each[0] < mended + options.detection]
        gets = [each for each in steady if each[2] == "GET"]
        bad = [each for each in gets if each[3] != 200]
        early = [each for each in told if each not in steady and each[2] == "GET" and each[3] != 200]
        print(f"{name}: {len(gets)} GETs outside the time of detection, {len(bad)} failed ({sorted({each[3] for each in bad})}); within it "
              f"{len(early)} failed; POSTs that failed: {sum(1 for each in told if each[2] == 'POST' and each[3] != 200)}")
        ok = ok and len(bad) <= len(gets) * 0.001
    twice = [number for number in range(1, clients.number, 2) if seen[number] > 1]
    print(f"{clients.number} requests; POSTs that reached servers twice: {len(twice)}; answers that looked complete and were not: {clients.truncated}")
    sys.exit(0 if ok and not twice and not clients.truncated else 1)


if __name__ == "__main__":
    main()
