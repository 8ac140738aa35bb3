"""Where the client is: the PROXY protocol, and X-Forwarded-For through trusted hops."""
import socket
import struct

from support.gateway import GatewayCase, main
from support.http_client import Connection

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version_1(client: str, port: int = 4711) -> bytes:
    return f"PROXY {'TCP6' if ':' in client else 'TCP4'} {client} {client} {port} 443\r\n".encode()


def version_2(client: str, port: int = 4711, tlvs: bytes = b"") -> bytes:
    address = socket.inet_pton(socket.AF_INET6 if ":" in client else socket.AF_INET, client)
    body = address * 2 + struct.pack(">HH", port, 443) + tlvs
    return SIGNATURE + (b"\x21\x21" if ":" in client else b"\x21\x11") + struct.pack(">H", len(body)) + body


LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


class ProxyProtocol(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        for listener in configuration["listeners"]:
            listener |= {"proxy_protocol": "v1_v2", "trusted_proxies": ["127.0.0.1"], "deny": ["203.0.113.0/24"],
                         "timeouts": {"handshake": "1s"}}
        policies["routes"].append({"name": "inside", "match": {"path": "/inside/**"}, "access": "authenticated", "upstream": "service",
                                   "require": {"network": ["198.51.100.0/24"]}})

    def through(self, header: bytes, *headers: str, tls: bool = False, target: str = "/public/x"):
        raw = socket.create_connection(self.stand.tls_address if tls else self.stand.plain_address, timeout=20)
        raw.sendall(header)
        connection = Connection.__new__(Connection)
        connection.socket = self.stand.client_context().wrap_socket(raw, server_hostname="localhost") if tls else raw
        connection._buffer = b""
        with connection:
            return connection.ask("GET", target, *headers)

    def seen_address(self) -> str:
        return self.oracle.seen[-1].header("X-Forwarded-For")

    def test_the_upstream_and_the_log_learn_the_client(self):
        for tls in (False, True):
            for make in (version_1, version_2):
                for client in ("198.51.100.7", "2001:db8::7"):
                    with self.subTest(tls=tls, version=make.__name__, client=client):
                        self.assertEqual(self.through(make(client), f"X-Request-Id: {client}", tls=tls).status, 200)
                        self.assertEqual(self.seen_address(), client)
        self.gateway.wait_for_line("access", lambda line: line["client_ip"] == "2001:db8::7")

    def test_tlvs_are_skipped(self):
        self.assertEqual(self.through(version_2("198.51.100.7", tlvs=b"\x01\x00\x02h2\x04\x00\x00")).status, 200)
        self.assertEqual(self.seen_address(), "198.51.100.7")

    def test_a_balancers_own_connection_is_its_own(self):
        self.assertEqual(self.through(LOCAL).status, 200)
        self.assertEqual(self.seen_address(), "127.0.0.1")

    def test_I10_a_client_whom_the_balancer_does_not_name_is_not_believed(self):
        for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
            with self.subTest(header=header):
                self.assertEqual(self.through(header, "X-Forwarded-For: 192.0.2.1").status, 200)
                self.assertEqual(self.seen_address(), "127.0.0.1")

    def test_I10_a_client_behind_the_balancer_is_not_believed(self):
        self.through(version_1("198.51.100.7"), "X-Forwarded-For: 192.0.2.1", "X-Request-Id: mine")
        self.assertEqual(self.seen_address(), "198.51.100.7")
        self.assertNotEqual(self.oracle.seen[-1].header("X-Request-Id"), "mine")

    def test_requirements_are_judged_on_the_client(self):
        bearer = f"Authorization: Bearer {self.stand.token()}"
        self.assertEqual(self.through(version_1("198.51.100.7"), bearer, target="/inside/x").status, 200)
        self.assertEqual(self.through(version_1("192.0.2.7"), bearer, target="/inside/x").status, 403)

    def assert_closed(self, sent: bytes, reason: str) -> None:
        name = f'sallyport_connections_refused_total{{listener="plain",reason="{reason}"}}'
        before = self.gateway.metrics().get(name, 0)
        with socket.create_connection(self.stand.plain_address, timeout=20) as connection:
            connection.sendall(sent)
            try:
                self.assertEqual(connection.recv(100), b"")
            except ConnectionResetError:
                pass
        self.assertEqual(self.gateway.metrics()[name], before + 1)
        self.assertEqual(self.oracle.seen, [])

    def test_what_is_no_header_closes_the_connection(self):
        request = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for what in (b"", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 0 99999\r\n", SIGNATURE + b"\x21\x11\x00\x01x",
                     SIGNATURE + b"\x31\x11\x00\x00", b"\x16\x03\x01\x00\xff\x01"):
            with self.subTest(what):
                self.assert_closed(what + request, "proxy_header")

    def test_denied_clients_are_closed_behind_a_balancer_too(self):
        self.assert_closed(version_1("203.0.113.9") + b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n", "denied")

    def test_M04_a_header_that_does_not_come_meets_the_handshake_deadline(self):
        self.assert_closed(b"PROXY TCP4 1.2", "proxy_header_late")


class ForwardedFor(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        tls, plain = configuration["listeners"]
        plain["trusted_proxies"] = ["127.0.0.1", "10.0.0.0/8"]
        tls["trusted_proxies"] = ["10.0.0.0/8"]  # not where these tests come from

    def address_behind(self, *forwarded: str, tls: bool = False) -> str:
        self.assertEqual(self.ask("GET", "/public/x", *(f"X-Forwarded-For: {each}" for each in forwarded), tls=tls).status, 200)
        return self.oracle.seen[-1].header("X-Forwarded-For")

    def test_I11_the_first_untrusted_hop_from_the_right_is_the_client(self):
        self.assertEqual(self.address_behind("192.0.2.9, 198.51.100.7, 10.1.1.1"), "198.51.100.7")
        self.assertEqual(self.address_behind("192.0.2.9", "198.51.100.7", "10.1.1.1, 10.2.2.2"), "198.51.100.7")
        self.assertEqual(self.address_behind("198.51.100.7, nonsense"), "127.0.0.1")
        self.assertEqual(self.address_behind(), "127.0.0.1")

    def test_I10_who_is_not_trusted_is_not_believed(self):
        self.assertEqual(self.address_behind("192.0.2.9", tls=True), "127.0.0.1")

    def test_the_request_id_of_a_trusted_proxy_is_kept(self):
        answer = self.ask("GET", "/public/x", "X-Request-Id: edge-42/a", tls=False)
        self.assertEqual(answer.header("X-Request-Id"), "edge-42/a")
        self.assertEqual(self.oracle.seen[-1].header("X-Request-Id"), "edge-42/a")
        self.gateway.wait_for_line("access", lambda line: line["request_id"] == "edge-42/a")
        for bad in ("a b", "x" * 129, 'quo"te'):
            self.ask("GET", "/public/x", f"X-Request-Id: {bad}", tls=False)
            self.assertRegex(self.oracle.seen[-1].header("X-Request-Id"), "^[0-9a-f]{32}$")
        self.ask("GET", "/public/x", "X-Request-Id: edge-42/a")
        self.assertRegex(self.oracle.seen[-1].header("X-Request-Id"), "^[0-9a-f]{32}$")


if __name__ == "__main__":
    main()
