"""Hazard K34: the same bytes to the gateway and to HAProxy, nginx and Apache, each in front of an upstream of its own.

The gateway is never the only one to forward: every request that became whole at its upstream became whole behind one and the same other
proxy too, in the same order, with the same method, target, Host and body. Whoever refuses more is on the safe side; so requests may be
missing from what the gateway sent on, but none may stand there that nobody else saw in those bytes. What an upstream could not frame
strictly, or not to its end, counts for nobody.

One other proxy is no measure, because each refuses something that is good: with fewer than two the test is skipped.
"""
import concurrent.futures
import dataclasses
import re
import unittest

from support.gateway import PATIENCE, main
from support.http_client import Connection, chunked, request
from support.oracle import Oracle, Seen
from support.proxies import Proxy, installed
from wire.ambiguous_requests import CODED, FOLLOWING, SMUGGLED, TABLE
from wire.test_desync_corpus import published_cases
from wire.wire_case import WireCase, head

QUIET = 0.3 * PATIENCE  # whoever says nothing for so long waits for more bytes


@dataclasses.dataclass(frozen=True)
class Forwarded:
    """A request as an upstream got it."""
    method: str
    target: str
    hosts: tuple[str, ...]
    body: bytes

    @classmethod
    def of(cls, seen: Seen) -> "Forwarded":
        return cls(seen.method, seen.target, tuple(seen.all("Host")), seen.body)

    def as_the_gateway_has_it(self) -> "Forwarded":
        """The target rewritten as docs/configuration.md has it under "Paths": unreserved characters of the path decoded, other hex digits
        upper case; and in origin-form where the authority is the Host."""
        target = self.target
        absolute = re.match(r"https?://([^/?#]+)(.*)", target, re.IGNORECASE)
        if absolute and self.hosts and absolute[1].lower() == self.hosts[0].lower():
            target = absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
        path, question, query = target.partition("?")

        def rewritten(escape: re.Match) -> str:
            character = chr(int(escape[1], 16))
            return character if re.fullmatch(r"[A-Za-z0-9._~-]", character) else escape[0].upper()
        return dataclasses.replace(self, target=re.sub("%([0-9a-fA-F]{2})", rewritten, path) + question + query)


def is_alone(ours: list[Forwarded], others: list[list[Forwarded]]) -> bool:
    """Whether no single one of the others forwarded all of ours, in their order."""
    def has_ours(theirs: list[Forwarded]) -> bool:
        rest = iter(theirs)
        return all(each in rest for each in ours)
    return not any(has_ours(theirs) for theirs in others)


PLAIN = {
    "GET": (request("GET", "/public/x"), Forwarded("GET", "/public/x", ("localhost",), b"")),
    "query": (request("GET", "/public/x?a=b"), Forwarded("GET", "/public/x?a=b", ("localhost",), b"")),
    "HEAD": (request("HEAD", "/public/x"), Forwarded("HEAD", "/public/x", ("localhost",), b"")),
    "DELETE": (request("DELETE", "/public/x"), Forwarded("DELETE", "/public/x", ("localhost",), b"")),
    "length": (head("Content-Length: 5") + b"hello", Forwarded("POST", "/public/x", ("localhost",), b"hello")),
    "chunked": (CODED + chunked(b"he", b"llo"), Forwarded("POST", "/public/x", ("localhost",), b"hello")),
    "PUT": (request("PUT", "/public/x", body=SMUGGLED), Forwarded("PUT", "/public/x", ("localhost",), SMUGGLED)),
    "empty": (request("POST", "/public/x", body=b""), Forwarded("POST", "/public/x", ("localhost",), b"")),
    "encoded": (request("GET", "/public/%41%c3%a9"), Forwarded("GET", "/public/A%C3%A9", ("localhost",), b"")),
    "port": (request("GET", "/", host="localhost:8080"), Forwarded("GET", "/", ("localhost:8080",), b"")),
    "absolute": (request("GET", "http://localhost/public/x"), Forwarded("GET", "/public/x", ("localhost",), b"")),
}
AFTER = Forwarded("GET", "/public/next", ("localhost",), b"")


def continuing(seen: Seen, connection):
    """As services do that take every body."""
    if seen.all("Expect"):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return NotImplemented


@dataclasses.dataclass
class Contender:
    """The gateway or another proxy, and the upstream behind it."""
    address: tuple[str, int]
    oracle: Oracle

    def forwards(self, data: bytes) -> list[Forwarded]:
        """The requests that became whole at the upstream while `data`, on a connection of its own, was all that came."""
        before = len(self.oracle.seen)
        with Connection(self.address) as connection:
            connection.try_send(data)
            try:
                connection.read_until_end(QUIET)
            except TimeoutError:
                connection.half_close()
                connection.read_until_end(10 * PATIENCE)
        return [Forwarded.of(seen) for seen in self.oracle.seen[before:] if seen.complete]

    def forwards_each(self, table: dict[str, bytes]) -> dict[str, list[Forwarded]]:
        return {name: self.forwards(data) for name, data in table.items()}


class Differential(WireCase):
    @classmethod
    def setUpClass(cls):
        if len(installed()) < 2:
            raise unittest.SkipTest(f"of HAProxy, nginx and Apache two are needed, installed: {', '.join(installed()) or 'none'}")
        cls.others = {}
        for name in installed():
            oracle = Oracle()
            cls.addClassCleanup(oracle.close)
            oracle.answer_head = continuing
            proxy = Proxy(name, oracle.port)
            cls.addClassCleanup(proxy.close)
            cls.others[name] = Contender(proxy.address, oracle)
        super().setUpClass()

    @classmethod
    def change(cls, stand, configuration, policies):
        for listener in configuration["listeners"]:
            listener["timeouts"] = {"body": "2s", "header": "2s", "idle": "2s"}
        policies["routes"].append({"name": "everything", "match": {"path": "/**"}, "access": "public", "upstream": "service"})

    def compare(self, table: dict[str, bytes]) -> tuple[dict[str, list[Forwarded]], dict[str, dict[str, list[Forwarded]]]]:
        """What was forwarded of each row: by the gateway, and by its name every other. They run side by side."""
        contenders = {"gateway": Contender(self.stand.plain_address, self.oracle)} | self.others
        with concurrent.futures.ThreadPoolExecutor(len(contenders)) as pool:
            results = dict(zip(contenders, pool.map(lambda each: each.forwards_each(table), contenders.values())))
        self.assertEqual(self.oracle.malformed, [])
        counts = {name: sum(1 for forwarded in rows.values() if forwarded) for name, rows in results.items()}
        print(f"{len(table)} rows, forwarded in whole or in part: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
        ours = results.pop("gateway")
        return ours, {other: {name: [each.as_the_gateway_has_it() for each in forwarded] for name, forwarded in rows.items()}
                      for other, rows in results.items()}

    def assert_never_alone(self, table: dict[str, bytes]) -> None:
        ours, others = self.compare(table)
        for name, data in table.items():
            with self.subTest(name):
                theirs = {other: rows[name] for other, rows in others.items()}
                self.assertNotIn("/public/smuggled", [each.target for each in ours[name]])
                self.assertFalse(is_alone(ours[name], list(theirs.values())),
                                 f"\n{data[:300]!r}\nthe gateway forwards {ours[name]}\nthe others {theirs}")

    def test_K34_the_gateway_is_never_the_only_one_to_forward(self):
        self.assert_never_alone(TABLE)
        self.probe()

    def test_K34_nor_of_the_published_cases(self):
        cases = enumerate(published_cases(), 1)  # some share a name
        self.assert_never_alone({f"{number} {case.name}": case.data() + case.body() + FOLLOWING for number, case in cases})
        self.probe()

    def test_K34_plain_requests_are_forwarded_by_all(self):
        ours, others = self.compare({name: data + FOLLOWING for name, (data, _) in PLAIN.items()})
        for name, (_, expected) in PLAIN.items():
            for who, rows in [("gateway", ours), *others.items()]:
                with self.subTest(f"{name} {who}"):
                    self.assertEqual(rows[name], [expected, AFTER])

    def test_K34_whoever_forwards_alone_is_noticed(self):
        """The judgement itself: beside proxies that refuse everything, or that read another method, target, Host, body or order."""
        one, two = PLAIN["length"][1], PLAIN["query"][1]
        self.assertFalse(is_alone([one, two], [[], [one, AFTER, two]]))
        self.assertFalse(is_alone([], [[], []]))
        self.assertTrue(is_alone([one], [[], []]))
        self.assertTrue(is_alone([one, two], [[one], [two]]))
        self.assertTrue(is_alone([one, two], [[two, one]]))
        self.assertTrue(is_alone([one, one], [[one]]))
        for change in ({"method": "PUT"}, {"target": "/public/y"}, {"hosts": ("evil",)}, {"hosts": ()}, {"body": b"hell"}):
            self.assertTrue(is_alone([one], [[dataclasses.replace(one, **change)]]))


if __name__ == "__main__":
    main()
