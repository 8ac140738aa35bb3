"""The main job over real TLS: a token that was signed elsewhere is verified, the request forwarded, the answer brought back."""
import hashlib
import json
import os
import socket

from support.gateway import GatewayCase, main
from support.http_client import bearer, chunked, request
from support.tokens import claims_of

ALGORITHMS = {"RS256": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "ES256": ("ES256",), "ES384": ("ES384",),
              "ES512": ("ES512",), "EdDSA": ("EdDSA",)}


class MainRoad(GatewayCase):
    def test_A06_every_algorithm_of_the_list_is_verified(self):
        for key, algorithms in ALGORITHMS.items():
            for algorithm in algorithms:
                with self.subTest(algorithm):
                    token = self.stand.corp[key].sign(claims_of(sub=f"by-{algorithm}"), algorithm)
                    self.assert_accepted(token, subject=f"by-{algorithm}")
                    body = token.rsplit(".", 1)[0]
                    self.assert_invalid_token(f"{body}.{self.stand.corp[key].sign(claims_of(sub='x'), algorithm).rsplit('.', 1)[1]}")
        for algorithm in ("HS256", "HS384", "HS512"):
            with self.subTest(algorithm):
                self.assert_accepted(self.stand.shared.sign(claims_of("https://shared.test"), algorithm))
                self.assert_invalid_token(self.stand.shared.sign(claims_of("https://shared.test"), algorithm)[:-4] + "AAAA")

    def test_no_token_is_401_with_a_bare_challenge(self):
        with self.nothing_upstream():
            response = self.ask("GET", "/api/x")
        self.assert_problem(response, 401)
        self.assertEqual(response.header("WWW-Authenticate"), 'Bearer realm="sallyport"')

    def test_a_refusal_never_says_which_check_failed(self):
        details = set()
        for token in (self.stand.token(exp=1), self.stand.token(audience="x"), self.stand.other.sign(claims_of()), "bad", "a.b.c"):
            response = self.ask("GET", "/api/x", token=token)
            problem = self.assert_problem(response, 401)
            details.add((problem["title"], problem["detail"], problem["type"], response.header("WWW-Authenticate")))
        self.assertEqual(len(details), 1, details)
        self.gateway.wait_for_line("audit", lambda line: line.get("reason"))

    def test_bodies_pass_both_ways_whatever_their_framing(self):
        for size in (0, 1, 1000, 65_536, 300_000, 5_000_000):
            content = os.urandom(size)
            self.oracle.answer = lambda seen, _: (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.body)) + seen.body
            for framing in ("sized", "chunked"):
                with self.subTest(f"{size} {framing}"), self.stand.connect() as connection:
                    if framing == "sized":
                        data = request("POST", "/public/x", body=content)
                    else:
                        pieces = [content[at:at + 30_000] for at in range(0, size, 30_000)]
                        data = request("POST", "/public/x", "Transfer-Encoding: chunked") + chunked(*pieces)
                    connection.send(data)  # whole: the service answers when it has read it all
                    response = connection.read_response()
                    self.assertEqual(hashlib.sha256(response.body).digest(), hashlib.sha256(content).digest())
                    self.assertEqual(hashlib.sha256(self.oracle.last.body).digest(), hashlib.sha256(content).digest())

    def test_large_answers_come_whole(self):
        content = os.urandom(1_000_000) * 30
        framings = {"sized": b"Content-Length: %d\r\n\r\n" % len(content) + content,
                    "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*(content[at:at + 100_000] for at in range(0, len(content),
                                                                                                                          100_000)))}
        for name, rest in framings.items():
            self.oracle.answer = lambda *_, rest=rest: b"HTTP/1.1 200 OK\r\n" + rest
            with self.subTest(name):
                self.assertEqual(hashlib.sha256(self.ask("GET", "/public/x").body).digest(), hashlib.sha256(content).digest())

    def test_an_answer_until_close_comes_whole(self):
        def answer(_seen, connection: socket.socket):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n" + b"y" * 100_000)
        self.oracle.answer = answer
        with self.stand.connect() as connection:
            self.assertEqual(connection.ask("GET", "/public/x").body, b"y" * 100_000)
            self.oracle.answer = lambda *_: b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
            self.assertEqual(connection.ask("GET", "/public/x").body, b"ok")  # ours was kept: we framed it by chunks

    def test_a_connection_serves_many_requests(self):
        with self.stand.connect() as connection:
            for number in range(50):
                response = connection.ask("GET", f"/api/{number}", bearer(self.stand.token()))
                self.assertEqual(json.loads(response.body)["target"], f"/api/{number}")
        self.assertLessEqual(self.oracle.connections, self.oracle.count)

    def test_the_connection_to_the_service_is_kept(self):
        with self.stand.connect() as connection:
            connection.ask("GET", "/public/x")
            before = self.oracle.connections
            for _ in range(20):
                connection.ask("GET", "/public/x")
            self.assertEqual(self.oracle.connections, before)

    def test_K17_pipelined_requests_are_answered_in_order(self):
        good = bearer(self.stand.token())
        with self.stand.connect() as connection:
            asked = [("GET", f"/api/{number}", [good] if number % 3 else []) for number in range(50)]
            connection.send(b"".join(request(method, target, *headers) for method, target, headers in asked))
            for number in range(50):
                response = connection.read_response()
                self.assertEqual(response.status, 200 if number % 3 else 401)
                if number % 3:
                    self.assertEqual(json.loads(response.body)["target"], f"/api/{number}")

    def test_head_has_the_length_and_no_body(self):
        with self.stand.connect() as connection:
            got = connection.ask("GET", "/public/x")
            self.oracle.answer = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
            head = connection.ask("HEAD", "/public/x")
            self.assertEqual((head.status, head.header("Content-Length"), head.body), (200, "1234", b""))
            refused = connection.ask("HEAD", "/api/x")
            self.assertEqual((refused.status, refused.body), (401, b""))
            self.oracle.reset()
            self.assertEqual(connection.ask("GET", "/public/x").status, got.status)

    def test_204_and_304_have_no_body(self):
        with self.stand.connect() as connection:
            for status in (204, 304):
                self.oracle.answer = lambda *_, status=status: b"HTTP/1.1 %d X\r\nETag: \"a\"\r\n\r\n" % status
                response = connection.ask("GET", "/public/x")
                self.assertEqual((response.status, response.header("ETag")), (status, '"a"'))
            self.oracle.reset()
            self.assertEqual(connection.ask("GET", "/public/x").status, 200)

    def test_an_http_1_0_client_is_served_and_closed(self):
        with self.stand.connect() as connection:
            connection.send(request("GET", "/public/x", version="HTTP/1.0"))
            response = connection.read_response()
            self.assertEqual(response.status, 200)
            self.assertEqual(response.all("Transfer-Encoding"), [])
            self.assertTrue(connection.is_closed_within(5))
        with self.stand.connect() as connection:
            for _ in range(2):
                connection.send(request("GET", "/public/x", "Connection: keep-alive", version="HTTP/1.0"))
                self.assertEqual(connection.read_response().status, 200)

    def test_an_http_1_0_client_gets_a_chunked_answer_until_close(self):
        self.oracle.answer = lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two")
        with self.stand.connect() as connection:
            connection.send(request("GET", "/public/x", version="HTTP/1.0"))
            response = connection.read_response()
            self.assertEqual((response.all("Transfer-Encoding"), response.body), ([], b"onetwo"))

    def test_connection_close_is_honoured(self):
        with self.stand.connect() as connection:
            response = connection.ask("GET", "/public/x", "Connection: close")
            self.assertTrue(response.closes)
            self.assertTrue(connection.is_closed_within(5))

    def test_I20_expect_continue_is_answered_after_authentication(self):
        body = b"x" * 100
        with self.stand.connect() as connection:
            connection.send(request("POST", "/api/x", bearer(self.stand.token()), "Expect: 100-continue", f"Content-Length: {len(body)}"))
            self.assertEqual(connection.read_head().status, 100)
            connection.send(body)
            self.assertEqual(connection.read_response().status, 200)
            self.assertEqual(self.oracle.last.body, body)
        with self.nothing_upstream(), self.stand.connect() as connection:
            connection.send(request("POST", "/api/x", "Expect: 100-continue", f"Content-Length: {len(body)}"))
            self.assertEqual(connection.read_head().status, 401)  # no 100 before it
            self.assertTrue(connection.is_closed_within(5))

    def test_I20_other_expectations_are_417(self):
        for value in ("y 100-continue", "100-Continue,", "100-continue, x", "200-ok"):
            with self.subTest(value), self.nothing_upstream():
                self.assertEqual(self.exchange(request("POST", "/public/x", f"Expect: {value}", body=b"x")).status, 417)
        self.assertEqual(self.exchange(request("POST", "/public/x", "Expect: 100-Continue", body=b"x")).status, 200)

    def test_the_plain_listener_serves_the_same(self):
        self.assertEqual(self.ask("GET", "/api/x", tls=False, token=self.stand.token()).status, 200)
        self.assertEqual(self.oracle.last.header("X-Forwarded-Proto"), "http")
        self.assertEqual(self.ask("GET", "/api/x", tls=False).status, 401)

    def test_refusals_keep_the_connection_where_the_bytes_were_good(self):
        with self.stand.connect() as connection:
            for target, expected in (("/api/x", 401), ("/nowhere", 404), ("/public/x", 200), ("/admin/x", 401), ("/public/x", 200)):
                self.assertEqual(connection.ask("GET", target).status, expected)

    def test_K15_the_body_of_a_refused_request_is_never_a_request(self):
        inner = request("GET", "/public/smuggled")
        for target, expected in (("/api/x", 401), ("/nowhere", 404), ("/read-only/x", 405)):
            for framing in ("sized", "chunked"):
                with self.subTest(f"{target} {framing}"), self.stand.connect() as connection:
                    if framing == "sized":
                        connection.send(request("POST", target, body=inner))
                    else:
                        connection.send(request("POST", target, "Transfer-Encoding: chunked") + chunked(inner))
                    response = connection.read_response()
                    self.assertEqual(response.status, expected)
                    if response.closes:
                        self.assertTrue(connection.is_closed_within(5))
                    else:
                        self.assertIn(b'"/public/next"', connection.ask("GET", "/public/next").body)
        self.assertNotIn("/public/smuggled", [seen.target for seen in self.oracle.seen])


if __name__ == "__main__":
    main()
