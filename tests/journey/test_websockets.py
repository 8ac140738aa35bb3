"""Hazards Q: WebSockets, from the handshake to the last close frame."""
import contextlib
import json
import socket
import struct
import threading
import time

from support.gateway import PATIENCE, main
from support.http_client import bearer
from support.sessions import SESSION, SessionCase, accounts
from support.websocket import BINARY, CLOSE, PING, PONG, TEXT, Ended, WebSocket, frame, serve_echo, switch, websocket_service

CALLER_ENDED, GOING_AWAY, IDLE, PROTOCOL_ERROR = 4401, 1001, 1000, 1002
ROUTES = [
    {"name": "socket", "match": {"path": "/ws/**"}, "access": "authenticated", "upstream": "service", "websocket": True},
    {"name": "open", "match": {"path": "/open/**"}, "access": "public", "upstream": "service", "websocket": {"idle_timeout": "2s"}},
    {"name": "friendly", "match": {"path": "/friendly/**"}, "access": "authenticated", "upstream": "service", "websocket": True,
     "csrf": {"allowed_origins": ["https://friend.test"]}},
]


class WebSocketCase(SessionCase):
    @classmethod
    def change(cls, stand, configuration, policies) -> None:
        super().change(stand, configuration, policies)
        policies["routes"] += ROUTES

    def setUp(self) -> None:
        super().setUp()
        self.oracle.answer = websocket_service(otherwise=accounts)

    def open(self, target: str = "/ws/x", *lines: str, token: str | None = None, gateway=None, **options) -> WebSocket:
        if token is not None:
            lines += (bearer(token),)
        made = WebSocket((gateway or self.stand.gateway).addresses["plain"], target, *lines, timeout=10 * PATIENCE, **options)
        self.addCleanup(made.close)
        return made

    def opened(self, *arguments, **options) -> WebSocket:
        made = self.open(*arguments, **options)
        self.assertTrue(made.is_open, (made.status, made.headers, made.buffer))
        return made

    def token(self, sub: str = "alice", **claims) -> str:
        return self.stand.token(sub=sub, **claims)

    def assert_closed(self, tunnel: WebSocket, code: int, within: float = 1.0) -> None:
        """A close frame with that code, then the end of the socket."""
        began = time.monotonic()
        last = tunnel.read()
        while last.opcode != CLOSE:
            last = tunnel.read()
        self.assertEqual(last.close_code, code)
        self.assertLess(time.monotonic() - began, within * PATIENCE)
        self.assertTrue(tunnel.ended())

    def tunnels(self, gateway=None) -> float:
        return (gateway or self.stand.gateway).metrics()["sallyport_tunnels"]


class Handshakes(WebSocketCase):
    def test_a_good_one_becomes_a_tunnel(self):
        tunnel = self.opened(token=self.token())
        self.assertEqual(tunnel.echo(b"hello"), b"hello")
        self.assertEqual(tunnel.echo(b"x" * 70_000), b"x" * 70_000)
        tunnel.send(PING, b"are you there")
        self.assertEqual((got := tunnel.read()).opcode, PONG, got)
        tunnel.send(CLOSE, struct.pack(">H", 1000))
        self.assertEqual(tunnel.read().close_code, 1000)
        self.assertTrue(tunnel.ended())
        seen = self.oracle.last
        self.assertEqual(seen.header("X-Auth-Subject"), "alice")
        self.assertEqual(seen.all("Authorization"), [])
        self.assertEqual((seen.header("Connection"), seen.header("Upgrade")), ("Upgrade", "websocket"))
        self.assertEqual(seen.header("Sec-WebSocket-Key"), tunnel.key)

    def test_it_works_over_tls(self):
        made = WebSocket(self.stand.tls_address, "/ws/x", bearer(self.token()), tls=self.stand.client_context(), timeout=10 * PATIENCE)
        self.addCleanup(made.close)
        self.assertTrue(made.is_open)
        self.assertEqual(made.echo(b"y" * 300_000), b"y" * 300_000)

    def test_much_goes_through_tls_to_a_slow_reader(self):
        message = bytes(range(256)) * 32_768  # 8 MiB

        def serve(end):
            end.read()
            end.send(BINARY, message)
            end.send(TEXT, b"same" if end.read().payload == message else b"another")
        self.oracle.answer = websocket_service(serve, accounts)
        made = WebSocket(self.stand.tls_address, "/ws/x", bearer(self.token()), tls=self.stand.client_context(), timeout=20 * PATIENCE)
        self.addCleanup(made.close)
        made.send(TEXT, b"go")
        time.sleep(0.5)
        self.assertTrue(made.read().payload == message, "what arrived is not what was sent")
        made.send(BINARY, message)
        self.assertEqual(made.read().payload, b"same")

    def test_it_is_logged_with_its_bytes_and_counted(self):
        before = self.gateway.metrics()
        tunnel = self.opened("/ws/logged", token=self.token())
        tunnel.echo(b"12345")
        self.eventually(lambda: self.tunnels() >= 1, "the gauge")
        tunnel.send(CLOSE, struct.pack(">H", 1000))
        tunnel.rest()
        tunnel.close()
        line = self.gateway.wait_for_line("access", lambda each: each.get("path") == "/ws/logged")
        self.assertEqual((line["status"], line["bytes_in"], line["bytes_out"]), (101, 11 + 8, 7 + 4))
        after = self.gateway.metrics()
        for direction, size in (("upstream", 19), ("downstream", 11)):
            name = f'sallyport_tunnel_bytes_total{{direction="{direction}"}}'
            self.assertGreaterEqual(after[name] - before[name], size)
        self.assertEqual(after['sallyport_requests_total{route="socket",method="GET",code="101"}'] -
                         before.get('sallyport_requests_total{route="socket",method="GET",code="101"}', 0), 1)

    def test_Q01_without_a_good_credential_the_upstream_hears_nothing(self):
        for name, lines in {"none": (), "garbage": (bearer("a.b.c"),), "expired": (bearer(self.token(exp=1)),),
                            "no session": (f"Cookie: {SESSION}=AAAA",)}.items():
            with self.subTest(name), self.nothing_upstream():
                self.assertEqual(self.open("/ws/x", *lines).status, 401)
        self.opened(token=self.token())

    def test_Q02_what_is_no_handshake_is_refused(self):
        line = bearer(self.token())
        cases = {
            "version 12": (426, ("Sec-WebSocket-Version: 12",), {}),
            "no version": (426, (), {"without": ("Sec-WebSocket-Version",)}),
            "no key": (400, (), {"without": ("Sec-WebSocket-Key",)}),
            "a short key": (400, ("Sec-WebSocket-Key: YWJj",), {}),
            "POST": (400, ("Content-Length: 0",), {"method": "POST"}),
            "HTTP/1.0": (400, (), {"version": "HTTP/1.0"}),
            "no Connection": (400, (), {"without": ("Connection",)}),
            "Connection: close": (400, ("Connection: close",), {}),
            "a body": (400, ("Content-Length: 5",), {"early": b"hello"}),
        }
        for name, (status, lines, options) in cases.items():
            with self.subTest(name), self.nothing_upstream():
                answer = self.open("/ws/x", line, *lines, **options)
                self.assertEqual(answer.status, status)
                if status == 426:
                    self.assertEqual(answer.all("Sec-WebSocket-Version"), ["13"])
        with self.subTest("nothing behind it is a request"), self.nothing_upstream():
            answer = self.open("/ws/x", line, "Sec-WebSocket-Version: 12", early=b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(answer.status, 426)
            self.assertNotIn(b"HTTP/1.1", answer.rest())

    def test_Q03_a_cookie_counts_only_from_our_own_pages(self):
        cookie = f"Cookie: {SESSION}={self.sign_in('alice').session}"
        foreign = {"foreign": "https://evil.test", "null": "null", "another port": "http://localhost:1", "an ending": "http://notlocalhost"}
        for name, origin in foreign.items():
            with self.subTest(name), self.nothing_upstream():
                self.assertEqual(self.open("/ws/x", cookie, f"Origin: {origin}").status, 403)
        with self.subTest("none"), self.nothing_upstream():
            self.assertEqual(self.open("/ws/x", cookie).status, 403)
        self.opened("/ws/x", cookie, "Origin: http://localhost")
        self.opened("/friendly/x", cookie, "Origin: https://friend.test")
        self.assertEqual(self.open("/ws/x", cookie, "Origin: https://friend.test").status, 403)
        self.opened("/ws/x", bearer(self.token()), "Origin: https://evil.test")

    def test_Q05_a_refusal_of_the_upstream_is_an_ordinary_answer(self):
        def refuse(seen, connection):
            body = json.dumps({"sorry": seen.target}).encode()
            return b"HTTP/1.1 409 Conflict\r\nX-Why: busy\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self.oracle.answer = refuse
        smuggled = b"GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
        answer = self.open(token=self.token(), early=smuggled)
        self.assertEqual((answer.status, answer.all("X-Why")), (409, ["busy"]))
        self.assertEqual(json.loads(answer.rest()), {"sorry": "/ws/x"})
        self.assertNotIn("/public/smuggled", [seen.target for seen in self.oracle.seen])

    def test_a_switch_that_is_none_is_a_502_and_leaks_nothing(self):
        bad = {"no accept": b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
               "a wrong accept": b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
               "another protocol": b"Upgrade: h2c\r\nConnection: Upgrade\r\n"}
        for name, fields in bad.items():
            with self.subTest(name):
                self.oracle.answer = lambda seen, connection: b"HTTP/1.1 101 S\r\n" + fields + b"\r\nleaked"
                answer = self.open(token=self.token())
                self.assertEqual(answer.status, 502)
                self.assertNotIn(b"leaked", answer.rest())

    def test_K19_early_bytes_wait_for_the_switch(self):
        silent, go = threading.Event(), threading.Event()

        def slow(seen, connection):
            connection.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                self.assertEqual(connection.recv(1), b"never")
            silent.set()
            go.wait(10)
            connection.settimeout(10)
            return websocket_service()(seen, connection)
        self.oracle.answer = slow
        threading.Timer(1.0, go.set).start()
        tunnel = self.opened(token=self.token(), early=frame(TEXT, b"early", masked=True))
        self.assertTrue(silent.is_set())
        self.assertEqual(tunnel.read().payload, b"early")

    def test_Q08_every_other_protocol_is_removed(self):
        for protocol in ("h2c", "foo", "TLS/1.0", "websocket2"):
            with self.subTest(protocol):
                answer = self.open("/ws/x", f"Upgrade: {protocol}", token=self.token())
                self.assertEqual(answer.status, 200)
                self.assertEqual(self.oracle.last.all("Upgrade") + self.oracle.last.all("Connection"), [])

    def test_Q10_each_route_has_its_rule(self):
        with self.subTest("a plain request where WebSockets may be"):
            self.assertEqual(self.ask("GET", "/ws/plain", token=self.token()).status, 200)
        with self.subTest("a handshake where they may not"):
            answer = self.open("/api/x", token=self.token())
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.oracle.last.all("Upgrade"), [])

    def test_I02_the_identity_headers_are_ours(self):
        self.opened("/ws/x", "X-Auth-Subject: root", "x_auth_subject: root", "X-Auth-Roles: admin", token=self.token())
        self.assertEqual([value for name, value in self.oracle.last.headers if name.lower().replace("_", "-") == "x-auth-subject"],
                         ["alice"])
        self.assertEqual(self.oracle.last.all("X-Auth-Roles"), [])


class Ends(WebSocketCase):
    replicas, redis_options = 1, []

    def test_Q04_a_token_that_expires_ends_its_tunnel(self):
        now = time.time()
        tunnel = self.opened(token=self.token(exp=int(now + 4 * PATIENCE)))
        stays = self.opened(token=self.token(sub="other"))
        self.assertEqual(tunnel.echo(b"still"), b"still")
        self.assertEqual(tunnel.read().close_code, CALLER_ENDED)
        self.assertLess(time.time(), int(now + 4 * PATIENCE) + 5 + 1 * PATIENCE)  # clock_tolerance
        self.assertTrue(tunnel.ended())
        self.assertEqual(stays.echo(b"here"), b"here")
        line = self.gateway.wait_for_line("access", lambda each: each.get("reason") == "caller_ended")
        self.assertEqual(line["status"], 101)

    def test_Q04_a_revoked_subject_loses_exactly_its_tunnels_on_every_gateway(self):
        mine = [self.opened(token=self.token(sub="mallory"), gateway=gateway) for gateway in self.stand.gateways for _ in range(5)]
        others = [self.opened(token=self.token(sub=f"bystander-{number}"), gateway=self.stand.gateways[number % 2]) for number in range(10)]
        browser = self.sign_in("mallory")
        mine.append(self.opened("/ws/x", f"Cookie: {SESSION}={browser.session}", "Origin: http://localhost"))
        for each in mine:
            self.assertEqual(each.echo(b"before"), b"before")
        self.revoke(subject="mallory")
        began = time.monotonic()
        for each in mine:
            self.assert_closed(each, CALLER_ENDED)
        self.assertLess(time.monotonic() - began, 1.0 * PATIENCE)
        for each in others:
            self.assertEqual(each.echo(b"after"), b"after")

    def test_Q04_a_logout_ends_the_tunnels_of_its_session(self):
        browser, other = self.sign_in("quitter"), self.sign_in("quitter")
        tunnel, stays = (self.opened("/ws/x", f"Cookie: {SESSION}={each.session}", "Origin: http://localhost") for each in (browser, other))
        self.assertEqual(browser.ask("POST", "/.gateway/logout").status, 204)
        self.assert_closed(tunnel, CALLER_ENDED)
        self.assertEqual(stays.echo(b"here"), b"here")

    def test_Q04_within_a_frame_the_frame_ends_first(self):
        began, go = threading.Event(), threading.Event()
        whole = frame(BINARY, b"z" * 1000)

        def serve(end):
            end.socket.sendall(whole[:300])
            began.set()
            go.wait(10)
            end.socket.sendall(whole[300:] + frame(TEXT, b"never seen"))
            with contextlib.suppress(Ended):
                end.read()
        self.oracle.answer = websocket_service(serve, accounts)
        tunnel = self.opened(token=self.token(sub="framed"))
        began.wait(5)
        self.revoke(subject="framed")
        threading.Timer(0.35, go.set).start()
        self.assertEqual(tunnel.read().payload, b"z" * 1000)
        self.assert_closed(tunnel, CALLER_ENDED)

    def test_Q04_a_frame_that_does_not_end_is_cut(self):
        def serve(end):
            end.socket.sendall(frame(BINARY, b"z" * 1000)[:300])
            with contextlib.suppress(Ended):
                end.read()
        self.oracle.answer = websocket_service(serve, accounts)
        tunnel = self.opened(token=self.token(sub="stuck"))
        self.eventually(lambda: self.tunnels() >= 1, "the tunnel")
        self.revoke(subject="stuck")
        began = time.monotonic()
        self.assertEqual(tunnel.rest(), frame(BINARY, b"z" * 1000)[:300])
        self.assertLess(time.monotonic() - began, 1.2 * PATIENCE)

    def test_an_idle_tunnel_ends_and_one_that_talks_does_not(self):
        idle, talks = self.opened("/open/x"), self.opened("/open/x")
        for _ in range(5):
            time.sleep(0.7)
            self.assertEqual(talks.echo(b"x"), b"x")
        self.assert_closed(idle, IDLE, within=2)
        self.assertEqual(talks.echo(b"x"), b"x")

    def test_Q07_half_closes_and_resets_leave_nothing_behind(self):
        self.eventually(lambda: self.tunnels() == 0, "the end of the other tests' tunnels", 5 * PATIENCE)
        files = self.gateway.open_files()
        for number in range(40):
            tunnel = self.opened(token=self.token())
            if number % 4 == 0:  # the client ends its direction: the service sees it, and ends too
                tunnel.socket.shutdown(socket.SHUT_WR)
                self.assertTrue(tunnel.ended())
            elif number % 4 == 1:  # within a frame
                tunnel.socket.sendall(frame(BINARY, b"x" * 1000, masked=True)[:100])
                tunnel.reset()
            elif number % 4 == 2:
                tunnel.reset()
            else:
                self.oracle.close_connections()
                self.assertTrue(tunnel.ended())
            tunnel.close()
        self.eventually(lambda: self.tunnels() == 0, "the end of all tunnels", 5 * PATIENCE)
        self.eventually(lambda: self.gateway.open_files() <= files + 2, "their descriptors", 5 * PATIENCE)
        before = self.gateway.cpu_seconds()
        time.sleep(0.5)
        self.assertLess(self.gateway.cpu_seconds() - before, 0.2, "something spins")

    def test_Q06_broken_frames_close_the_tunnel(self):
        bad = {"a length with its top bit set": b"\x82\xff\x80\0\0\0\0\0\0\0\1\2\3\4",
               "a long ping": b"\x89\xfe\x00\x7e\1\2\3\4",
               "no mask": frame(TEXT, b"x"),
               "a reserved opcode": b"\x83\x80\1\2\3\4",
               "no frame": b"GET / HTTP/1.1\r\n\r\n"}
        for name, data in bad.items():
            with self.subTest(name):
                tunnel = self.opened(token=self.token())
                tunnel.socket.sendall(data)
                self.assert_closed(tunnel, PROTOCOL_ERROR, within=2)

    def test_Q06_a_flood_of_pings_costs_no_memory(self):
        tunnel = self.opened(token=self.token())
        before = self.gateway.resident_kib()
        flood = frame(PING, b"", masked=True) * 1000
        reader = threading.Thread(target=tunnel.rest)
        reader.start()
        for _ in range(200):
            tunnel.socket.sendall(flood)
        tunnel.socket.shutdown(socket.SHUT_WR)
        reader.join(30 * PATIENCE)
        self.assertFalse(reader.is_alive())
        self.assertLess(self.gateway.resident_kib() - before, 20_000)

    def test_Q06_a_client_that_reads_nothing_is_bounded(self):
        sent = []

        def serve(end):
            piece = frame(BINARY, b"x" * 60_000)
            end.socket.settimeout(1)
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    end.socket.sendall(piece)
                    sent.append(len(piece))
        self.oracle.answer = websocket_service(serve, accounts)
        before = self.gateway.resident_kib()
        self.opened(token=self.token(sub="lazy"))
        time.sleep(2)
        self.assertLess(sum(sent), 40_000_000)
        self.assertLess(self.gateway.resident_kib() - before, 20_000)
        self.revoke(subject="lazy")
        self.eventually(lambda: self.gateway.alive, "the gateway")


class Drain(WebSocketCase):
    @classmethod
    def change(cls, stand, configuration, policies) -> None:
        super().change(stand, configuration, policies)
        configuration["shutdown"] = {"drain_timeout": "3s"}

    def test_Q09_a_drain_lets_tunnels_talk_and_ends_them_before_its_deadline(self):
        gateway = self.stand.add_gateway("draining")
        tunnels = [self.opened(token=self.token(), gateway=gateway) for _ in range(20)]
        gateway.terminate()
        began = time.monotonic()
        for each in tunnels:
            self.assertEqual(each.echo(b"still here"), b"still here")
        for each in tunnels:
            self.assertEqual(each.read().close_code, GOING_AWAY)
            self.assertTrue(each.ended())
        self.assertGreater(time.monotonic() - began, 1.5)
        for each in tunnels:
            each.close()
        self.assertEqual(gateway.process.wait(10 * PATIENCE), 0)
        self.stand.gateways.remove(gateway)
        self.assertLess(time.monotonic() - began, 3.5 * PATIENCE)


if __name__ == "__main__":
    main()
