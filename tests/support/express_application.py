"""The real express-session with connect-redis under Node (journey/express), in the build folder."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import time
import urllib.request

from support.free_ports import free_port
from support.gateway import REPOSITORY
from support.redis_server import RedisServer

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "journey/express"
FOLDER = pathlib.Path(os.environ.get("SALLYPORT_BUILD", REPOSITORY / "build")) / "journey-express"
FILES = ("package.json", "package-lock.json", ".npmrc", "application.js")


def why_not_installed() -> str | None:
    """Installs the packages of the lock file, once. None: they are there; else why they are not."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = b"".join((SOURCE / name).read_bytes() for name in FILES[:3])
        done = FOLDER / "installed"
        (FOLDER / "application.js").write_bytes((SOURCE / "application.js").read_bytes())
        if done.exists() and done.read_bytes() == wanted:
            return None
        for name in FILES[:3]:
            shutil.copyfile(SOURCE / name, FOLDER / name)
        try:
            run = subprocess.run(["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], cwd=FOLDER,
                                 capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            return "npm ci did not end within 240 s"
        if run.returncode != 0:
            return f"npm ci failed, the registry may be out of reach: {run.stderr.strip()[-300:]}"
        done.write_bytes(wanted)
    return None


class ExpressApplication:
    def __init__(self, redis: RedisServer, secrets: list[str], prefix: str = "sess:", max_age: int | None = None):
        """`max_age` in milliseconds."""
        self.port = free_port()
        environment = os.environ | {"PORT": str(self.port), "REDIS_URL": redis.url, "SECRETS": ",".join(secrets), "PREFIX": prefix}
        if max_age is not None:
            environment["MAX_AGE"] = str(max_age)
        self._log = open(FOLDER / f"application-{self.port}.log", "w+")
        self.process = subprocess.Popen(["node", "application.js"], cwd=FOLDER, env=environment, stdout=self._log, stderr=self._log,
                                        stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        self.close()
        raise AssertionError(f"the application did not start:\n{(FOLDER / f'application-{self.port}.log').read_text()}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._log.close()
