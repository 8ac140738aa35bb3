"""Hazards P: what a start refuses, and the exit codes of DESIGN §2.1."""
import copy
import json
import pathlib
import re
import socket
import subprocess
import time

from support.free_ports import free_port
from support.gateway import PATIENCE, GatewayCase, Stand, main, run_command
from support.tokens import Key, encode


class Configuration(GatewayCase):
    """The stand's own configuration is the good twin of every broken one."""

    @classmethod
    def change(cls, stand, configuration, policies):
        cls.good_configuration, cls.good_policies = copy.deepcopy(configuration), copy.deepcopy(policies)

    def write(self, change=None) -> pathlib.Path:
        configuration, policies = copy.deepcopy(self.good_configuration), copy.deepcopy(self.good_policies)
        if change:
            change(configuration, policies)
        configuration["policies"] = ["changed-policies.yaml"]
        path = self.stand.folder / "changed.yaml"
        path.write_text(json.dumps(configuration, indent=1))
        (self.stand.folder / "changed-policies.yaml").write_text(json.dumps(policies, indent=1))
        return path

    def check(self, change=None, environment=None):
        return run_command("check", "--config", self.write(change), environment=environment)

    def assert_refused(self, name: str, change) -> str:
        with self.subTest(name):
            run = self.check(change)
            said = run.stdout + run.stderr
            self.assertEqual(run.returncode, 1, said)
            self.assertRegex(said, re.compile(r"^\S+changed(-policies)?\.yaml:\d+:\d+: \S", re.MULTILINE))
            return said
        return ""

    def test_P01_a_good_configuration_is_valid(self):
        run = self.check()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_P01_unknown_blank_and_wrong_values_are_refused(self):
        def issuer(name, value):
            return lambda configuration, _: configuration["issuers"][0].update({name: value})

        def listener(name, value):
            return lambda configuration, _: configuration["listeners"][0].update({name: value})
        for name, change in {
                "typo": issuer("audiance", ["api"]), "null": issuer("issuer", None), "empty": issuer("issuer", ""),
                "wrong type": issuer("audiences", "api"), "map for a list": issuer("audiences", {"a": 1}),
                "empty list": issuer("audiences", []),
                "list for a text": issuer("issuer", ["https://a.test"]), "duration": issuer("clock_tolerance", "5 apples"),
                "bare number": issuer("clock_tolerance", 5), "negative": issuer("clock_tolerance", "-5s"),
                "port": listener("address", "127.0.0.1:99999"), "no port": listener("address", "127.0.0.1"),
                "size": listener("limits", {"body_bytes": "ten"}), "2^63": listener("limits", {"connections": 2**63}),
                "zero": listener("limits", {"connections": 0}), "version": lambda configuration, _: configuration.update(version=2),
                "no version": lambda configuration, _: configuration.pop("version"),
                "no listeners": lambda configuration, _: configuration.pop("listeners"),
                "empty listeners": lambda configuration, _: configuration.update(listeners=[]),
                "no upstreams": lambda configuration, _: configuration.pop("upstreams"),
                "unknown top": lambda configuration, _: configuration.update(listener=[])}.items():
            self.assert_refused(name, change)

    def test_P01_every_problem_is_told_in_one_run(self):
        def change(configuration, policies):
            configuration["issuers"][0]["audiance"] = ["api"]
            configuration["workers"] = "many"
            policies["routes"][0]["access"] = "sometimes"
        said = self.assert_refused("three", change)
        self.assertGreaterEqual(len(said.strip().splitlines()), 3, said)
        self.assertIn("changed-policies.yaml", said)

    def test_P02_access_is_never_assumed(self):
        for name, change in {
                "no access": lambda _, policies: policies["routes"][0].pop("access"),
                "blank access": lambda _, policies: policies["routes"][0].update(access=None),
                "empty all": lambda _, policies: policies["routes"][1].update(require={"all": []}),
                "empty any": lambda _, policies: policies["routes"][1].update(require={"any": []}),
                "empty require": lambda _, policies: policies["routes"][1].update(require={}),
                "null require": lambda _, policies: policies["routes"][1].update(require=None),
                "empty credentials": lambda _, policies: policies["routes"][1].update(credentials=[]),
                "unknown issuer": lambda _, policies: policies["routes"][1].update(credentials=[{"jwt": "nobody"}]),
                "unknown upstream": lambda _, policies: policies["routes"][0].update(upstream="nobody"),
                "no routes": lambda _, policies: policies.update(routes=[])}.items():
            self.assert_refused(name, change)

    def test_P03_dangerous_algorithms_are_refused(self):
        def issuer(**values):
            return lambda configuration, _: configuration["issuers"][0].update(values)
        for name, change in {"none": issuer(algorithms=["none"]), "empty": issuer(algorithms=[]), "unknown": issuer(algorithms=["ES256K"]),
                             "HS beside RS": issuer(algorithms=["RS256", "HS256"]), "HS with a public key": issuer(algorithms=["HS256"]),
                             "lower case": issuer(algorithms=["rs256"]),
                             "secret for RS": lambda configuration, _: configuration["issuers"][1].update(algorithms=["RS256"])}.items():
            self.assert_refused(name, change)

    def test_D10_short_secrets_do_not_start(self):
        def short(configuration, _):
            secret = self.stand.folder / "keys/short.secret"
            secret.touch(mode=0o600)
            secret.write_bytes(b"x" * 63 + b"\n")  # HS512 wants 64; the line end does not count
            configuration["issuers"][1]["keys"] = {"secret_file": "keys/short.secret"}
        self.assert_refused("63 bytes for HS512", short)

    def test_D07_D08_D09_key_sets_that_must_not_serve_do_not_start(self):
        key = self.stand.key
        weak = Key("RS256", "weak", bits=1024)
        point = key.jwk()
        for name, keys in {"oct beside public": [key.jwk(), {"kty": "oct", "kid": "s", "k": encode(b"x" * 64)}],
                           "only weak RSA": [weak.jwk()],
                           "off the curve": [point | {"x": point["y"], "y": point["x"]}], "empty": [],
                           "duplicate kid": [key.jwk(), key.jwk()],
                           "only encryption": [key.jwk(use="enc")]}.items():
            def change(configuration, _, keys=keys):
                (self.stand.folder / "keys/bad.jwks.json").write_text(json.dumps({"keys": keys}))
                configuration["issuers"][0]["keys"] = {"jwks_file": "keys/bad.jwks.json"}
            self.assert_refused(name, change)

    def test_P04_issuers_are_told_apart(self):
        self.assert_refused("same issuer twice", lambda configuration, _: configuration["issuers"][1].update(issuer="https://issuer.test"))
        self.assert_refused("same name twice", lambda configuration, _: configuration["issuers"][1].update(name="corp"))

    def test_P05_the_clock_tolerance_is_at_most_five_minutes(self):
        def tolerance(value):
            return lambda configuration, _: configuration["issuers"][0].update(clock_tolerance=value)
        self.assertEqual(self.check(tolerance("5m")).returncode, 0)
        self.assert_refused("301s", tolerance("301s"))
        self.assert_refused("1 day", tolerance("24h"))

    def test_P06_hostile_yaml_ends_in_a_clean_error(self):
        billion = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        for name, text in {"deep": "[" * 100_000, "deep maps": "{a: " * 100_000, "alias of itself": "version: &a [*a]\n",
                           "billion laughs": billion,
                           "tab": "version:\t1\n\tworkers: 1\n", "binary": "version: !!binary AAAA\n", "UTF-16": "\ufeffversion: 1\n",
                           "duplicate key": "version: 1\nversion: 1\n", "two documents": "version: 1\n---\nversion: 1\n", "empty": "",
                           "scalar": "hello\n", "list": "- version\n", "NUL": "version: 1\0\n"}.items():
            with self.subTest(name):
                path = self.stand.folder / "hostile.yaml"
                path.write_bytes(text.encode("utf-16" if name == "UTF-16" else "utf-8"))
                began = time.monotonic()
                run = run_command("check", "--config", path, timeout=20)
                self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
                self.assertIn("hostile.yaml", run.stdout + run.stderr)
                self.assertLess(time.monotonic() - began, 2 * PATIENCE)

    def test_P07_routes_that_tie_or_can_never_win_are_refused(self):
        def add(**match):
            return lambda _, policies: policies["routes"].append(
                {"name": "again", "match": match, "access": "public", "upstream": "service"})
        self.assertEqual(self.check(add(path="/public/more/**")).returncode, 0)
        self.assert_refused("the same path", add(path="/public/**"))
        self.assert_refused("two parameters", add(path="/users/{other}/**"))
        self.assert_refused("no path pattern", add(path="public"))
        self.assert_refused("stars in the middle", add(path="/a/**/b"))

    def test_P08_identity_headers_must_not_collide(self):
        def headers(**names):
            return lambda _, policies: policies["routes"][6].update(identity={"headers": names})
        for name, change in {"reserved": headers(Host="sub"), "framing": headers(**{"Content-Length": "sub"}),
                             "forwarding": headers(**{"X-Forwarded-For": "sub"}),
                             "alias": headers(**{"X-User-Id": "sub", "X_User_Id": "iss"}),
                             "case": headers(**{"X-User-Id": "sub", "x-user-id": "iss"}), "no token": headers(**{"X User": "sub"}),
                             "credential": headers(Authorization="sub"), "cookie": headers(Cookie="sub")}.items():
            self.assert_refused(name, change)

    def test_P09_key_files_must_fit_and_be_private(self):
        folder = self.stand.folder
        (folder / "keys/empty").touch()
        (folder / "loop").symlink_to("loop")
        readable = folder / "keys/readable.secret"
        readable.write_bytes(b"x" * 64)
        readable.chmod(0o644)

        def key_file(value):
            return lambda configuration, _: configuration["listeners"][0]["tls"]["certificates"][0].update(key_file=value)

        def secret_file(value):
            return lambda configuration, _: configuration["issuers"][1].update(keys={"secret_file": value})
        for name, change in {"missing": key_file("nowhere.key"), "directory": key_file("keys"), "loop": key_file("loop"),
                             "another key": key_file(str(self.stand.second.key)), "empty": key_file("keys/empty"),
                             "a certificate": key_file(str(self.stand.localhost.certificate)),
                             "readable secret": secret_file("keys/readable.secret"),
                             "missing secret": secret_file("keys/nowhere"), "empty secret": secret_file("keys/empty")}.items():
            self.assert_refused(name, change)

    def test_P10_environment_variables_must_be_set_and_stay_private(self):
        def from_environment(configuration, _):
            configuration["issuers"][0]["issuer"] = "${SALLYPORT_TEST_ISSUER}"
        self.assertEqual(self.check(from_environment, {"SALLYPORT_TEST_ISSUER": "https://from.test"}).returncode, 0)
        said = self.assert_refused("unset", from_environment)
        self.assertIn("SALLYPORT_TEST_ISSUER", said)

    def test_P15_a_service_that_is_our_own_listener_is_refused(self):
        address = self.good_configuration["listeners"][1]["address"]
        self.assert_refused("the plain listener", lambda configuration, _: configuration["upstreams"][0].update(
            servers=[{"url": f"http://{address}"}]))

    def test_P16_an_open_admin_listener_needs_a_token(self):
        self.assert_refused("0.0.0.0", lambda configuration, _: configuration.update(admin={"address": "0.0.0.0:9901"}))

    def test_P17_trusting_everybody_is_refused(self):
        for network in ("0.0.0.0/0", "::/0"):
            self.assert_refused(network, lambda configuration, _, network=network: configuration["listeners"][1].update(
                proxy_protocol="v1_v2", trusted_proxies=[network]))


class ExitCodes(GatewayCase):
    def test_usage_is_2(self):
        for arguments in ((), ("nonsense",), ("run",), ("check",), ("run", "--config"), ("token", "sign"),
                          ("keys", "generate", "--algorithm", "XX"),
                          ("run", "--config", "x", "--nonsense")):
            with self.subTest(arguments):
                run = run_command(*arguments)
                self.assertEqual(run.returncode, 2, run.stdout + run.stderr)
                self.assertTrue(run.stderr.strip() or run.stdout.strip())

    def test_version_and_help_are_0(self):
        run = run_command("--version")
        self.assertEqual(run.returncode, 0)
        self.assertRegex(run.stdout, r"\d+\.\d+\.\d+")
        self.assertEqual(run_command("--help").returncode, 0)

    def test_an_invalid_configuration_is_1(self):
        for command in ("run", "check"):
            self.assertEqual(run_command(command, "--config", "/nowhere/at-all.yaml").returncode, 1)
            path = self.stand.folder / "broken.yaml"
            path.write_text("version: 1\nlisteners: []\n")
            self.assertEqual(run_command(command, "--config", path).returncode, 1)

    def second_gateway(self, change) -> subprocess.CompletedProcess:
        configuration = json.loads((self.stand.folder / "gateway.yaml").read_text())
        configuration["log"] = {"level": "info", "access": "off", "audit": "off"}
        change(configuration)
        path = self.stand.folder / "second.yaml"
        path.write_text(json.dumps(configuration))
        return run_command("run", "--config", path, timeout=20)

    def test_P11_a_port_in_use_is_3_and_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

            def listener(configuration):
                configuration["listeners"] = [{"name": "plain", "address": f"127.0.0.1:{port}"}]
                configuration["admin"] = {"address": f"127.0.0.1:{free_port()}"}

            def admin(configuration):
                configuration["listeners"] = [{"name": "plain", "address": f"127.0.0.1:{free_port()}"}]
                configuration["admin"] = {"address": f"127.0.0.1:{port}"}
            for name, change in {"listener": listener, "admin": admin}.items():
                with self.subTest(name):
                    run = self.second_gateway(change)
                    self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
                    self.assertIn(str(port), run.stdout + run.stderr)

    def test_P11_a_second_gateway_on_the_same_port_is_3(self):
        def same_listener(configuration):
            configuration["admin"] = {"address": f"127.0.0.1:{free_port()}"}
        run = self.second_gateway(same_listener)
        self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
        self.assertEqual(self.ask("GET", "/public/x").status, 200)

    def test_P11_an_address_that_is_not_ours_is_3(self):
        def foreign(configuration):
            configuration["listeners"] = [{"name": "plain", "address": "192.0.2.1:8080"}]
            configuration["admin"] = {"address": f"127.0.0.1:{free_port()}"}
        run = self.second_gateway(foreign)
        self.assertEqual(run.returncode, 3, run.stdout + run.stderr)
        self.assertIn("192.0.2.1", run.stdout + run.stderr)

    def test_sigint_stops_like_sigterm(self):
        stand = Stand()
        stand.gateway.process.send_signal(2)
        self.assertEqual(stand.gateway.process.wait(15 * PATIENCE), 0)
        stand.stop()


class Explain(GatewayCase):
    def explain(self, *arguments: str) -> subprocess.CompletedProcess:
        return run_command("explain", "--config", self.stand.gateway.config_file, *arguments)

    def test_explain_says_what_the_gateway_does(self):
        token = self.stand.token(roles=["admin"])
        for url, headers, status in (("https://localhost/public/x", (), 200), ("https://localhost/admin/x", (), 401),
                                     ("https://localhost/admin/x", (f"Authorization: Bearer {token}",), 200),
                                     ("https://localhost/admin/x", (f"Authorization: Bearer {self.stand.token()}",), 403),
                                     ("https://localhost/nowhere", (), 404), ("https://localhost/public/../admin", (), 400)):
            with self.subTest(f"{url} {status}"):
                run = self.explain("--method", "GET", "--url", url, *(part for header in headers for part in ("--header", header)))
                said = run.stdout + run.stderr
                self.assertIn(str(status) if status != 200 else "", said)
                self.assertEqual(run.returncode, 0 if status == 200 else 1, said)
                self.assertEqual(self.ask("GET", url.removeprefix("https://localhost"), *headers).status, status)
                for header in headers:
                    self.assertNotIn(header.rsplit(" ", 1)[1], said)


if __name__ == "__main__":
    main()
