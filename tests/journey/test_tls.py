"""Hazards L: TLS as a client meets it, and TLS towards the services."""
import pathlib
import ssl
import socket
import subprocess
import tempfile
import threading
import time

from support.certificates import Authority, openssl
from support.gateway import PATIENCE, GatewayCase, main
from support.http_client import Connection, bearer, request
from support.oracle import Oracle
from support.tokens import claims_of


class Tls(GatewayCase):
    def context(self, verify: bool = True) -> ssl.SSLContext:
        context = self.stand.client_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def s_client(self, *arguments: str, data: bytes = b"", wait: float = 0) -> subprocess.CompletedProcess:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.stand.tls_port}", "-servername", "localhost", *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            time.sleep(wait)
            output, _ = process.communicate(data, timeout=20 * PATIENCE)
            return subprocess.CompletedProcess(command, process.returncode, output)

    def test_L01_old_versions_are_refused(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.subTest(version.name):
                context = self.context()
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = context.maximum_version = version
                with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                    Connection(self.stand.tls_address, context).close()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.minimum_version = context.maximum_version = version
            with Connection(self.stand.tls_address, context) as connection:
                self.assertEqual(connection.ask("GET", "/public/x").status, 200)

    def test_L02_weak_suites_are_refused(self):
        tried = 0
        for suites in ("NULL", "aNULL", "RC4", "3DES", "kRSA", "AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "PSK"):
            context = self.context(verify=False)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            try:
                context.set_ciphers(f"{suites}:@SECLEVEL=0")
            except ssl.SSLError:
                continue  # not even in this openssl
            tried += 1
            with self.subTest(suites), self.assertRaises((ssl.SSLError, ConnectionResetError)):
                Connection(self.stand.tls_address, context).close()
        self.assertGreaterEqual(tried, 4)
        context = self.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with Connection(self.stand.tls_address, context) as connection:
            self.assertIn(connection.socket.cipher()[0], ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                                          "ECDHE-ECDSA-CHACHA20-POLY1305"))

    def test_L03_renegotiation_is_refused(self):
        calm = self.s_client("-tls1_2", "-quiet", data=request("GET", "/public/x", "Connection: close"), wait=0.3)
        self.assertIn(b"200 OK", calm.stdout)
        pushed = self.s_client("-tls1_2", data=b"R\n" + request("GET", "/public/x", "Connection: close"), wait=0.5)
        self.assertIn(b"RENEGOTIATING", pushed.stdout)
        self.assertNotIn(b"200 OK", pushed.stdout)

    def test_L03_key_updates_do_no_harm(self):
        pushed = self.s_client("-tls1_3", data=b"K\n" * 5 + b"Q\n", wait=0.5)
        self.assertIn(b"KEYUPDATE", pushed.stdout)
        self.assertEqual(self.ask("GET", "/public/x").status, 200)

    def test_L04_no_compression_and_no_early_data(self):
        with tempfile.TemporaryDirectory() as folder:
            session = pathlib.Path(folder) / "session"
            output = self.s_client("-tls1_3", "-sess_out", str(session), data=b"Q\n", wait=1).stdout
            self.assertIn(b"Compression: NONE", output)
            text = openssl("sess_id", "-in", session, "-noout", "-text")
            self.assertIn(b"Max Early Data: 0", text)
            early = pathlib.Path(folder) / "early"
            early.write_bytes(request("POST", "/public/early", body=b"x"))
            self.s_client("-tls1_3", "-sess_in", str(session), "-early_data", str(early), data=b"Q\n", wait=0.5)
        self.assertNotIn("/public/early", [seen.target for seen in self.oracle.seen])

    def test_L05_the_certificate_follows_the_name(self):
        def certificate(name: str | None) -> bytes:
            with Connection(self.stand.tls_address, self.context(verify=False), server_name=name) as connection:
                return connection.socket.getpeercert(binary_form=True)
        first = openssl("x509", "-in", self.stand.localhost.certificate, "-outform", "DER")
        second = openssl("x509", "-in", self.stand.second.certificate, "-outform", "DER")
        for name, expected in {"localhost": first, "second.test": second, "SECOND.test": second, "a.wild.test": second, "wild.test": first,
                               "a.b.wild.test": first, "unknown.test": first, "x" * 60 + ".test": first, "127.0.0.1": first,
                               None: first}.items():
            with self.subTest(name):
                self.assertEqual(certificate(name), expected)

    def client_hello(self) -> bytes:
        outgoing = ssl.MemoryBIO()
        half = self.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        try:
            half.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def test_L09_garbage_instead_of_a_handshake_is_closed(self):
        hello = self.client_hello()
        wrong_length = hello[:3] + (len(hello) + 500).to_bytes(2, "big") + hello[5:]
        for name, data in {"zeros": bytes(500), "text": b"hello\r\n\r\n" * 20, "huge record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
                           "alert": b"\x15\x03\x01\x00\x02\x02\x28", "application data": b"\x17\x03\x03\x00\x05hello",
                           "cut": hello[:50], "wrong inner length": hello[:6] + b"\xff\xff\xff" + hello[9:],
                           "length": wrong_length}.items():
            with self.subTest(name), Connection(self.stand.tls_address) as connection:
                connection.try_send(data)
                connection.half_close()
                self.assertTrue(connection.is_closed_within(15 * PATIENCE))
        self.assertEqual(self.ask("GET", "/public/x").status, 200)

    def test_L09_a_hello_in_single_bytes_is_understood(self):
        hello = self.client_hello()
        with Connection(self.stand.tls_address) as connection:
            connection.send_split(hello)
            self.assertEqual(connection.receive(1), b"\x16")  # ServerHello

    def test_L11_a_cut_connection_never_completes_a_request(self):
        with self.stand.connect() as connection:
            connection.send(request("POST", "/public/x", "Content-Length: 1000") + b"x" * 500)
            raw = socket.socket(fileno=connection.socket.detach())
            time.sleep(0.3)
            raw.close()  # no close_notify
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and not (self.oracle.count and not self.oracle.last.complete):
            time.sleep(0.05)
        time.sleep(0.3)
        self.assertFalse(any(seen.complete for seen in self.oracle.seen))
        self.assertEqual(self.ask("POST", "/public/x", body=b"x" * 1000).status, 200)
        self.assertTrue(self.oracle.last.complete)

    def test_L12_records_over_the_limit_are_refused(self):
        with self.stand.connect() as connection:
            raw = socket.socket(fileno=connection.socket.detach())
            raw.sendall(b"\x17\x03\x03\x48\x01" + bytes(0x4801))
            raw.settimeout(10)
            received = b"x"
            try:
                while received:
                    received = raw.recv(65536)
            except ConnectionResetError:
                pass
            raw.close()
        self.assertEqual(self.ask("GET", "/public/x").status, 200)

    def test_L13_http_1_1_is_the_only_protocol(self):
        context = self.context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with Connection(self.stand.tls_address, context) as connection:
            self.assertEqual(connection.socket.selected_alpn_protocol(), "http/1.1")
            self.assertEqual(connection.ask("GET", "/public/x").status, 200)
        for protocols in (["h2"], ["spdy/1"]):
            context = self.context()
            context.set_alpn_protocols(protocols)
            with self.subTest(protocols):
                try:
                    with Connection(self.stand.tls_address, context) as connection:
                        self.assertIn(connection.socket.selected_alpn_protocol(), (None, "http/1.1"))
                except ssl.SSLError as error:
                    self.assertIn("application protocol", str(error).replace("_", " ").lower())

    def test_L17_sessions_resume(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.minimum_version = context.maximum_version = version
            with Connection(self.stand.tls_address, context) as connection:
                self.assertEqual(connection.ask("GET", "/public/x").status, 200)
                session = connection.socket.session
            resumed = 0
            for _ in range(4):  # tickets are good at every worker
                with socket.create_connection(self.stand.tls_address) as raw:
                    with context.wrap_socket(raw, server_hostname="localhost", session=session) as again:
                        again.sendall(request("GET", "/public/x", "Connection: close"))
                        self.assertIn(b"200 OK", again.recv(100))
                        resumed += again.session_reused
            self.assertEqual(resumed, 4, version.name)

    def test_R06_bad_signatures_never_disturb_other_connections(self):
        """A failed verification leaves errors in OpenSSL's queue, and they must not be taken for the connection's own."""
        good = self.stand.token()
        bad = [good[:-8] + tail for tail in ("AAAAAAAA", "BBBBBBBB", "________")] + [self.stand.other.sign(claims_of())]
        rsa = self.stand.corp["RS256"].sign(claims_of())
        bad.append(rsa[:-8] + "AAAAAAAA")
        errors, stop = [], threading.Event()

        def transfer() -> None:
            body = bytes(range(256)) * 400
            try:
                with self.stand.connect() as connection:
                    while not stop.is_set():
                        if connection.ask("POST", "/public/x", body=body).status != 200:
                            errors.append("status")
            except Exception as error:  # whatever it is, it is the finding
                errors.append(repr(error))
        threads = [threading.Thread(target=transfer) for _ in range(6)]
        for thread in threads:
            thread.start()
        with self.stand.connect() as connection:
            for number in range(2_000):
                self.assertEqual(connection.ask("GET", "/api/x", bearer(bad[number % len(bad)])).status, 401)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])

    def test_a_failed_handshake_harms_nobody(self):
        with self.stand.connect() as good:
            for _ in range(50):
                with Connection(self.stand.tls_address) as bad:
                    bad.try_send(b"\x16\x03\x01\x00\x05hello")
                good_answer = good.ask("GET", "/public/x")
                self.assertEqual(good_answer.status, 200)


class UpstreamTls(GatewayCase):
    """The service speaks TLS; what it shows decides."""

    @classmethod
    def make_oracle(cls) -> Oracle:
        cls.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(cls.folder.name)
        cls.trusted, cls.stranger = Authority(folder, "internal"), Authority(folder / "stranger", "stranger")
        client_only = ("extendedKeyUsage=clientAuth",)
        cls.shown = {"good": cls.trusted.issue("good", names=("orders.internal.test",)),
                     "good-again": cls.trusted.issue("good-again", names=("x.test", "orders.internal.test")),
                     "wildcard": cls.trusted.issue("wildcard", names=("*.internal.test",)),
                     "wrong-name": cls.trusted.issue("wrong-name", names=("other.internal.test",)),
                     "no-name": cls.trusted.issue("orders.internal.test", names=()),
                     "email": cls.trusted.issue("email", names=("email:orders.internal.test",)),
                     "address": cls.trusted.issue("address", names=("IP:127.0.0.1",)),
                     "expired": cls.trusted.issue("expired", names=("orders.internal.test",), days=-1),
                     "client-only": cls.trusted.issue("client-only", names=("orders.internal.test",), extensions=client_only),
                     "stranger": cls.stranger.issue("orders.internal.test", names=("orders.internal.test",))}
        cls.server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cls.names_asked = []
        cls.server_context.sni_callback = lambda _socket, name, _context: cls.names_asked.append(name)
        cls.show("good")
        return Oracle(cls.server_context)

    @classmethod
    def show(cls, name: str) -> None:
        cls.server_context.load_cert_chain(cls.shown[name].certificate, cls.shown[name].key)

    @classmethod
    def change(cls, stand, configuration, policies):
        configuration["upstreams"][0]["tls"] = {"ca_file": str(cls.trusted.certificate), "server_name": "orders.internal.test"}

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def status_with(self, name: str) -> int:
        self.show(name)
        self.oracle.close_connections()
        time.sleep(0.2)
        return self.ask("GET", "/public/x").status

    def test_L15_the_services_certificate_is_verified(self):
        for name in ("good", "wildcard"):
            self.assertEqual(self.status_with(name), 200, name)
        self.assertIn("orders.internal.test", self.names_asked)
        for name in ("wrong-name", "no-name", "email", "address", "expired", "client-only", "stranger"):
            with self.subTest(name), self.nothing_upstream():
                self.assertEqual(self.status_with(name), 502)

    def test_L15_old_versions_are_refused(self):
        self.server_context.minimum_version = ssl.TLSVersion.TLSv1
        self.server_context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.server_context.set_ciphers("ALL:@SECLEVEL=0")
        try:
            with self.nothing_upstream():
                self.assertEqual(self.status_with("good"), 502)
        finally:
            self.server_context.maximum_version = ssl.TLSVersion.TLSv1_3
            self.server_context.minimum_version = ssl.TLSVersion.TLSv1_2
            self.server_context.set_ciphers("DEFAULT")
        self.assertEqual(self.status_with("good"), 200)

    def test_O13_a_new_certificate_is_verified_anew(self):
        self.assertEqual(self.status_with("good"), 200)
        self.assertEqual(self.status_with("stranger"), 502)
        self.assertEqual(self.status_with("good-again"), 200)


if __name__ == "__main__":
    main()
