"""Client certificates through the whole gateway: as a credential, and as what a token is bound to (RFC 8705). Hazard L08."""
import hashlib

from support.certificates import Authority, openssl
from support.gateway import PATIENCE, GatewayCase, main
from support.http_client import Closed, Connection, bearer
from support.tokens import claims_of, encode


class ClientCertificates(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        cls.clients, strangers = Authority(stand.folder / "clients"), Authority(stand.folder / "strangers", name="strangers")
        cls.shown = {"orders": cls.clients.issue("orders", names=("orders.test", "URI:spiffe://example.test/orders")),
                     "billing": cls.clients.issue("billing", names=("billing.test",)),
                     "retired": cls.clients.issue("retired", names=("retired.test",)),
                     "expired": cls.clients.issue("expired", names=("expired.test",), days=-1),
                     "server only": cls.clients.issue("server", names=("server.test",), extensions=("extendedKeyUsage=serverAuth",)),
                     "stranger": strangers.issue("orders", names=("orders.test",))}
        configuration["listeners"][0]["tls"] |= {"client_ca_file": str(cls.clients.certificate), "client_certificate": "optional"}
        policies["routes"] += [
            {"name": "machines", "match": {"path": "/machines/**"}, "access": "authenticated", "credentials": ["client_certificate"],
             "require": {"method": "client_certificate"}, "upstream": "service"},
            {"name": "orders-only", "match": {"path": "/orders/**"}, "access": "authenticated", "credentials": ["client_certificate"],
             "require": {"claim": {"name": "dns_names", "contains": "orders.test"}}, "upstream": "service"}]

    def connection(self, name: str | None) -> Connection:
        context = self.stand.client_context()
        if name:
            context.load_cert_chain(self.shown[name].certificate, self.shown[name].key)
        return Connection(self.stand.tls_address, context)

    def status(self, name: str | None, target: str, *headers: str, method: str = "GET") -> int:
        with self.connection(name) as connection:
            return connection.ask(method, target, *headers).status

    def thumbprint(self, name: str) -> str:
        return encode(hashlib.sha256(openssl("x509", "-in", self.shown[name].certificate, "-outform", "DER")).digest())

    def test_L08_a_certificate_lets_in_where_the_route_names_it(self):
        self.assertEqual(self.status("orders", "/machines/x"), 200)
        self.assertEqual(self.oracle.last.header("X-Auth-Subject"), "CN=orders")
        self.assertEqual(self.oracle.last.header("X-Auth-Method"), "client_certificate")
        self.assertEqual(self.status("orders", "/orders/x"), 200)
        self.assertEqual(self.status("billing", "/orders/x"), 403)
        self.assertEqual(self.status("orders", "/api/x"), 401)
        self.assertEqual(self.status(None, "/machines/x"), 401)

    def test_L08_no_other_certificate_does(self):
        for name in ("expired", "server only", "stranger"):
            with self.subTest(name), self.nothing_upstream():
                # TLS 1.3 tells the client after its own handshake is done.
                with self.assertRaises((OSError, Closed)):
                    self.status(name, "/machines/x")
        self.assertEqual(self.status("orders", "/machines/x"), 200)

    def test_another_site_cannot_use_a_browsers_certificate(self):
        self.assertEqual(self.status("orders", "/machines/x", "Content-Length: 0", method="POST"), 200)
        with self.nothing_upstream():
            self.assertEqual(self.status("orders", "/machines/x", "Content-Length: 0", "Origin: https://evil.test", method="POST"), 403)

    def test_a_bound_token_counts_with_its_certificate_alone(self):
        token = self.stand.key.sign(claims_of(cnf={"x5t#S256": self.thumbprint("orders")}))
        for _ in range(2):  # verified, and from memory
            self.assertEqual(self.status("orders", "/api/x", bearer(token)), 200)
            for name in ("billing", None):
                with self.subTest(name), self.nothing_upstream():
                    self.assertEqual(self.status(name, "/api/x", bearer(token)), 401)
        self.gateway.wait_for_line("audit", lambda line: line.get("reason") == "wrong_certificate")

    def test_a_binding_that_is_not_checked_is_refused(self):
        token = self.stand.key.sign(claims_of(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}))
        self.assertEqual(self.status("orders", "/api/x", bearer(token)), 401)

    def test_L08_a_certificate_is_revoked_by_its_thumbprint(self):
        self.assertEqual(self.status("retired", "/machines/x"), 200)
        body = b'{"token_id": "%s"}' % self.thumbprint("retired").encode()
        status, answer, _ = self.gateway.admin_request("/revocations", "POST", body, {"Content-Type": "application/json"})
        self.assertIn(status, (200, 202, 204), answer)
        self.assertEqual(self.status("retired", "/machines/x"), 401)
        self.assertEqual(self.status("orders", "/machines/x"), 200)


class AuthoritiesThatEnd(GatewayCase):
    @classmethod
    def change(cls, stand, configuration, policies):
        cls.file = stand.folder / "authorities.crt"
        cls.former, cls.later = Authority(stand.folder / "former", name="former"), Authority(stand.folder / "later", name="later")
        cls.file.write_bytes(cls.former.certificate.read_bytes())
        cls.shown = {"alice": cls.former.issue("alice", names=("alice.test",)), "bob": cls.later.issue("bob", names=("bob.test",))}
        configuration["reload"] = {"watch": False}
        configuration["listeners"][0]["tls"] |= {"client_ca_file": str(cls.file), "client_certificate": "required"}
        policies["routes"].append({"name": "machines", "match": {"path": "/machines/**"}, "access": "authenticated",
                                   "credentials": ["client_certificate"], "upstream": "service"})

    def connection(self, name: str) -> Connection:
        context = self.stand.client_context()
        context.load_cert_chain(self.shown[name].certificate, self.shown[name].key)
        connection = Connection(self.stand.tls_address, context, timeout=10 * PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def reload(self) -> None:
        status, body, _ = self.gateway.admin_request("/reload", "POST", b"")
        self.assertEqual(status, 200, body)

    def test_L08_a_kept_connection_ends_with_the_authority_it_was_let_in_on(self):
        idle, busy, stranger = self.connection("alice"), self.connection("alice"), self.stand.connect(False)
        self.addCleanup(stranger.close)
        self.assertEqual(idle.ask("GET", "/machines/x").status, 200)
        self.assertEqual(stranger.ask("GET", "/public/x").status, 200)
        self.reload()
        self.assertEqual(idle.ask("GET", "/machines/x").status, 200, "a reload that changes nothing ends nothing")
        busy.send("GET /machines/x HTTP/1.1\r\nHost: localhost\r\n")
        self.file.write_bytes(self.later.certificate.read_bytes())
        with self.nothing_upstream():
            self.reload()
            self.assertTrue(idle.is_closed_within(PATIENCE))
            busy.send("\r\n")
            self.assertEqual(busy.read_until_end(), b"")
            with self.assertRaises((OSError, Closed)):
                self.connection("alice").ask("GET", "/machines/x")
        self.assertEqual(self.connection("bob").ask("GET", "/machines/x").status, 200)
        self.assertEqual(stranger.ask("GET", "/public/x").status, 200, "another listener is not concerned")


if __name__ == "__main__":
    main()
