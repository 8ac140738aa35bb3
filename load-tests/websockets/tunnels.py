#!/usr/bin/env python3
"""Many WebSocket tunnels through one gateway to a `ws` server: what they cost, and whether exactly the right ones end.

    load-tests/websockets/tunnels.py [--tunnels 5000] [--echoes 20000] [--rude 400]

Opens the tunnels, every tenth of them of one subject; every one echoes, and memory is read while all are silent. Then `--echoes` messages go
through, rude clients break off in every way (a reset, half a frame, half a close, a flood of pings), and the one subject is revoked: exactly
its tunnels must end, with 4401, within a second. Exit status 1 when anything of that fails, or anything is left behind.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests"))

from support.free_ports import free_port  # noqa: E402
from support.gateway import Gateway, Stand  # noqa: E402
from support.http_client import bearer  # noqa: E402
from support.sessions import keep_sessions  # noqa: E402
from support.websocket import BINARY, CLOSE, PING, TEXT, Ended, WebSocket, frame  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SALLYPORT_BUILD", ROOT / "build")) / "load-websockets"
failures: list[str] = []


def expect(holds: bool, what: str) -> None:
    print(f"{'ok    ' if holds else 'BROKEN'} {what}", flush=True)
    if not holds:
        failures.append(what)


class EchoServer:
    def __init__(self):
        BUILD.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "echo.js"):
            shutil.copyfile(HERE / name, BUILD / name)
        if not (BUILD / "node_modules/ws").exists():
            subprocess.run(["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=BUILD, check=True,
                           stdout=subprocess.DEVNULL)
        self.port = free_port()
        self.process = subprocess.Popen(["node", "echo.js"], cwd=BUILD, env=os.environ | {"PORT": str(self.port)})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.open()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("echo.js does not answer")

    def open(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
            return json.loads(answer.read())["open"]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def eventually(ask, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if ask():
            return True
        time.sleep(0.1)
    return False


def open_tunnels(stand: Stand, count: int) -> list[tuple[str, WebSocket]]:
    tokens = {f"caller-{number}": stand.token(sub=f"caller-{number}") for number in range(10)}
    tunnels = []
    began = time.monotonic()
    for number in range(count):
        subject = f"caller-{number % 10}"
        tunnel = WebSocket(stand.plain_address, "/ws/x", bearer(tokens[subject]), timeout=30)
        if not tunnel.is_open:
            expect(False, f"tunnel {number} opens: {tunnel.status} {tunnel.buffer!r}")
            break
        tunnels.append((subject, tunnel))
    print(f"       {len(tunnels)} tunnels in {time.monotonic() - began:.1f} s", flush=True)
    return tunnels


def echo_all(tunnels: list[tuple[str, WebSocket]], messages: int) -> None:
    """In waves: every tunnel has one message under way at a time."""
    began, done, longest = time.monotonic(), 0, 0.0
    while done < messages:
        wave = tunnels[:messages - done]
        for number, (_, tunnel) in enumerate(wave):
            tunnel.send(TEXT, b"message %d" % number)
        for number, (_, tunnel) in enumerate(wave):
            if tunnel.read().payload != b"message %d" % number:
                expect(False, "every echo is its own")
                return
        done += len(wave)
    spent = time.monotonic() - began
    print(f"       {done} echoes in {spent:.1f} s ({done / spent:.0f} a second, the client included)", flush=True)


def be_rude(stand: Stand, count: int) -> None:
    token = stand.token(sub="rude")
    for number in range(count):
        tunnel = WebSocket(stand.plain_address, "/ws/x", bearer(token), timeout=30)
        if number % 4 == 0:
            tunnel.reset()
        elif number % 4 == 1:
            tunnel.socket.sendall(frame(BINARY, b"x" * 5000, masked=True)[:1000])
            tunnel.reset()
        elif number % 4 == 2:
            tunnel.send(TEXT, b"last words")
            tunnel.socket.shutdown(socket.SHUT_WR)
            tunnel.close()
        else:
            tunnel.socket.setblocking(False)
            try:
                tunnel.socket.sendall(frame(PING, b"", masked=True) * 20_000)
            except OSError:
                pass
            tunnel.close()


def revoke(gateway: Gateway, subject: str, tunnels: list[tuple[str, WebSocket]]) -> None:
    theirs = [tunnel for owner, tunnel in tunnels if owner == subject]
    others = [(owner, tunnel) for owner, tunnel in tunnels if owner != subject]
    began = time.monotonic()
    status, body, _ = gateway.admin_request("/revocations", "POST", json.dumps({"subject": subject}).encode(),
                                            {"Content-Type": "application/json"})
    expect(status < 300, f"the revocation is taken ({status} {body[:100]!r})")
    codes: dict = {}
    for tunnel in theirs:
        try:
            last = tunnel.read()
            code = last.close_code if last.opcode == CLOSE else f"opcode {last.opcode}"
        except (Ended, TimeoutError) as error:
            code = str(error)
        codes[code] = codes.get(code, 0) + 1
    spent = time.monotonic() - began
    expect(codes == {4401: len(theirs)}, f"{len(theirs)} tunnels of the subject end with 4401: {codes}")
    expect(spent < 1.0, f"the last of them after {spent:.3f} s")
    for tunnel in theirs:
        tunnel.close()
    echo_all(others, len(others))
    expect(True, f"{len(others)} tunnels of others go on")


def live(stand: Stand, server: EchoServer, options, kib: int, descriptors: int) -> None:
    """Everything once, from the first tunnel to the last."""
    gateway = stand.gateway
    tunnels = open_tunnels(stand, options.tunnels)
    echo_all(tunnels, len(tunnels))
    each = (gateway.resident_kib() - kib) / max(len(tunnels), 1)
    expect(gateway.metrics()["sallyport_tunnels"] == len(tunnels), f"the gauge says {len(tunnels)}")
    expect(each < 40, f"a silent tunnel holds {each:.1f} KiB")
    before = gateway.cpu_seconds()
    time.sleep(5)
    expect(gateway.cpu_seconds() - before < 0.5, f"silent tunnels cost {(gateway.cpu_seconds() - before) / 5:.1%} of a processor")
    echo_all(tunnels, options.echoes)
    be_rude(stand, options.rude)
    expect(eventually(lambda: gateway.metrics()["sallyport_tunnels"] == len(tunnels), 35), "nothing of the rude ones is left")
    revoke(gateway, "caller-3", tunnels)
    for _, tunnel in tunnels:
        tunnel.close()
    expect(eventually(lambda: gateway.metrics()["sallyport_tunnels"] == 0, 35), "no tunnel is left")
    expect(eventually(lambda: server.open() == 0, 35), "nor at the server")
    expect(eventually(lambda: gateway.open_files() <= descriptors + 8, 35), f"descriptors: {descriptors} -> {gateway.open_files()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tunnels", type=int, default=5000)
    parser.add_argument("--echoes", type=int, default=20_000)
    parser.add_argument("--rude", type=int, default=400)
    options = parser.parse_args()
    wanted = options.tunnels * 2 + 1000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"{wanted} open files are needed, and {hard} are allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else hard, hard))
    server = EchoServer()

    def change(stand: Stand, configuration: dict, policies: dict) -> None:
        keep_sessions(stand, configuration, policies)
        configuration["log"] = {"level": "info", "access": "off", "audit": "off"}
        for listener in configuration["listeners"]:
            listener["limits"] = {"connections": options.tunnels + 2000}
        configuration["upstreams"].append({"name": "echo", "servers": [{"url": f"http://127.0.0.1:{server.port}"}]})
        policies["routes"].append({"name": "ws", "match": {"path": "/ws/**"}, "access": "authenticated", "upstream": "echo",
                                   "websocket": True})
    stand = Stand(change)
    try:
        gateway = stand.gateway
        empty = gateway.resident_kib(), gateway.open_files()
        live(stand, server, options, *empty)
        most = gateway.resident_kib()
        live(stand, server, options, *empty)
        expect(gateway.resident_kib() < most * 1.05 + 2048, f"memory: {empty[0]} KiB, {most} KiB after one round, {gateway.resident_kib()} KiB after two")
    finally:
        stand.stop()
        server.close()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
