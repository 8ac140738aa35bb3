"""What the measurements of operations share: nginx origins, one gateway with TLS in front, wrk at full speed, and what the process holds."""
import atexit
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "load-tests" / "sessions"))

from lab import Origin  # noqa: E402  (it finds tests/support)
from support.gateway import Gateway, Stand  # noqa: E402


class Ground:
    """Everything ends with the program. `change(stand, configuration, policies)` alters the usual configuration."""

    def __init__(self, change=None, origins: int = 1, workers: int = 2, wait_for: str = "/readyz",
                 oracle=None):
        if shutil.which("wrk") is None:
            sys.exit("wrk is not installed: deploy/install-dependencies.sh load")
        self._folder = tempfile.TemporaryDirectory(prefix="sallyport-ground-")
        self.origins = []
        for number in range(origins):
            folder = pathlib.Path(self._folder.name) / f"origin-{number}"
            folder.mkdir()
            self.origins.append(Origin(folder))

        def prepare(stand: Stand, configuration: dict, policies: dict) -> None:
            configuration["workers"] = workers
            configuration["log"] = {"level": "info", "access": "off", "audit": "off"}
            servers = [{"url": f"http://127.0.0.1:{origin.port}"} for origin in self.origins]
            configuration["upstreams"].append({"name": "origin", "servers": servers})
            policies["routes"].append({"name": "who", "match": {"path": "/who/**"}, "access": "authenticated", "upstream": "origin"})
            policies["routes"].append({"name": "staff", "match": {"path": "/staff/**"}, "access": "authenticated",
                                       "require": {"role": "staff"}, "upstream": "origin"})
            if change:
                change(stand, configuration, policies)
        self.stand = Stand(prepare, oracle, wait_for=wait_for)
        atexit.register(self.stand.stop)

    @property
    def gateway(self) -> Gateway:
        return self.stand.gateway

    def write_configuration(self, configuration: dict | None = None, policies: dict | None = None) -> None:
        """In place of what stands there, each file whole."""
        for name, content in (("policies.yaml", policies), ("gateway.yaml", configuration)):
            if content is not None:
                replace(self.gateway.folder / name, json.dumps(content, indent=1))


def replace(path: pathlib.Path, content: str | bytes) -> None:
    """As careful tools write files: never half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=path.stat().st_mode & 0o777 if path.exists() else 0o600)
    fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
    fresh.rename(path)


class Wrk(threading.Thread):
    """64 connections over TLS at full speed, in the background. join() it, then look at `result`."""

    def __init__(self, stand: Stand, seconds: int, path: str = "/who/x", tokens: int | list[str] = 100, connections: int = 64,
                 method: str = "GET", tls: bool = True, delay: float = 0):
        """`tokens`: how many callers of ours take turns, or the tokens themselves.
        `delay`: milliseconds that a connection waits between an answer and its next request, on average."""
        super().__init__(daemon=True)
        tokens_file = stand.folder / f"tokens-{id(self)}"
        if isinstance(tokens, int):
            # A run may be longer than the tokens of tests live.
            tokens = [stand.token(sub=f"caller-{number}", lifetime=seconds + 600) for number in range(tokens)]
        tokens_file.write_text("".join(token + "\n" for token in tokens))
        port = stand.tls_port if tls else stand.plain_port
        self._command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(ROOT / "load-tests/wrk/requests.lua"),
                         f"{'https' if tls else 'http'}://localhost:{port}{path}", "--", f"method={method}",
                         f"credentials={tokens_file}", f"delay={delay}"]
        self.result: dict = {}
        self.start()

    def run(self) -> None:
        done = subprocess.run(self._command, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                self.result = json.loads(line)
        if not self.result:
            print("wrk:", done.stdout, done.stderr, file=sys.stderr)

    @property
    def failed(self) -> int:
        """Requests without their answer, or with another status than 2xx and 3xx."""
        return sum(self.result.get(f"errors_{kind}", 1) for kind in ("status", "connect", "read", "write", "timeout"))


def holdings(pid: int) -> dict:
    """What the process holds: resident KiB, descriptors, threads."""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {"kib": int(status["VmRSS"].split()[0]), "descriptors": len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())),
            "threads": int(status["Threads"])}
