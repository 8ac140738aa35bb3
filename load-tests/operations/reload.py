#!/usr/bin/env python3
"""Whether a request fails, or is decided otherwise, while everything is exchanged under it.

    load-tests/operations/reload.py [--seconds 60] [--reloads 100]

wrk asks over TLS at full speed; meanwhile policies, certificates and issuers' keys are exchanged `reloads` times, good and broken in
turn, asked for by POST /reload, SIGHUP and the watch. A bystander asks on kept and on new connections for what is allowed and what is not.
Exit status 1 when one request failed, one decision was another, or descriptors or memory grew.
"""
import argparse
import copy
import signal
import sys
import threading
import time

from ground import Ground, Wrk, holdings, replace
from support.http_client import Closed, bearer


class Bystander(threading.Thread):
    """Knows what every request must be answered, whatever is exchanged meanwhile."""

    def __init__(self, ground: Ground):
        super().__init__(daemon=True)
        self.stand, self.asked, self.wrong, self.ended = ground.stand, 0, [], threading.Event()
        self.plain, self.staff = self.stand.token(sub="someone"), self.stand.token(sub="boss", roles=["staff"])
        self.start()

    def run(self) -> None:
        expected = [("/who/x", self.plain, 200), ("/staff/x", self.plain, 403), ("/staff/x", self.staff, 200), ("/who/x", None, 401),
                    ("/who/x", self.plain[:-6] + "AAAAAA", 401)]
        kept = self.stand.connect()
        while not self.ended.is_set():
            for connection in (kept, self.stand.connect()):
                for path, token, status in expected:
                    try:
                        got = connection.ask("GET", path, *([bearer(token)] if token else [])).status
                    except (OSError, Closed) as error:
                        got = repr(error)
                    self.asked += 1
                    if got != status:
                        self.wrong.append((path, status, got))
                if connection is not kept:
                    connection.close()


def break_something(ground: Ground, number: int) -> None:
    folder, good = ground.gateway.folder, ground.stand
    match number % 5:
        case 0: replace(folder / "policies.yaml", '{"version": 1, "routes": [')  # half a file
        case 1: ground.write_configuration(policies=good.policies | {"routes": [{"name": "x", "match": {"path": "/**"}}]})
        case 2: ground.write_configuration(configuration=good.configuration | {"audiance": 1})
        case 3: replace(good.localhost.certificate, good.second.certificate.read_bytes())  # another key's
        case 4: replace(folder / "keys/corp.jwks.json", '{"keys": []}')


def mend(ground: Ground, number: int, originals: dict) -> None:
    for path, content in originals.items():
        if path.read_bytes() != content:
            replace(path, content)
    policies = copy.deepcopy(ground.stand.policies)
    policies["routes"].append({"name": f"fresh-{number}", "match": {"path": f"/fresh-{number}/**"}, "access": "public", "upstream": "origin"})
    ground.write_configuration(ground.stand.configuration, policies)
    fresh = ground.stand.authority.issue("localhost")  # the same files, a new key
    originals[fresh.certificate], originals[fresh.key] = fresh.certificate.read_bytes(), fresh.key.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--reloads", type=int, default=100)
    options = parser.parse_args()
    ground = Ground()
    stand, folder, pid = ground.stand, ground.gateway.folder, ground.gateway.process.pid
    originals = {path: path.read_bytes() for path in (stand.localhost.certificate, stand.localhost.key, folder / "keys/corp.jwks.json")}
    Wrk(stand, 5).join()  # warm
    before = holdings(pid)
    load, bystander = Wrk(stand, options.seconds), Bystander(ground)
    began, refused, accepted = time.monotonic(), 0, 0
    for number in range(options.reloads):
        broken = number % 2 == 0
        if broken:
            break_something(ground, number // 2)
        else:
            mend(ground, number, originals)
        if number % 3 == 1:
            ground.gateway.process.send_signal(signal.SIGHUP)
        status, _ = ground.gateway.admin_request("/reload", "POST", b"")[:2]
        if status == 200:
            accepted += 1
        else:
            refused += 1
        if (status == 200) == broken:
            print(f"BROKEN: reload {number}, which was {'broken' if broken else 'good'}, was answered {status}")
            sys.exit(1)
        time.sleep(max(0.0, began + (number + 1) * options.seconds / (options.reloads + 2) - time.monotonic()))
    load.join()
    bystander.ended.set()
    bystander.join(30)
    Wrk(stand, 3).join()
    after = holdings(pid)
    print(f"{load.result.get('requests')} requests of wrk, {load.failed} failed: {load.result}")
    print(f"{bystander.asked} of the bystander, {len(bystander.wrong)} decided otherwise: {bystander.wrong[:5]}")
    print(f"{accepted} reloads accepted, {refused} refused; before {before}, after {after}")
    grown = after["descriptors"] > before["descriptors"] + 16 or after["kib"] > before["kib"] * 1.25 + 8192
    sys.exit(1 if load.failed or bystander.wrong or grown else 0)


if __name__ == "__main__":
    main()
