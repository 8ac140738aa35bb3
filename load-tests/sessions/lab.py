"""What the measurements of sessions share: one Redis, two gateways, an nginx that answers with the subject it was told, and load."""
import atexit
import json
import multiprocessing
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))

from support.free_ports import free_port  # noqa: E402
from support.gateway import Gateway, Stand  # noqa: E402
from support.http_client import Closed, Connection, bearer, request  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.sessions import SESSION, Accounts, keep_sessions, set_cookies, sign_in_body  # noqa: E402

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; default_type text/plain;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "$http_x_auth_subject\\n"; }} }}
}}
"""


class Origin:
    """nginx, which answers every request with the subject that it was told."""

    def __init__(self, folder: pathlib.Path):
        if shutil.which("nginx") is None:
            sys.exit("nginx is not installed: deploy/install-dependencies.sh load")
        self.port = free_port()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=self.port))
        self.process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        atexit.register(self.process.terminate)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                Connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("nginx did not start")


class Lab:
    """Everything ends with the program."""

    def __init__(self, redis_options=(), sessions: dict | None = None, tokens: dict | None = None, workers: int = 1, replicas: int = 1):
        self.redis = RedisServer(*redis_options)
        atexit.register(self.redis.close)
        self._folder = tempfile.TemporaryDirectory(prefix="sallyport-lab-")
        origin = Origin(pathlib.Path(self._folder.name))

        def change(stand: Stand, configuration: dict, policies: dict) -> None:
            keep_sessions(stand, configuration, policies, self.redis, sessions, tokens)
            configuration["workers"] = workers
            configuration["log"] = {"level": "warning", "access": "off", "audit": "off"}
            configuration["upstreams"].append({"name": "origin", "servers": [{"url": f"http://127.0.0.1:{origin.port}"}]})
            policies["routes"].append({"name": "who", "match": {"path": "/who/**"}, "access": "authenticated", "upstream": "origin"})
        self.stand = Stand(change, Accounts())
        for number in range(replicas):
            self.stand.add_gateway(f"replica-{number + 1}")
        atexit.register(self.stand.stop)
        self.gateways = self.stand.gateways

    def connect(self, gateway: Gateway) -> Connection:
        return Connection(gateway.addresses["plain"], timeout=30)

    def sign_in(self, subjects: list[str], gateway: Gateway | None = None) -> list[str]:
        """The session cookie's value for each."""
        with self.connect(gateway or self.gateways[0]) as connection:
            return [set_cookies(connection.ask("POST", "/login", body=sign_in_body({"sub": each})))[SESSION].value for each in subjects]

    def token_pairs(self, subjects: list[str]) -> list[dict]:
        with self.connect(self.gateways[0]) as connection:
            return [json.loads(connection.ask("POST", "/token", body=sign_in_body({"sub": each})).body) for each in subjects]


def session_line(cookie: str) -> str:
    return f"Cookie: {SESSION}={cookie}"


def percentile(values: list[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(len(values) * share))]


def milliseconds(values: list[float]) -> str:
    ordered = sorted(values)
    if not ordered:
        return "none"
    return (f"p50 {percentile(ordered, 0.5) * 1e3:.2f} ms, p99 {percentile(ordered, 0.99) * 1e3:.2f} ms, "
            f"longest {ordered[-1] * 1e3:.2f} ms of {len(ordered)}")


class Load:
    """Processes that keep asking a gateway with credentials drawn at random, and judge each answer.

    `ends[i]` (shared) is when credential i was revoked by time.monotonic(), or 0. Counted: answers, refusals of what was not revoked,
    and `late`: requests that were sent more than `bound` seconds after the revocation and served."""

    def __init__(self, address, lines: list[str], ends=None, processes: int = 1, bound: float = 0.010, allowed=(200,)):
        self._stop = multiprocessing.Event()
        self._counts = multiprocessing.Array("q", 3)
        self._processes = [multiprocessing.Process(target=self._run, args=(number, address, lines, ends, bound, allowed), daemon=True)
                           for number in range(processes)]
        for process in self._processes:
            process.start()

    def _run(self, seed, address, lines, ends, bound, allowed) -> None:
        rng, connection = random.Random(seed), Connection(address, timeout=30)
        data = [request("GET", "/who/load", line) for line in lines]
        while not self._stop.is_set():
            at = rng.randrange(len(lines))
            sent = time.monotonic()
            end = ends[at] if ends is not None else 0
            try:
                connection.send(data[at])
                status = connection.read_response().status
            except (OSError, Closed):
                connection.close()
                connection = Connection(address, timeout=30)
                status = 0
            self._counts[0] += 1
            if status == 200 and end and sent > end + bound:
                self._counts[2] += 1
            elif status not in allowed and not (status == 401 and ends is not None and ends[at]):
                # A refusal may overtake the note of it: look again, a little later.
                time.sleep(0.05)
                if ends is None or not ends[at]:
                    self._counts[1] += 1

    def stop(self) -> dict:
        self._stop.set()
        for process in self._processes:
            process.join(30)
        answers, refused, late = self._counts
        return {"answers": answers, "refused without a reason": refused, "served too late": late}


CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
