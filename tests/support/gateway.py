"""Starts the built gateway in front of an oracle, with a configuration of the test's own, and watches over it.

The binary is $SALLYPORT_BINARY, else build/release/sallyport. A test fails when the gateway died, did not stop in order, or a sanitizer had
something to say.
"""
import contextlib
import copy
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from support.certificates import Authority
from support.free_ports import free_port
from support.http_client import Closed, Connection, Response, bearer, request
from support.oracle import Oracle
from support.tokens import Key, claims_of, jwks

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("SALLYPORT_BINARY", REPOSITORY / "build/release/sallyport"))
SANITIZER_WORDS = (b"AddressSanitizer", b"LeakSanitizer", b"ThreadSanitizer", b"UndefinedBehaviorSanitizer", b"runtime error:",
                   b"Assertion", b"terminate called")


def _is_sanitized() -> bool:
    with contextlib.suppress(OSError):
        content = BINARY.read_bytes()
        return b"__asan_init" in content or b"__tsan_init" in content
    return False


SANITIZED = _is_sanitized()
PATIENCE = 4 if SANITIZED else 1  # sanitizers make everything slower


def run_command(*arguments, stdin: str | None = None, environment: dict | None = None, timeout: float = 60) -> subprocess.CompletedProcess:
    """One call of the command line; text in and out."""
    return subprocess.run([str(BINARY), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout * PATIENCE,
                          env=os.environ | (environment or {}))


class Gateway:
    """One process. `configuration` and `policies` are plain data: JSON is YAML."""

    def __init__(self, folder: pathlib.Path, configuration: dict, policies: dict, open_files: int | None = None,
                 wait_for: str = "/readyz"):
        self.folder, self._open_files = folder, open_files
        self.config_file = folder / "gateway.yaml"
        self.config_file.write_text(json.dumps(configuration, indent=1))
        (folder / "policies.yaml").write_text(json.dumps(policies, indent=1))
        self.output_file = folder / "output.log"
        admin_host, _, admin_port = configuration["admin"]["address"].rpartition(":")
        self.admin = (admin_host, int(admin_port))
        self.addresses = {}  # a listener's name -> where it listens
        for listener in configuration["listeners"]:
            host, _, port = listener["address"].rpartition(":")
            self.addresses[listener["name"]] = (host, int(port))
        self.process: subprocess.Popen | None = None
        self.start(wait_for)

    def start(self, wait_for: str = "/readyz") -> None:
        with open(self.output_file, "ab") as output:
            command = [str(BINARY), "run", "--config", str(self.config_file)]
            if self._open_files:
                command = ["prlimit", f"--nofile={self._open_files}", *command]
            self.process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20 * PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.output()}")
            if self.admin_status(wait_for) == 200:
                return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the gateway does not answer {wait_for} with 200:\n{self.output()}")

    def admin_request(self, path: str, method: str = "GET", data: bytes | None = None, headers: dict | None = None
                      ) -> tuple[int, bytes, dict]:
        url = f"http://{self.admin[0]}:{self.admin[1]}{path}"
        wanted = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(wanted, timeout=10) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def admin_status(self, path: str) -> int | None:
        """None when nobody answers."""
        try:
            return self.admin_request(path)[0]
        except OSError:
            return None

    def metrics(self) -> dict[str, float]:
        """`name{labels}` as it stands in the text -> value."""
        text = self.admin_request("/metrics")[1].decode()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def resident_kib(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def output(self) -> str:
        return self.output_file.read_text(errors="replace") if self.output_file.exists() else ""

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_lines(self, name: str) -> list[dict]:
        return [json.loads(line) for line in self.log(name).splitlines() if line.strip()]

    def wait_for_line(self, name: str, fits) -> dict:
        """The first line of the log that fits; logs are written a moment after the answer."""
        deadline = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < deadline:
            for line in self.log(name).splitlines():
                with contextlib.suppress(json.JSONDecodeError):  # the last line may be half written
                    content = json.loads(line)
                    if fits(content):
                        return content
            time.sleep(0.05)
        raise AssertionError(f"no such line in {name}.log:\n{self.log(name)[-4000:]}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, within: float = 15) -> None:
        """SIGTERM, and everything that must be true of a process that ends."""
        if self.process.poll() is None:
            self.terminate()
        try:
            code = self.process.wait(within * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway did not stop within {within * PATIENCE} s of SIGTERM:\n{self.output()[-4000:]}") from None
        output = self.output_file.read_bytes()
        found = [word.decode() for word in SANITIZER_WORDS if word in output]
        if code != 0 or found:
            raise AssertionError(f"the gateway ended with {code} {found}:\n{self.output()[-8000:]}")


ROUTES = [
    {"name": "public", "match": {"path": "/public/**"}, "access": "public", "upstream": "service"},
    {"name": "api", "match": {"path": "/api/**"}, "access": "authenticated", "upstream": "service"},
    {"name": "admin", "match": {"path": "/admin/**"}, "access": "authenticated", "require": {"role": "admin"}, "upstream": "service"},
    {"name": "own", "match": {"path": "/users/{user}/**"}, "access": "authenticated",
     "require": {"claim": {"name": "sub", "equals": "{user}"}}, "upstream": "service"},
    {"name": "reports", "match": {"path": "/reports/**"}, "access": "authenticated", "require": {"scope": "reports:read"},
     "upstream": "service"},
    {"name": "optional", "match": {"path": "/optional/**"}, "access": "optional", "upstream": "service"},
    {"name": "mapped", "match": {"path": "/mapped/**"}, "access": "authenticated", "upstream": "service",
     "identity": {"headers": {"X-User-Id": "sub", "X-User-Email": "email", "X-User-Level": "level", "X-User-Groups": "groups"}}},
    {"name": "passing", "match": {"path": "/passing/**"}, "access": "authenticated", "forward_credentials": True, "upstream": "service"},
    {"name": "stripped", "match": {"path": "/stripped/**"}, "access": "public", "rewrite": {"strip_prefix": "/stripped"},
     "upstream": "service"},
    {"name": "read-only", "match": {"path": "/read-only/**", "methods": ["GET", "HEAD"]}, "access": "public", "upstream": "service"},
    {"name": "dav", "match": {"path": "/dav/**", "methods": ["PROPFIND", "GET"]}, "access": "public", "upstream": "service"},
    {"name": "corp-only", "match": {"path": "/corp/**"}, "access": "authenticated", "credentials": [{"jwt": "corp"}],
     "upstream": "service"},
    {"name": "other-only", "match": {"path": "/other/**"}, "access": "authenticated", "credentials": [{"jwt": "other"}],
     "upstream": "service"},
    {"name": "by-host", "match": {"host": "api.test", "path": "/hosted/**"}, "access": "public", "upstream": "service"},
    {"name": "refusing", "match": {"path": "/refusing/**"}, "access": "public", "upstream": "refusing"},
]


class Stand:
    """An oracle, keys, certificates, and a gateway in front. `change(configuration, policies)` may alter the usual configuration, and
    `self.folder`, `self.oracle` and the keys exist when it is called."""

    def __init__(self, change=None, oracle: Oracle | None = None, open_files: int | None = None, wait_for: str = "/readyz"):
        self._temporary = tempfile.TemporaryDirectory(prefix="sallyport-test-")
        self.folder = pathlib.Path(self._temporary.name)
        self.oracle = oracle or Oracle()
        self._make_keys()
        self._make_certificates()
        self.tls_port, self.plain_port, admin_port, self.closed_port = (free_port() for _ in range(4))
        self.tls_address, self.plain_address = ("127.0.0.1", self.tls_port), ("127.0.0.1", self.plain_port)
        self.configuration, self.policies = self._configuration(admin_port), {"version": 1, "routes": copy.deepcopy(ROUTES)}
        if change:
            change(self, self.configuration, self.policies)
        self.gateway = Gateway(self.folder, self.configuration, self.policies, open_files, wait_for)
        self.gateways = [self.gateway]

    def add_gateway(self, name: str = "second", change=None) -> Gateway:
        """Another replica: the same configuration, with ports, logs and (where the store is a file) a store of its own."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "keys").symlink_to(self.folder / "keys")
        configuration = copy.deepcopy(self.configuration)
        for place in (*configuration["listeners"], configuration["admin"]):
            place["address"] = f"127.0.0.1:{free_port()}"
        if change:
            change(configuration)
        self.gateways.append(Gateway(folder, configuration, self.policies))
        return self.gateways[-1]

    def _make_keys(self) -> None:
        folder = self.folder / "keys"
        folder.mkdir()
        self.corp = {name: Key(name, f"corp-{name}", folder) for name in ("ES256", "RS256", "ES384", "ES512", "EdDSA")}
        self.key = self.corp["ES256"]
        self.shared = Key("HS512", None, folder)  # long enough for every HS; a secret_file has no kid
        self.other = Key("ES256", "other", folder)
        (folder / "corp.jwks.json").write_text(jwks(*self.corp.values()))
        (folder / "other.jwks.json").write_text(jwks(self.other))
        secret = folder / "shared.secret"
        secret.touch(mode=0o600)
        secret.write_bytes(self.shared.secret)

    def _make_certificates(self) -> None:
        self.authority = Authority(self.folder / "tls")
        self.localhost = self.authority.issue("localhost")
        self.second = self.authority.issue("second", names=("second.test", "*.wild.test"))

    def _configuration(self, admin_port: int) -> dict:
        tls = {"certificates": [{"certificate_file": str(each.certificate), "key_file": str(each.key)}
                                for each in (self.localhost, self.second)]}
        token_from = [{"header": "Authorization"}, {"cookie": "access_token"}]
        return {
            "version": 1,
            "workers": 2,
            "listeners": [{"name": "tls", "address": f"127.0.0.1:{self.tls_port}", "tls": tls},
                          {"name": "plain", "address": f"127.0.0.1:{self.plain_port}"}],
            "admin": {"address": f"127.0.0.1:{admin_port}"},
            "issuers": [
                {"name": "corp", "issuer": "https://issuer.test", "audiences": ["api"], "clock_tolerance": "5s",
                 "algorithms": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
                 "keys": {"jwks_file": "keys/corp.jwks.json"}, "token_from": token_from},
                {"name": "shared", "issuer": "https://shared.test", "audiences": ["api"], "clock_tolerance": "5s",
                 "algorithms": ["HS256", "HS384", "HS512"], "keys": {"secret_file": "keys/shared.secret"}, "token_from": token_from},
                {"name": "other", "issuer": "https://other.test", "audiences": ["api"], "algorithms": ["ES256"],
                 "keys": {"jwks_file": "keys/other.jwks.json"}},
            ],
            "upstreams": [
                {"name": "service", "servers": [{"url": self.oracle.url}], "timeouts": {"connect": "1s", "response": "3s", "idle": "60s"}},
                {"name": "refusing", "servers": [{"url": f"http://127.0.0.1:{self.closed_port}"}]},
            ],
            "policies": ["policies.yaml"],
            "log": {"level": "info", "access": "access.log", "audit": "audit.log"},
        }

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.certificate))

    def connect(self, tls: bool = True, gateway: Gateway | None = None, **options) -> Connection:
        addresses = (gateway or self.gateway).addresses
        if tls:
            return Connection(addresses["tls"], self.client_context(), **options)
        return Connection(addresses["plain"], **options)

    def token(self, issuer: str = "https://issuer.test", **claims) -> str:
        """A good token of the named issuer, with these claims."""
        key = {"https://issuer.test": self.key, "https://shared.test": self.shared, "https://other.test": self.other}[issuer]
        return key.sign(claims_of(issuer=issuer, **claims))

    def stop(self) -> None:
        try:
            with contextlib.ExitStack() as stops:
                for gateway in self.gateways:
                    stops.callback(gateway.stop)
        finally:
            self.oracle.close()
            self._temporary.cleanup()


class GatewayCase(unittest.TestCase):
    """Tests that share one stand. Override `change` to alter its configuration."""
    maxDiff = None
    open_files: int | None = None
    wait_for = "/readyz"  # of the admin listener, before the first test
    stand: Stand

    @classmethod
    def change(cls, stand: Stand, configuration: dict, policies: dict) -> None:
        pass

    @classmethod
    def make_oracle(cls) -> Oracle:
        return Oracle()

    @classmethod
    def setUpClass(cls) -> None:
        cls.stand = Stand(cls.change, cls.make_oracle(), cls.open_files, cls.wait_for)
        cls.gateway, cls.oracle = cls.stand.gateway, cls.stand.oracle

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stand.stop()

    def setUp(self) -> None:
        self.oracle.reset()

    def tearDown(self) -> None:
        for gateway in self.stand.gateways:
            self.assertTrue(gateway.alive, f"the gateway died:\n{gateway.output()[-8000:]}")

    # ---- asking ------------------------------------------------------------------------------------------------------------------

    def ask(self, method: str, target: str, *headers: str, token: str | None = None, body: bytes | None = None, tls: bool = True,
            host: str = "localhost") -> Response:
        """One request on a connection of its own."""
        if token is not None:
            headers += (bearer(token),)
        with self.stand.connect(tls) as connection:
            return connection.ask(method, target, *headers, body=body, host=host)

    def status_or_closed(self, token: str, target: str = "/api/x") -> int:
        """For what is so large that the gateway need not read it to the end: its answer may then be lost, and 0 stands for that."""
        try:
            return self.ask("GET", target, token=token).status
        except Closed as closed:
            self.assertEqual(closed.received, b"")
            return 0

    def exchange(self, data: bytes, method: str = "GET", tls: bool = False) -> Response:
        """One answer to bytes as they are."""
        with self.stand.connect(tls) as connection:
            connection.try_send(data)
            return connection.read_response(method)

    @contextlib.contextmanager
    def nothing_upstream(self):
        before = self.oracle.count
        yield
        self.assertEqual(self.oracle.count, before, f"it reached the upstream: {self.oracle.seen[before:]} {self.oracle.malformed}")

    def assert_problem(self, response: Response, status: int) -> dict:
        """A refusal as DESIGN §3.2 has them."""
        self.assertEqual(response.status, status, response.body)
        self.assertEqual(response.header("Content-Type"), "application/problem+json")
        self.assertEqual(response.header("Cache-Control"), "no-store")
        problem = json.loads(response.body)
        self.assertEqual(problem["status"], status)
        for name in ("type", "title", "detail", "request_id"):
            self.assertIsInstance(problem[name], str, name)
        self.assertTrue(problem["title"] and problem["request_id"])
        return problem

    def assert_invalid_token(self, token: str, target: str = "/api/x") -> None:
        with self.nothing_upstream():
            response = self.ask("GET", target, token=token)
        self.assert_problem(response, 401)
        self.assertIn('error="invalid_token"', response.header("WWW-Authenticate"))
        if len(token) > 20:
            self.assertNotIn(token.encode("latin-1"), response.raw_head + response.body)

    def assert_accepted(self, token: str, target: str = "/api/x", subject: str | None = "alice") -> None:
        before = self.oracle.count
        response = self.ask("GET", target, token=token)
        self.assertEqual(response.status, 200, response.body)
        self.assertEqual(self.oracle.count, before + 1)
        if subject is not None:
            self.assertEqual(self.oracle.last.header("X-Auth-Subject"), subject)


class CountingResult(unittest.TextTestResult):
    """Counts sub-cases too: a table of forty rows is forty cases."""
    subcases = 0

    def addSubTest(self, test, subtest, error):
        type(self).subcases += 1
        super().addSubTest(test, subtest, error)


def main() -> None:
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: build it first, or name it in SALLYPORT_BINARY")
    program = unittest.main(module="__main__", exit=False, verbosity=2,
                            testRunner=unittest.TextTestRunner(verbosity=2, resultclass=CountingResult))
    result = program.result
    print(f"{result.testsRun} tests with {CountingResult.subcases} sub-cases, {len(result.skipped)} skipped, "
          f"{len(result.failures) + len(result.errors)} failed", flush=True)
    if result.skipped and not result.testsRun:
        sys.exit(77)  # what ctest calls skipped: the file's data are not on this machine
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
