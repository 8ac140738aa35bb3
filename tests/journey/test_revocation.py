"""Hazard G08: what is revoked is refused, on every replica, at once, and after a restart."""
import datetime
import json
import threading
import time

from support.free_ports import free_port
from support.gateway import PATIENCE, main, run_command
from support.http_client import bearer, request
from support.sessions import (ACCESS, SESSION, SessionCase, claims_within, family_handle, forged_id, session_handle, write_secret)

SOON = 0.5  # what a revocation may take to the other replica here; load-tests/sessions measures it, in milliseconds


def date(seconds_from_now: float) -> str:
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now)).isoformat(timespec="seconds").replace(
        "+00:00", "Z")


class Revocations(SessionCase):
    """Every kind, on two gateways over one Redis. What is asked of one is asked of both."""
    redis_options, replicas = [], 1

    def assert_alive(self, line: str, subject: str) -> None:
        for gateway in self.stand.gateways:
            for _ in range(3):  # warm it in the workers
                self.assert_subject(self.get(line, gateway=gateway), subject)

    def assert_dead(self, line: str) -> None:
        """Here at once, there soon, and nowhere ever again."""
        self.assertEqual(self.get(line).status, 401, "the gateway that revoked it still serves it")
        # A worker that has to ask finds the record gone before those that remember it have heard.
        self.eventually(lambda: all(self.get(line, gateway=self.other).status == 401 for _ in range(8)),
                        "the revocation on the other gateway", SOON)
        for gateway in self.stand.gateways:
            for _ in range(8):
                answer = self.get(line, gateway=gateway)
                self.assert_problem(answer, 401)

    def session(self, sub: str) -> str:
        return f"Cookie: {SESSION}={self.sign_in(sub).session}"

    def test_G08_a_session_by_its_cookie_or_its_handle(self):
        for name, how in {"cookie": lambda value: value, "handle": session_handle}.items():
            with self.subTest(name):
                browser, bystander = self.sign_in("one"), self.session("one")
                line = f"Cookie: {SESSION}={browser.session}"
                self.assert_alive(line, "one")
                self.assert_alive(bystander, "one")
                self.revoke(session=how(browser.session))
                self.assert_dead(line)
                self.assert_alive(bystander, "one")

    def test_G08_a_subject_with_everything_it_has(self):
        pair = self.token_pair("sam")
        lines = [self.session("sam"), bearer(pair["access_token"]), bearer(self.stand.token(sub="sam")),
                 bearer(self.stand.token("https://other.test", sub="sam")), f"Cookie: {ACCESS}={pair['access_token']}"]
        bystander = self.session("samantha")
        for line in lines:
            self.assert_alive(line, "sam")
        self.revoke(subject="sam")
        for line in lines:
            self.assert_dead(line)
        for gateway in self.stand.gateways:
            self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"], gateway))
        self.assert_alive(bystander, "samantha")

    def test_a_login_right_after_the_revocation_is_good(self):
        for number in range(20):
            subject = f"again-{number}"
            self.token_pair(subject)
            self.revoke(subject=subject)
            self.assert_alive(self.session(subject), subject)
            pair = self.token_pair(subject)
            self.assert_alive(bearer(pair["access_token"]), subject)
            self.assert_subject(self.with_token(self.refreshed(pair["refresh_token"], self.other)["access_token"]), subject)

    def test_G08_one_token_by_its_id(self):
        pair, foreign = self.token_pair("tom"), self.stand.token(sub="tom", jti="this-one")
        spared = self.stand.token(sub="tom", jti="that-one")
        for token in (pair["access_token"], foreign, spared):
            self.assert_alive(bearer(token), "tom")
        self.revoke(token_id="this-one")
        self.revoke(token_id=claims_within(pair["access_token"])["jti"])
        for token in (pair["access_token"], foreign):
            self.assert_dead(bearer(token))
        self.assert_alive(bearer(spared), "tom")
        self.assert_alive(bearer(self.refreshed(pair["refresh_token"])["access_token"]), "tom")  # the family lives

    def test_G08_a_family_by_its_token_or_its_handle(self):
        for name, how in {"token": lambda value: value, "handle": family_handle}.items():
            with self.subTest(name):
                first, bystander = self.token_pair("fay"), self.token_pair("fay")
                second = self.refreshed(first["refresh_token"])
                for pair in (first, second, bystander):
                    self.assert_alive(bearer(pair["access_token"]), "fay")
                self.revoke(family=how(first["refresh_token"]))
                for pair in (first, second):
                    self.assert_dead(bearer(pair["access_token"]))
                    for gateway in self.stand.gateways:
                        self.assert_invalid_grant(self.refresh_by_form(pair["refresh_token"], gateway))
                self.assert_alive(bearer(bystander["access_token"]), "fay")

    def test_G08_what_was_issued_before_a_moment(self):
        old = self.stand.token(sub="vera", iat=int(time.time()) - 300)
        new = self.stand.token(sub="vera")
        for token in (old, new):
            self.assert_alive(bearer(token), "vera")
        self.revoke(subject="vera", issued_before=date(-120))
        self.assert_dead(bearer(old))
        self.assert_alive(bearer(new), "vera")
        self.assert_alive(self.session("vera"), "vera")
        without_iat = {"sub": "vera", "iat": None}
        self.assert_dead(bearer(self.stand.token(**without_iat)))  # issued nobody knows when: before everything

    def test_requests_that_are_none_are_refused_and_revoke_nobody(self):
        line = self.session("nobody-yet")
        asked = {"nothing": {}, "two kinds": {"subject": "nobody-yet", "token_id": "x"}, "unknown": {"subject": "nobody-yet", "extra": 1},
                 "a number": {"subject": 1}, "empty": {"subject": ""}, "null": {"subject": None}, "a list": ["nobody-yet"],
                 "a bad date": {"subject": "nobody-yet", "issued_before": "yesterday"},
                 "a date as number": {"subject": "nobody-yet", "issued_before": 1700000000}, "a forged session": {"session": forged_id()},
                 "a short session": {"session": "x"}, "a forged family": {"family": forged_id()}, "no JSON": b"{", "text": b'"x"',
                 "twice": b'{"subject":"nobody-yet","subject":"nobody-yet"}', "1 MiB": b'{"subject":"' + b"x" * (1 << 20) + b'"}'}
        for name, content in asked.items():
            with self.subTest(name):
                try:
                    self.assertIn(self.admin("/revocations", content)[0], (400, 413))
                except OSError:
                    self.assertEqual(name, "1 MiB")  # it may close before all of that was sent
        self.assertEqual(self.admin("/revocations")[0], 405)
        self.assert_alive(line, "nobody-yet")

    def test_the_command_line_revokes_through_the_gateway(self):
        pair, browser = self.token_pair("cleo"), self.sign_in("cleo")
        foreign = self.stand.token(sub="cleo", jti="cli-token")
        for option, value, line in (("--session", browser.session, f"Cookie: {SESSION}={browser.session}"),
                                    ("--token-id", "cli-token", bearer(foreign)),
                                    ("--family", pair["refresh_token"], bearer(pair["access_token"]))):
            with self.subTest(option):
                self.assert_alive(line, "cleo")
                done = run_command("revoke", "--config", self.gateway.config_file, option, value)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotIn(value, done.stderr + done.stdout if option != "--token-id" else "")
                self.assert_dead(line)
        line = self.session("cleo")
        self.assertEqual(run_command("revoke", "--config", self.gateway.config_file, "--subject", "cleo").returncode, 0)
        self.assert_dead(line)
        for arguments in ((), ("--subject", "a", "--session", "b"), ("--subject", ""), ("--session", "x")):
            with self.subTest(arguments):
                self.assertIn(run_command("revoke", "--config", self.gateway.config_file, *arguments).returncode, (1, 2))

    def test_revocations_are_counted_by_kind(self):
        before = {kind: self.metric("sallyport_revocations_total", kind=kind) for kind in ("subject", "token_id")}
        self.revoke(subject="counted")
        self.revoke(token_id="counted")
        for kind, count in before.items():
            self.eventually(lambda: self.metric("sallyport_revocations_total", kind=kind) == count + 1, "the count", 2)
        self.assertNotIn("counted", self.admin("/metrics")[1].decode())

    def test_a_restart_forgets_no_revocation(self):
        browser, foreign = self.sign_in("rex"), self.stand.token(sub="rex", jti="rex-1")
        spared = self.stand.token(sub="spared")
        self.revoke(token_id="rex-1")
        self.revoke(session=browser.session)
        self.other.kill()
        self.other.start()
        for line in (bearer(foreign), f"Cookie: {SESSION}={browser.session}"):
            for gateway in self.stand.gateways:
                self.assertEqual(self.get(line, gateway=gateway).status, 401)
        self.assert_subject(self.with_token(spared, gateway=self.other), "spared")

    def test_G08_not_even_the_first_request_after_a_restart_is_served_by_a_revoked_token(self):
        """Clients knock from before the process exists; the list of revocations is read before any of them is let in."""
        revoked, good = self.stand.token(sub="early", jti="early-1"), self.stand.token(sub="punctual")
        self.revoke(token_id="early-1")
        for _ in range(5):
            self.other.stop()
            first: dict[str, list[int]] = {revoked: [], good: []}
            ended = threading.Event()

            def knock(token):
                while not ended.is_set():
                    try:
                        first[token].append(self.with_token(token, gateway=self.other).status)
                    except OSError:
                        pass  # nobody listens yet

            knocking = [threading.Thread(target=knock, args=(token,)) for token in first for _ in range(2)]
            for thread in knocking:
                thread.start()
            try:
                self.other.start()
                self.eventually(lambda: 200 in first[good], "an answer for the token that is good")
            finally:
                ended.set()
                for thread in knocking:
                    thread.join()
            self.assertEqual(set(first[revoked]), {401}, "a revoked token was served after a restart")
            self.assertLessEqual(set(first[good]), {200, 503})

    def test_what_was_revoked_while_a_replica_was_down_is_refused_when_it_is_back(self):
        token = self.stand.token(sub="down", jti="while-down")
        self.other.stop()
        self.revoke(token_id="while-down")
        self.other.start()
        self.assertEqual(self.with_token(token, gateway=self.other).status, 401)


class LongAnswers(SessionCase):
    """Answers that are still going on when their caller's session ends."""
    redis_options, replicas = [], 1

    def open_stream(self, *lines: str, gateway=None):
        connection = self.stand.connect(False, gateway, timeout=5 * PATIENCE)
        self.addCleanup(connection.close)
        connection.send(request("GET", "/api/stream", *lines))
        self.assertEqual(connection.read_head().status, 200)
        self.assertIn(b"data:", connection.receive())
        return connection

    def assert_cut(self, connection, within: float = 1.1) -> None:
        deadline = time.monotonic() + within * PATIENCE
        while True:
            self.assertLess(time.monotonic(), deadline, "a long answer outlived its caller's session")
            piece = connection.receive()
            if not piece:
                return
            self.assertNotIn(b"\r\n0\r\n\r\n", b"\r\n" + piece, "it looks complete")

    def assert_goes_on(self, connection) -> None:
        for _ in range(8):
            self.assertTrue(connection.receive(), "somebody else's answer was cut")

    def test_a_revoked_callers_answers_are_cut_on_both_gateways(self):
        browser = self.sign_in("streamer")
        line = f"Cookie: {SESSION}={browser.session}"
        cases = {"session": (line, {"session": browser.session}),
                 "subject of a token": (bearer(self.stand.token(sub="streaming")), {"subject": "streaming"}),
                 "token id": (bearer(self.stand.token(sub="x", jti="stream-1")), {"token_id": "stream-1"})}
        pair = self.token_pair("family")
        cases["family"] = (bearer(pair["access_token"]), {"family": pair["refresh_token"]})
        bystander = self.open_stream(f"Cookie: {SESSION}={self.sign_in('bystander').session}")
        for name, (credential, what) in cases.items():
            with self.subTest(name):
                open_answers = [self.open_stream(credential, gateway=gateway) for gateway in self.stand.gateways]
                self.revoke(**what)
                for each in open_answers:
                    self.assert_cut(each)
        self.assert_goes_on(bystander)

    def test_a_logout_cuts_them_too(self):
        browser = self.sign_in("quitter")
        line = f"Cookie: {SESSION}={browser.session}"
        open_answers = [self.open_stream(line, gateway=gateway) for gateway in self.stand.gateways]
        self.assertEqual(browser.ask("POST", "/.gateway/logout").status, 204)
        for each in open_answers:
            self.assert_cut(each)

    def test_the_services_connection_is_given_up(self):
        browser = self.sign_in("upstream")
        self.open_stream(f"Cookie: {SESSION}={browser.session}")
        before = len(self.oracle._open)
        self.revoke(session=browser.session)
        self.eventually(lambda: len(self.oracle._open) < before, "the end of the service's connection", 3)


class Embedded(SessionCase):
    """One gateway, a file."""

    def test_a_restart_forgets_no_revocation(self):
        cases = {}
        browser, pair = self.sign_in("sid"), self.token_pair("pat")
        cases["session"] = (f"Cookie: {SESSION}={browser.session}", {"session": browser.session})
        cases["family"] = (bearer(pair["access_token"]), {"family": pair["refresh_token"]})
        cases["subject"] = (bearer(self.stand.token(sub="sub")), {"subject": "sub"})
        cases["token id"] = (bearer(self.stand.token(sub="jay", jti="j1")), {"token_id": "j1"})
        for line, what in cases.values():
            self.assertEqual(self.get(line).status, 200)
            self.revoke(**what)
            self.assertEqual(self.get(line).status, 401)
        self.gateway.kill()
        self.gateway.start()
        for name, (line, _) in cases.items():
            with self.subTest(name):
                self.assertEqual(self.get(line).status, 401)
        self.assert_subject(self.get(bearer(self.stand.token(sub="spared"))), "spared")

    def test_the_command_line_reaches_the_file_when_no_gateway_runs(self):
        browser, token = self.sign_in("offline"), self.stand.token(sub="gone")
        self.gateway.stop()
        try:
            for option, value in (("--session", browser.session), ("--subject", "gone")):
                done = run_command("revoke", "--config", self.gateway.config_file, option, value)
                self.assertEqual(done.returncode, 0, done.stderr)
        finally:
            self.gateway.start()
        self.assertEqual(self.with_session(browser.session).status, 401)
        self.assertEqual(self.with_token(token).status, 401)

    def test_everything_before_a_moment(self):
        old = [bearer(self.stand.token(sub="before", iat=int(time.time()) - 60)), f"Cookie: {SESSION}={self.sign_in('before').session}",
               bearer(self.token_pair("before")["access_token"])]
        for line in old:
            self.assertEqual(self.get(line).status, 200)
        self.revoke(issued_before=date(1))
        for line in old:
            self.assertEqual(self.get(line).status, 401)
        time.sleep(2.1)
        self.assert_subject(self.sign_in("after").ask("GET", "/api/x"), "after")
        self.assert_subject(self.with_token(self.stand.token(sub="after")), "after")


class Unreachable(SessionCase):
    """The command line when nobody answers."""
    redis_options = []

    def test_a_store_that_is_away_is_exit_4(self):
        configuration = json.loads(self.gateway.config_file.read_text())
        configuration["store"]["redis"]["url"] = f"redis://127.0.0.1:{free_port()}/0"
        configuration["admin"]["address"] = f"127.0.0.1:{free_port()}"
        path = self.stand.folder / "away.yaml"
        path.write_text(json.dumps(configuration))
        done = run_command("revoke", "--config", path, "--subject", "alice")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertEqual(run_command("session", "create", "--config", path, "--subject", "alice").returncode, 4)

    def test_a_gateway_that_is_down_is_no_hindrance_over_redis(self):
        configuration = json.loads(self.gateway.config_file.read_text())
        configuration["admin"]["address"] = f"127.0.0.1:{free_port()}"
        path = self.stand.folder / "no-admin.yaml"
        path.write_text(json.dumps(configuration))
        browser = self.sign_in("remote")
        self.assert_subject(browser.ask("GET", "/api/x"), "remote")
        done = run_command("revoke", "--config", path, "--session", browser.session)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.eventually(lambda: browser.ask("GET", "/api/x").status == 401, "the revocation", 1)


class AdminToken(SessionCase):
    TOKEN = "an-admin-token-of-some-length"

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        write_secret(stand.folder / "keys/admin.token", cls.TOKEN)
        configuration["admin"]["token_file"] = "keys/admin.token"

    def test_only_the_operator_revokes_makes_and_lists(self):
        browser = self.sign_in("kept")
        for path, content in (("/revocations", {"subject": "kept"}), ("/sessions", {"subject": "made"}), ("/sessions?subject=kept", None)):
            for value in (None, "Bearer x", f"Basic {self.TOKEN}"):
                headers = {"Authorization": value} if value else {}
                data = json.dumps(content).encode() if content else None
                self.assertEqual(self.gateway.admin_request(path, "POST" if content else "GET", data, headers)[0], 401)
        self.assert_subject(browser.ask("GET", "/api/x"), "kept")
        done = run_command("revoke", "--config", self.gateway.config_file, "--subject", "kept")  # reads the token file
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(browser.ask("GET", "/api/x").status, 401)

    def test_the_public_listeners_do_not_have_them(self):
        for method, path in (("POST", "/revocations"), ("POST", "/sessions"), ("GET", "/sessions?subject=x"),
                             ("POST", "/.gateway/revocations")):
            with self.nothing_upstream():
                self.assertEqual(self.get(target=path, method=method, body=b"{}").status, 404)


if __name__ == "__main__":
    main()
