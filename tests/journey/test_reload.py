"""A configuration that changes while the gateway serves: all of it or nothing, and no request notices (hazards P12-P14, L14)."""
import copy
import json
import os
import signal
import time

from support.gateway import PATIENCE, GatewayCase, main
from support.http_client import bearer
from support.load import Load


class ReloadCase(GatewayCase):
    def setUp(self) -> None:
        super().setUp()
        self.write()
        self.reload(200)

    def write(self, configuration: dict | None = None, policies: dict | None = None) -> None:
        for name, content in (("gateway.yaml", configuration or self.stand.configuration), ("policies.yaml", policies or self.stand.policies)):
            self.replace(self.gateway.folder / name, json.dumps(content, indent=1).encode())

    @staticmethod
    def replace(path, content: bytes) -> None:
        """As an editor does."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(content)
        os.replace(fresh, path)

    def reload(self, expected: int) -> dict:
        status, body, _ = self.gateway.admin_request("/reload", "POST", b"")
        self.assertEqual(status, expected, body)
        return json.loads(body)

    def counts(self) -> tuple[float, float]:
        metrics = self.gateway.metrics()
        return tuple(metrics[f'sallyport_config_reload_total{{result="{result}"}}'] for result in ("accepted", "refused"))

    def policies(self, name: str, **changes) -> dict:
        """Those of the stand, with a route changed."""
        policies = copy.deepcopy(self.stand.policies)
        next(route for route in policies["routes"] if route["name"] == name).update(changes)
        return policies

    def wait_until(self, condition, message: str) -> None:
        deadline = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.05)
        self.fail(f"{message}\n{self.gateway.output()[-3000:]}")


class Asked(ReloadCase):
    """Reloads that somebody asks for; files are not watched, so that nothing else begins one."""

    @classmethod
    def change(cls, stand, configuration, policies) -> None:
        configuration["reload"] = {"watch": False}

    def test_P13_a_tightened_role_holds_for_new_requests_and_those_under_way_keep_theirs(self):
        token = self.stand.token()
        with self.stand.connect() as connection:
            connection.send(f"POST /api/x HTTP/1.1\r\nHost: localhost\r\n{bearer(token)}\r\nContent-Length: 10\r\n\r\n12345")
            self.wait_until(lambda: self.gateway.metrics().get("sallyport_live_exchanges", 0) >= 1, "the request is not under way")
            self.write(policies=self.policies("api", require={"role": "admin"}))
            self.assertEqual(self.reload(200), {"status": "reloaded"})
            self.assertEqual(self.ask("GET", "/api/x", token=token).status, 403)
            connection.send("67890")
            self.assertEqual(connection.read_response("POST").status, 200)
            self.assertEqual(connection.ask("GET", "/api/x", bearer(token)).status, 403)
        self.assertEqual(self.ask("GET", "/api/x", token=self.stand.token(roles=["admin"])).status, 200)

    def test_P13_a_route_that_is_gone_is_no_route(self):
        policies = copy.deepcopy(self.stand.policies)
        policies["routes"] = [route for route in policies["routes"] if route["name"] != "public"]
        self.assertEqual(self.ask("GET", "/public/x").status, 200)
        self.write(policies=policies)
        self.reload(200)
        self.assertEqual(self.ask("GET", "/public/x").status, 404)

    def test_P14_half_a_file_changes_nothing(self):
        accepted, refused = self.counts()
        whole = (self.gateway.folder / "gateway.yaml").read_bytes()
        self.replace(self.gateway.folder / "gateway.yaml", whole[:len(whole) // 2])
        document = self.reload(422)
        self.assertEqual(document["status"], "refused")
        self.assertTrue(document["problems"][0].startswith(str(self.gateway.config_file) + ":"), document)
        self.assertEqual(self.ask("GET", "/api/x", token=self.stand.token()).status, 200)
        self.assertEqual(self.counts(), (accepted, refused + 1))
        self.wait_until(lambda: '"event":"config_refused"' in self.gateway.output(), "nothing is logged")

    def test_what_takes_a_restart_is_said_with_its_place(self):
        configuration = copy.deepcopy(self.stand.configuration)
        configuration["workers"] = 3
        self.write(configuration)
        (problem,) = self.reload(409)["problems"]
        self.assertIn("workers was 2 and is 3: this needs a restart", problem)
        self.assertRegex(problem, r"gateway\.yaml:\d+:\d+: ")

    def test_SIGHUP_reloads(self):
        accepted, _ = self.counts()
        self.write(policies=self.policies("public", access="authenticated"))
        self.gateway.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: self.counts()[0] == accepted + 1, "it was not reloaded")
        self.assertEqual(self.ask("GET", "/public/x").status, 401)

    def test_keys_of_an_issuer_are_replaced(self):
        keys = self.gateway.folder / "keys/corp.jwks.json"
        before, token = keys.read_bytes(), self.stand.token()
        self.assertEqual(self.ask("GET", "/api/x", token=token).status, 200)
        try:
            with self.stand.connect() as connection:
                connection.send(f"POST /api/x HTTP/1.1\r\nHost: localhost\r\n{bearer(token)}\r\nContent-Length: 10\r\n\r\n12345")
                self.wait_until(lambda: self.gateway.metrics().get("sallyport_live_exchanges", 0) >= 1, "the request is not under way")
                self.replace(keys, (self.gateway.folder / "keys/other.jwks.json").read_bytes())
                self.reload(200)
                self.assertTrue(connection.is_closed_within(PATIENCE), "it went on as whom nobody vouches for any more")
            self.assert_invalid_token(token)
        finally:
            self.replace(keys, before)
        self.reload(200)
        self.assertEqual(self.ask("GET", "/api/x", token=token).status, 200)

    def test_L14_certificates_are_replaced_and_broken_ones_are_not(self):
        def serial() -> str:
            with self.stand.connect() as connection:
                return connection.socket.getpeercert()["serialNumber"]
        first = serial()
        with self.stand.connect() as kept:
            self.assertEqual(kept.ask("GET", "/public/x").status, 200)
            self.stand.localhost = self.stand.authority.issue("localhost")
            self.reload(200)
            second = serial()
            self.assertNotEqual(first, second)
            certificate, key = self.stand.localhost.certificate, self.stand.localhost.key
            good = certificate.read_bytes(), key.read_bytes()
            for what, path, content in (("garbage", certificate, b"garbage"), ("half a certificate", certificate, good[0][:200]),
                                        ("another's key", key, self.stand.second.key.read_bytes()), ("an empty key", key, b"")):
                with self.subTest(what):
                    self.replace(path, content)
                    self.reload(422)
                    self.assertEqual(serial(), second)
                    for each, whole in ((certificate, good[0]), (key, good[1])):
                        self.replace(each, whole)
            self.assertEqual(kept.ask("GET", "/public/x").status, 200, "a connection from before goes on")

    def test_P12_good_and_broken_configurations_in_turn_fail_no_request(self):
        loads = [Load(self.stand) for _ in range(4)]
        for load in loads:
            load.start()
        files = self.gateway.open_files()
        for number in range(40):
            if number % 2:
                self.write(policies=self.policies("public", access="authenticated" if number % 4 == 1 else "public"))
                self.reload(200)
            else:
                self.replace(self.gateway.folder / "policies.yaml", b"version: 1\nroutes: [")
                self.reload(422)
        for load in loads:
            load.stop()
        self.assertGreater(sum(load.asked for load in loads), 50)
        self.assertEqual([wrong for load in loads for wrong in load.wrong], [])
        time.sleep(0.5)
        self.assertLess(self.gateway.open_files(), files + 16)


class Watched(ReloadCase):
    def settled_counts(self) -> tuple[float, float]:
        """When what the test began with has been noticed."""
        counts = None
        while counts != (counts := self.counts()):
            time.sleep(1.5)
        return counts

    def test_a_changed_file_is_noticed_and_a_broken_one_changes_nothing(self):
        self.write(policies=self.policies("public", access="authenticated"))
        self.wait_until(lambda: self.ask("GET", "/public/x").status == 401, "the change was not noticed")
        _, refused = self.counts()
        (self.gateway.folder / "policies.yaml").write_bytes(b"version: 1\nroutes: [")  # in place, as a careless tool does
        self.wait_until(lambda: self.counts()[1] > refused, "the broken file was not noticed")
        self.assertEqual(self.ask("GET", "/public/x").status, 401)
        self.write()
        self.wait_until(lambda: self.ask("GET", "/public/x").status == 200, "the mended file was not noticed")

    def test_P14_a_policy_that_is_being_written_waits_for_its_last_route(self):
        """What is there of it is valid all the while, and lets more people in than the whole."""
        accepted, refused = self.settled_counts()
        *first, last = [f"- {json.dumps(route)}\n" for route in self.policies("public", access="authenticated")["routes"]]
        rest = {key: value for key, value in self.stand.policies.items() if key != "routes"}
        with open(self.gateway.folder / "policies.yaml", "w", encoding="utf-8") as file:
            file.write("".join(f"{key}: {json.dumps(value)}\n" for key, value in rest.items()) + "routes:\n" + "".join(first))
            file.flush()
            self.replace(self.gateway.config_file, self.gateway.config_file.read_bytes())  # another one is complete
            time.sleep(3)
            self.assertEqual(self.counts(), (accepted, refused))
            self.assertEqual(self.ask("GET", "/public/x").status, 200)
            file.write(last)
        self.wait_until(lambda: self.counts()[0] > accepted, "the whole policy was not noticed")
        self.assertEqual(self.counts()[1], refused)
        self.assertEqual(self.ask("GET", "/public/x").status, 401)

    def test_a_changed_key_file_is_noticed(self):
        keys = self.gateway.folder / "keys/corp.jwks.json"
        before, token = keys.read_bytes(), self.stand.token()
        self.replace(keys, (self.gateway.folder / "keys/other.jwks.json").read_bytes())
        self.wait_until(lambda: self.ask("GET", "/api/x", token=token).status == 401, "the keys were not noticed")
        self.replace(keys, before)
        self.wait_until(lambda: self.ask("GET", "/api/x", token=token).status == 200, "nor were the old ones")


if __name__ == "__main__":
    main()
