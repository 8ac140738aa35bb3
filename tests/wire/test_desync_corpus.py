"""Hazard K31: the published cases of aws/http-desync-guardian, through the running gateway.

They stand in $SALLYPORT_CORPORA/aws-desync, else in ../shared/corpora beside the repository; without them the test is skipped. Severe and
Ambiguous cases are refused and the connection closed, with nothing upstream; Compliant ones are served. Where the gateway's contract is of
another mind the case says so: see `contract`.
"""
import collections
import os
import pathlib
import unittest

from support.gateway import REPOSITORY, main
from support.http_client import chunked
from wire.wire_case import WireCase

FOLDER = pathlib.Path(os.environ.get("SALLYPORT_CORPORA", REPOSITORY.parent / "shared/corpora")) / "aws-desync"


def as_bytes(text) -> bytes:
    text = str(text)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")


class Case:
    def __init__(self, file: str, content: dict):
        self.name = f"{file}: {content['name']}"
        self.method, self.uri, self.version = as_bytes(content["method"]), as_bytes(content["uri"]), as_bytes(content["version"] or "")
        self.headers = [(as_bytes(each["name"]), as_bytes(each["value"])) for each in content.get("headers") or []]
        self.tier = content["expected"]["tier"]

    def values(self, name: bytes) -> list[bytes]:
        return [value.strip() for each, value in self.headers if each.lower() == name]

    def contract(self) -> str | None:
        """Why the contract decides otherwise than the corpus; None when they agree."""
        plain = all(0x20 <= byte < 0x7F for name, value in self.headers for byte in name + value) and all(b" " not in name for name,
                                                                                                          _ in self.headers)
        codings, lengths = self.values(b"transfer-encoding"), self.values(b"content-length")
        if self.tier == "Ambiguous":
            aliases = [name for name,
                       _ in self.headers if name.lower().replace(b"_", b"-") in (b"transfer-encoding", b"content-length") and b"_" in name]
            if aliases and plain:
                return "removed: an alias of a framing field never reaches an upstream"
            if self.method in (b"GET", b"HEAD") and plain and self.version == b"HTTP/1.1" and len(codings) + len(lengths) == 1:
                return "framed: a body on any method is framed and forwarded"
        if self.tier == "Compliant":
            if codings and [each.lower() for each in codings] != [b"chunked"]:
                return "refused: the only transfer coding is chunked"
            if not self.uri.startswith(b"/"):
                return "refused: a target is a path"
            if any(not 0x21 <= byte <= 0x7E for byte in self.uri) or b"#" in self.uri or b"\\" in self.uri:
                return "refused: a target is printable ASCII without # and backslash"
            if any(code in self.uri.split(b"?")[0].upper() for code in (b"%09", b"%0A", b"%0D")):
                return "refused: encoded control bytes in a path"
        return None

    def body(self) -> bytes:
        if self.values(b"transfer-encoding"):
            return chunked(b"hello")
        lengths = self.values(b"content-length")
        size = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
        return b"x" * size if size <= 10 << 20 else b""  # the gateway takes no more, and one case says 2^64

    def data(self) -> bytes:
        """With a Host, which most cases leave out: it must not be what they are refused for."""
        lines = [b" ".join(part for part in (self.method, self.uri, self.version) if part or part is self.uri)]
        if not any(name.strip().lower() == b"host" for name, _ in self.headers):
            lines.append(b"Host: localhost")
        lines += [name + b": " + value for name, value in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n"


def published_cases() -> list[Case]:
    """Raises SkipTest where they, or what reads them, are not on this machine."""
    if not FOLDER.is_dir():
        raise unittest.SkipTest(f"the corpus is not here ({FOLDER})")
    try:
        import yaml
    except ImportError:
        raise unittest.SkipTest("python3-yaml is not installed (deploy/install-dependencies.sh test)") from None
    return [Case(file.stem, content) for file in sorted(FOLDER.glob("*.yaml"))
            for content in yaml.safe_load(file.read_text(encoding="utf-8"))]


class DesyncCorpus(WireCase):
    @classmethod
    def setUpClass(cls):
        cls.cases = published_cases()
        super().setUpClass()

    @classmethod
    def change(cls, stand, configuration, policies):
        for listener in configuration["listeners"]:
            listener["timeouts"] = {"body": "2s", "header": "2s", "idle": "2s"}
        policies["routes"].append({"name": "everything", "match": {"path": "/**"}, "access": "public", "upstream": "service"})

    def of(self, *tiers: str) -> list[Case]:
        return [case for case in self.cases if case.tier in tiers]

    def outcome(self, case: Case, data: bytes, tls: bool, pieces: int | None) -> tuple[list[int], bool]:
        with self.stand.connect(tls) as connection:
            if pieces:
                connection.send_split(data, pieces)
            else:
                connection.try_send(data)
            connection.half_close()
            received = connection.read_until_end()
            statuses = [int(line[9:12]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
            return statuses, True  # the end was read

    def test_K31_severe_and_ambiguous_cases_are_refused(self):
        cases = self.of("Severe", "Ambiguous")
        self.assertEqual(len(cases), 116)
        notes = collections.Counter()
        for case in cases:
            note = case.contract()
            notes[note or "refused"] += 1
            for tls, pieces in ((False, None), (True, None), (False, 1)):
                with self.subTest(f"{case.name} tls={tls} pieces={pieces}"):
                    before = self.oracle.count
                    if note is None:
                        statuses, closed = self.outcome(case, case.data() + b"0\r\n\r\n", tls, pieces)
                        self.assertEqual(len(statuses), 1, statuses)
                        self.assertIn(statuses[0], (400, 405, 501, 505))
                        self.assertTrue(closed)
                        self.assertEqual(self.oracle.count, before)
                        continue
                    # By contract: one request, framed by us, and nothing that could be read otherwise.
                    statuses, _ = self.outcome(case, case.data() + case.body(), tls, pieces if len(case.body()) < 5000 else None)
                    self.assertEqual((statuses, self.oracle.count), ([200], before + 1))
                    self.assertTrue(self.oracle.last.complete)
                    self.assertEqual({"transfer_encoding", "content_length"} & self.oracle.last.names(), set())
        print("116 severe and ambiguous cases: " + "; ".join(f"{count} {note}" for note, count in notes.most_common()))
        self.assertEqual(self.oracle.malformed, [])
        self.probe()

    def test_K31_compliant_cases_are_served(self):
        cases = self.of("Compliant")
        self.assertEqual(len(cases), 28)
        notes = collections.Counter()
        for case in cases:
            note = case.contract()
            notes[note or "served"] += 1
            for tls, pieces in ((False, None), (True, None), (False, 1)):
                if pieces and len(case.body()) > 5000:
                    continue
                with self.subTest(f"{case.name} tls={tls} pieces={pieces}"):
                    before = self.oracle.count
                    statuses, _ = self.outcome(case, case.data() + case.body(), tls, pieces)
                    if note is None:
                        self.assertEqual((statuses, self.oracle.count), ([200], before + 1))
                        self.assertTrue(self.oracle.last.complete)
                    else:
                        self.assertEqual((statuses, self.oracle.count), ([400], before))
        print("28 compliant cases: " + "; ".join(f"{count} {note}" for note, count in notes.most_common()))
        self.probe()

    def test_K31_acceptable_cases_do_no_harm(self):
        for case in self.of("Acceptable"):
            with self.subTest(case.name):
                before = self.oracle.count
                statuses, _ = self.outcome(case, case.data() + case.body(), False, None)
                self.assertEqual(len(statuses), 1)
                self.assertEqual(self.oracle.count - before, int(statuses[0] == 200))
        self.assertEqual(self.oracle.malformed, [])
        self.probe()


if __name__ == "__main__":
    main()
