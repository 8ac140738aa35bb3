#!/usr/bin/env python3
"""docs/operations.md names every metric, every log event and every audit event that the gateway has, and none that it has not."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operations.md"

METRIC = re.compile(r'"((?:sallyport|process)_[a-z0-9_]+)"')
EVENTS = [re.compile(pattern) for pattern in (
    r'\bevent\(\s*(?:[\w:]*Level::\w+|[\w.]+)\s*,\s*"([a-z][a-z0-9_]+)"',  # observe::Log
    r'\.name = "([a-z][a-z0-9_]+)"\s*,\s*\.level',                          # AuditEvent
    r'\bcomplain\("([a-z][a-z0-9_]+)"',                                     # those that are said once in a while
)]


def in_code(source: str) -> tuple[set[str], set[str]]:
    return set(METRIC.findall(source)), {name for pattern in EVENTS for name in pattern.findall(source)}


def in_page(page: str) -> set[str]:
    """What the first cell of a table's row names."""
    names = set()
    for line in page.splitlines():
        if line.startswith("| `"):
            names.update(re.findall(r"`([a-z][a-z0-9_]+)", line.split("|")[1]))
    return names


def problems(source: str, page: str) -> list[str]:
    metrics, events = in_code(source)
    documented = in_page(page)
    found = [f"docs/operations.md does not name {name}" for name in sorted((metrics | events) - documented)]
    known = metrics | events
    found += [f"docs/operations.md names {name}, which the gateway does not have"
              for name in sorted(name for name in documented if name.startswith("sallyport_") and name not in known)]
    return found


def self_test() -> list[str]:
    source = 'families.add("sallyport_a_total"); log_.event(Level::info, "began"); audit({.name = "ended", .level = x}); complain("again", t);'
    good = "| `sallyport_a_total{x}` | b |\n| `began` | c |\n| `ended` | d |\n| `again` | e |\n"
    failures = [f"self-test: {text}" for text in problems(source, good)]
    for line in good.splitlines():
        if not problems(source, good.replace(line, "")):
            failures.append(f"self-test: a page without '{line}' passed")
    if not problems(source, good + "| `sallyport_b` | never was |\n"):
        failures.append("self-test: a page with a metric that does not exist passed")
    return failures


def main() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "gateway").rglob("*.cpp")))
    found = self_test() or problems(source, PAGE.read_text())
    print("\n".join(found) or f"{len(in_code(source)[0])} metrics and {len(in_code(source)[1])} events are documented")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
