"""What the wire tests share: bytes as they are, whole and in single bytes, over plain sockets and TLS, with the oracle watching."""
import itertools
import time

from support.gateway import GatewayCase
from support.http_client import Closed, Response, request

WAYS = [(tls, pieces) for tls in (False, True) for pieces in (None, 1)]


class WireCase(GatewayCase):
    probes = itertools.count()

    def send(self, data: bytes, tls: bool, pieces: int | None, then_close: bool = False,
             expected: int | None = None) -> tuple[list[Response], bool]:
        """Every answer to `data`, and whether the gateway ended the connection. The last request of `data` must be one that closes or be
        refused; or `then_close` must be set: then our side ends after the last byte; or `expected`: then it ends after as many answers."""
        with self.stand.connect(tls, timeout=20) as connection:
            if pieces:
                connection.send_split(data, pieces)
            else:
                connection.try_send(data)
            if then_close:
                connection.half_close()
            answers = []
            try:
                while True:
                    answers.append(connection.read_response())
                    if len(answers) == expected:
                        connection.half_close()
                    if answers[-1].closes:
                        return answers, connection.is_closed_within(5)
            except Closed as closed:
                self.assertEqual(closed.received, b"", "an answer was cut")
                return answers, True

    def probe(self) -> None:
        """Nothing that went before disturbs a good request on a fresh connection."""
        target = f"/public/probe-{next(self.probes)}"
        response = self.ask("GET", target, tls=False)
        self.assertEqual(response.status, 200)
        self.assertIn(f'"{target}"'.encode(), response.body)
        self.assertEqual([seen.complete for seen in self.oracle.seen if seen.target == target], [True])

    def assert_refused(self, cases: dict[str, bytes], *statuses: int, then_close: bool = False) -> None:
        """One answer of these statuses (400 when none is given), the connection closed, and nothing upstream."""
        reached = self.oracle.count
        for name, data in cases.items():
            for tls, pieces in WAYS:
                with self.subTest(f"{name} tls={tls} pieces={pieces}"):
                    with self.nothing_upstream():
                        answers, closed = self.send(data, tls, pieces, then_close)
                        self.assertEqual(len(answers), 1, answers)
                        self.assertIn(answers[0].status, statuses or (400,))
                        self.assertTrue(closed)
                        self.assertTrue(answers[0].closes)
                        self.assertEqual(answers[0].header("Content-Type"), "application/problem+json")
        self.probe()
        time.sleep(0.05)  # nor did anything come late
        self.assertEqual(self.oracle.count, reached + 1, self.oracle.seen[reached:])

    def assert_never_completed(self, cases: dict[str, bytes], *statuses: int, then_close: bool = False) -> None:
        """Faults behind a good head: refused (or, when `statuses` holds 0, just closed), and no request became whole upstream."""
        for name, data in cases.items():
            for tls, pieces in WAYS:
                with self.subTest(f"{name} tls={tls} pieces={pieces}"):
                    self.oracle.reset()
                    answers, closed = self.send(data, tls, pieces, then_close)
                    self.assertTrue(closed)
                    self.assertLessEqual(len(answers), 1)
                    self.assertIn(answers[0].status if answers else 0, statuses or (400,))
                    self.assertFalse(any(seen.complete for seen in self.oracle.seen), self.oracle.seen)
        self.probe()
        time.sleep(0.05)  # nor was any completed late
        self.assertFalse([seen for seen in self.oracle.seen if seen.complete and "/probe-" not in seen.target])

    def assert_served(self, cases: dict[str, bytes], body: bytes | None = None, answers_expected: int = 1) -> None:
        """The twins: answered 200, each request once and whole upstream."""
        for name, data in cases.items():
            for tls, pieces in WAYS:
                with self.subTest(f"{name} tls={tls} pieces={pieces}"):
                    self.oracle.reset()
                    answers, _ = self.send(data, tls, pieces, expected=answers_expected)
                    self.assertEqual([answer.status for answer in answers], [200] * answers_expected)
                    self.assertEqual(self.oracle.count, answers_expected)
                    self.assertTrue(all(seen.complete for seen in self.oracle.seen))
                    if body is not None:
                        self.assertEqual(self.oracle.last.body, body)


def head(*lines: str, method: str = "POST", target: str = "/public/x", version: str = "HTTP/1.1", host: str | None = "localhost") -> bytes:
    return request(method, target, *lines, version=version, host=host)


def closing(*lines: str, **options) -> bytes:
    """A good request after which the gateway closes."""
    return head(*lines, "Connection: close", **options)
