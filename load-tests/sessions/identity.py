#!/usr/bin/env python3
"""Whether any answer ever carries an identity other than its request's, while clients leave at random moments.

    load-tests/sessions/identity.py [--requests 1000000] [--connections 64] [--processes 2] [--cancel 0.5] [--churn 0.2] [--seed N]

Requests with sessions and access tokens of many people go to two gateways over one Redis; the service answers with the subject that it was
told. A share of `cancel` is cut off: after a random byte of the request, or at a random moment within 3 ms of sending it whole. `churn` is
the share of keys that are touched behind the gateways' backs ten times a second, so that look-ups go on.
Exit status 1 on a single mismatch, or an answer other than 200.
"""
import argparse
import heapq
import multiprocessing
import random
import selectors
import socket
import sys
import time

from lab import CONTENT_LENGTH, Lab, bearer, request, session_line


class Client:
    """One process: its share of connections and requests."""

    def __init__(self, options, seed: int, addresses, people: list[tuple[bytes, bytes]], counts):
        self.options, self.random, self.addresses, self.people, self.counts = options, random.Random(seed), addresses, people, counts
        self.selector = selectors.DefaultSelector()
        self.leaving: list[tuple[float, int, socket.socket]] = []
        self.open = self.sent = self.answered = self.cancelled = self.wrong = self.failed = self.order = 0

    def start(self, connection: socket.socket | None = None) -> None:
        """The next request, on this connection or a new one."""
        if connection is None:
            connection = socket.create_connection(self.random.choice(self.addresses))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(connection, selectors.EVENT_READ, [b"", b""])
        name, data = self.random.choice(self.people)
        self.sent += 1
        state = self.selector.get_key(connection).data
        state[:] = [b"", name]
        try:
            if self.random.random() >= self.options.cancel:
                connection.sendall(data)
                return
            self.cancelled += 1
            whole = self.random.random() < 0.5
            connection.sendall(data if whole else data[:self.random.randrange(len(data))])
            self.order += 1
            heapq.heappush(self.leaving, (time.monotonic() + (self.random.random() * 0.003 if whole else 0), self.order, connection))
            state[1] = None  # whatever comes is nobody's
        except OSError:
            self.failed += 1
            self.end(connection)

    def end(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        connection.close()
        self.next(None)

    def next(self, connection: socket.socket | None) -> None:
        if self.sent < self.options.requests // self.options.processes:
            self.start(connection)
        else:
            self.open -= 1
            if connection is not None:
                self.selector.unregister(connection)
                connection.close()

    def receive(self, connection: socket.socket, state: list) -> None:
        try:
            piece = connection.recv(65536)
        except OSError:
            piece = b""
        if state[1] is None:  # on its way out: it leaves at its time
            return
        if not piece:
            self.failed += 1
            return self.end(connection)
        state[0] += piece
        head, separator, body = state[0].partition(b"\r\n\r\n")
        if not separator:
            return
        length = CONTENT_LENGTH.search(head + b"\r\n")
        if length is None or len(body) < int(length[1]):
            return
        self.answered += 1
        if not head.startswith(b"HTTP/1.1 200"):
            self.failed += 1
            print(head.split(b"\r\n")[0], flush=True)
        elif body != state[1] + b"\n":
            self.wrong += 1
            print(f"MISMATCH: asked as {state[1]}, answered {body[:80]}", flush=True)
        self.next(connection)

    def run(self) -> None:
        self.open = self.options.connections // self.options.processes
        for _ in range(self.open):
            self.start()
        while self.open > 0:
            wait = max(0.0, self.leaving[0][0] - time.monotonic()) if self.leaving else 1.0
            for key, _ in self.selector.select(wait):
                self.receive(key.fileobj, key.data)
            now = time.monotonic()
            while self.leaving and self.leaving[0][0] <= now:
                self.end(heapq.heappop(self.leaving)[2])
        with self.counts.get_lock():
            for at, value in enumerate((self.sent, self.answered, self.cancelled, self.wrong, self.failed)):
                self.counts[at] += value


def churn(lab: Lab, share: float, stop) -> None:
    """Touches keys, as other gateways and applications would: what was remembered of them must be looked up again."""
    rng = random.Random(7)
    with lab.redis.client() as client:
        while not stop.wait(0.1):
            for key in client.command("KEYS", "*session*") or client.command("KEYS", "*"):
                if rng.random() < share:
                    client.command("PEXPIRE", key, 3_600_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cancel", type=float, default=0.5)
    parser.add_argument("--churn", type=float, default=0.2)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="of each gateway")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    lab = Lab(workers=options.workers, tokens={"access_ttl": "24h"})  # a slow machine must not outlive them
    names = [f"person-{number}" for number in range(options.people)]
    lines = [(name, session_line(cookie)) for name, cookie in zip(names, lab.sign_in(names))]
    lines += [(name, bearer(pair["access_token"])) for name, pair in zip(names, lab.token_pairs(names))]
    people = [(name.encode(), request("GET", f"/who/{name}", line)) for name, line in lines]
    counts, stop = multiprocessing.Array("q", 5), multiprocessing.Event()
    began = time.monotonic()
    addresses = [gateway.addresses["plain"] for gateway in lab.gateways]
    processes = [multiprocessing.Process(target=Client(options, options.seed + number, addresses, people, counts).run)
                 for number in range(options.processes)]
    churner = multiprocessing.Process(target=churn, args=(lab, options.churn, stop))
    for process in [*processes, churner]:
        process.start()
    for process in processes:
        process.join()
    stop.set()
    churner.join()
    sent, answered, cancelled, wrong, failed = counts
    print(f"{sent} requests in {time.monotonic() - began:.0f} s: {answered} answered, {cancelled} cut off, {failed} failed, "
          f"{wrong} with another's identity")
    sys.exit(1 if wrong or failed or sent < options.requests // options.processes * options.processes
             or any(process.exitcode for process in processes) else 0)


if __name__ == "__main__":
    main()
