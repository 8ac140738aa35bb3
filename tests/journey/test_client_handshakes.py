"""Hazards L06, L08: which client certificates a handshake takes, and that a connection is for one host."""
import ssl

from support.certificates import Authority
from support.gateway import GatewayCase, main
from support.http_client import Closed, Connection


class ClientCertificates(GatewayCase):
    wish = "optional"

    @classmethod
    def change(cls, stand, configuration, policies):
        cls.clients = Authority(stand.folder / "clients", "clients")
        cls.good = cls.clients.issue("orders", names=("orders.test",))
        cls.expired = cls.clients.issue("expired", names=("orders.test",), days=-1)
        cls.server_only = cls.clients.issue("server-only", names=("orders.test",), extensions=("extendedKeyUsage=serverAuth",))
        cls.foreign = Authority(stand.folder / "others", "clients").issue("foreign", names=("orders.test",))
        tls = configuration["listeners"][0]["tls"]
        tls |= {"client_ca_file": str(cls.clients.certificate), "client_certificate": cls.wish}
        policies["routes"].append({"name": "machines", "match": {"path": "/machines/**"}, "access": "authenticated",
                                   "credentials": ["client_certificate"], "upstream": "service"})

    def connect(self, shown=None, server_name: str = "localhost") -> Connection:
        context = self.stand.client_context()
        if shown:
            context.load_cert_chain(shown.certificate, shown.key)
        return Connection(self.stand.tls_address, context, server_name)

    def status(self, shown=None, target: str = "/machines/x", **options) -> int:
        with self.connect(shown, **options) as connection:
            return connection.ask("GET", target, "X-Auth-Subject: forged", "X-Client-Cert: forged").status

    def assert_refused_at_tls(self, shown) -> None:
        with self.assertRaises((ssl.SSLError, OSError, Closed)):  # TLS 1.3 tells the client only after its own handshake
            self.status(shown)
        self.assertEqual(self.oracle.seen, [])

    def test_a_good_one_opens_its_route(self):
        self.assertEqual(self.status(self.good), 200)
        self.assertEqual(self.oracle.seen[-1].header("X-Auth-Subject"), "CN=orders")
        self.assertEqual(self.oracle.seen[-1].header("X-Auth-Method"), "client_certificate")

    def test_L08_bad_ones_are_refused(self):
        for shown in (self.expired, self.server_only, self.foreign):
            with self.subTest(shown.certificate.name):
                self.assert_refused_at_tls(shown)

    def test_L06_another_host_than_the_handshakes_is_misdirected(self):
        with self.connect(self.good) as connection:
            self.assertEqual(connection.ask("GET", "/public/x", host="second.test").status, 421)
            self.assertEqual(connection.ask("GET", "/public/x", host="LOCALHOST:8443").status, 200)
        with self.connect(self.good, server_name="localhost") as connection:
            self.assertEqual(connection.ask("GET", "/.gateway/session", host="second.test").status, 421)


class Optional(ClientCertificates):
    def test_without_one_only_that_route_is_closed(self):
        self.assertEqual(self.status(), 401)
        self.assertEqual(self.status(target="/public/x"), 200)

    def test_the_plain_listener_knows_no_certificate(self):
        answer = self.ask("GET", "/machines/x", "X-Client-Cert: forged", "X-SSL-Client-Verify: SUCCESS", tls=False)
        self.assertEqual(answer.status, 401)


class Required(ClientCertificates):
    wish = "required"

    def test_L08_without_one_nobody_gets_in(self):
        self.assert_refused_at_tls(None)


del ClientCertificates

if __name__ == "__main__":
    main()
