#!/usr/bin/env python3
"""Checks the code against the two tables of docs/ARCHITECTURE.md: what may include what, and where libraries stop.

Without arguments the source tree is checked; --self-test proves that violations are found.
"""

import argparse
import copy
import dataclasses
import pathlib
import re
import sys

INCLUDE_HEADER = ("folder", "may include")
FENCE_HEADER = ("library", "headers", "where")
SOURCE_SUFFIXES = {".cpp", ".hpp", ".h", ".cc"}


@dataclasses.dataclass
class Tree:
    """What is checked: the files below gateway/ by their path there, the page, and gateway/CMakeLists.txt."""

    sources: dict[str, str]
    page: str
    cmake: str


@dataclasses.dataclass
class Fence:
    library: str
    headers: list[re.Pattern]
    places: list[re.Pattern]


def read_tree(root: pathlib.Path) -> Tree:
    gateway = root / "gateway"
    sources = {
        str(path.relative_to(gateway)): path.read_text(encoding="utf-8")
        for path in sorted(gateway.rglob("*"))
        if path.suffix in SOURCE_SUFFIXES
    }
    return Tree(sources, (root / "docs/ARCHITECTURE.md").read_text(encoding="utf-8"), (gateway / "CMakeLists.txt").read_text(encoding="utf-8"))


def table(page: str, header: tuple[str, ...]) -> list[list[str]]:
    """The rows of the one Markdown table with that header."""
    rows: list[list[str]] = []
    found = 0
    inside = False
    for line in page.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if tuple(cells) == header:
            found += 1
            inside = True
        elif inside and not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            rows.append(cells)
    if found != 1 or not rows:
        raise SystemExit(f"docs/ARCHITECTURE.md: expected one table with the header {header} and at least one row, found {found}")
    return rows


def pattern(glob: str) -> re.Pattern:
    return re.compile("".join("[^/]*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", glob)))


def include_table(page: str) -> dict[str, set[str]]:
    return {row[0]: set(row[1].split()) for row in table(page, INCLUDE_HEADER)}


def fences(page: str) -> list[Fence]:
    def patterns(cell: str) -> list[re.Pattern]:
        globs = re.findall(r"`([^`]+)`", cell)
        if not globs:
            raise SystemExit(f"docs/ARCHITECTURE.md: no `pattern` in a cell of the libraries' table: {cell!r}")
        return [pattern(glob) for glob in globs]

    return [Fence(library, patterns(headers), patterns(where)) for library, headers, where in table(page, FENCE_HEADER)]


def folder_of(path: str) -> str:
    return path.split("/")[0]


def includes(text: str):
    """(line number, '"' or '<', name) of each #include, the one in a comment aside."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            yield number, match.group(1), match.group(2)
        elif re.match(r"\s*#\s*include\b", line):
            yield number, "?", line.strip()


def check_own_include(tree: Tree, allowed: dict[str, set[str]], path: str, name: str) -> str | None:
    folder, target = folder_of(path), folder_of(name)
    if name not in tree.sources:
        return f'no such file: gateway/{name} (own headers are written "folder/file.hpp")'
    if folder not in allowed:
        return f"the folder {folder} has no row in the include table"
    if target != folder and target not in allowed[folder]:
        return f"{folder} may not include {target}: {name}"
    return None


def check_library_include(rows: list[Fence], path: str, name: str) -> str | None:
    if re.fullmatch(r"[a-z0-9_]+", name):
        return None  # the C++ standard library
    fitting = [fence for fence in rows if any(header.fullmatch(name) for header in fence.headers)]
    if not fitting:
        return f"<{name}> fits no row of the libraries' table"
    if not any(place.fullmatch(path) for fence in fitting for place in fence.places):
        return f"<{name}> is not for this file ({', '.join(fence.library for fence in fitting)})"
    return None


def check_includes(tree: Tree, allowed: dict[str, set[str]], rows: list[Fence]) -> list[str]:
    problems = []
    for path, text in tree.sources.items():
        for number, kind, name in includes(text):
            if kind == "?":
                problem = f"cannot be read: {name}"
            elif kind == '"':
                problem = check_own_include(tree, allowed, path, name)
            else:
                problem = check_library_include(rows, path, name)
            if problem:
                problems.append(f"gateway/{path}:{number}: {problem}")
    return problems


def check_table(tree: Tree, allowed: dict[str, set[str]]) -> list[str]:
    problems = []
    for folder, others in allowed.items():
        for other in sorted(others - allowed.keys()):
            problems.append(f"docs/ARCHITECTURE.md: {folder} may include {other}, which has no row")
    for folder in sorted({folder_of(path) for path in tree.sources} - allowed.keys()):
        problems.append(f"docs/ARCHITECTURE.md: gateway/{folder} has no row in the include table")
    # Without a cycle, taking away the rows that need nothing more leaves nothing.
    rest = {folder: set(others) for folder, others in allowed.items()}
    while free := [folder for folder, others in rest.items() if not others & rest.keys()]:
        for folder in free:
            del rest[folder]
    if rest:
        problems.append(f"docs/ARCHITECTURE.md: these include each other in a circle: {' '.join(sorted(rest))}")
    return problems


def check_cmake(tree: Tree, allowed: dict[str, set[str]]) -> list[str]:
    text = re.sub(r"#.*", "", tree.cmake)
    stated = {}
    for arguments in re.findall(r"^sallyport_folder\(([^)]*)\)", text, flags=re.MULTILINE):
        words = arguments.split()
        after = words[words.index("MAY_INCLUDE") + 1 :] if "MAY_INCLUDE" in words else []
        stated[words[0]] = set(after[: after.index("LIBRARIES")] if "LIBRARIES" in after else after)
    problems = []
    for folder in sorted(stated.keys() | allowed.keys() - {"main.cpp"}):
        in_cmake, in_page = stated.get(folder), allowed.get(folder)
        if in_cmake != in_page:
            problems.append(f"gateway/CMakeLists.txt: MAY_INCLUDE of {folder} is {in_cmake}, docs/ARCHITECTURE.md says {in_page}")
    return problems


def check_page_paths(root: pathlib.Path, page: str) -> list[str]:
    """What "Where to look" names must be there: a page that points nowhere is worse than none."""
    problems = []
    for path in re.findall(r"`((?:gateway|tests|config|docs|deploy)/[^`\s]+)`", page):
        if not list(root.glob(path.rstrip("/"))):
            problems.append(f"docs/ARCHITECTURE.md: there is no {path}")
    return problems


def check(tree: Tree) -> list[str]:
    allowed = include_table(tree.page)
    return check_table(tree, allowed) + check_cmake(tree, allowed) + check_includes(tree, allowed, fences(tree.page))


# --- The self-test: each change to a good tree must be found, and its harmless twin must not. ---


def with_line(tree: Tree, path: str, line: str) -> Tree:
    changed = copy.deepcopy(tree)
    changed.sources[path] = changed.sources.get(path, "") + f"\n{line}\n"
    return changed


def with_page(tree: Tree, old: str, new: str) -> Tree:
    assert old in tree.page, old
    return dataclasses.replace(tree, page=tree.page.replace(old, new, 1))


def with_cmake(tree: Tree, old: str, new: str) -> Tree:
    assert old in tree.cmake, old
    return dataclasses.replace(tree, cmake=tree.cmake.replace(old, new, 1))


def good_tree() -> Tree:
    page = """
| folder | may include |
|---|---|
| base | |
| http | base |
| app | base http |
| main.cpp | app |

| library | headers | where |
|---|---|---|
| Beast | `boost/beast/*` `boost/beast/*/*` | `http/*parser.cpp` |
| yaml-cpp | `yaml-cpp/*` | `app/yaml*` |
| OpenSSL | `openssl/evp.h` | `base/secret.cpp` |
| POSIX | `unistd.h` `sys/*` | `*/*` |
"""
    cmake = "sallyport_folder(base LIBRARIES x)\nsallyport_folder(http MAY_INCLUDE base LIBRARIES y)\nsallyport_folder(app MAY_INCLUDE base\n  http)\n"
    sources = {
        "base/text.hpp": "#include <string>\n",
        "base/secret.cpp": "#include <openssl/evp.h>\n#include <unistd.h>\n",
        "http/head.hpp": '#include "base/text.hpp"\n',
        "http/request_parser.cpp": '#include "http/head.hpp"\n#include <boost/beast/http/parser.hpp>\n',
        "app/app.hpp": '#include "http/head.hpp"\n',
        "app/yaml_reader.cpp": "#include <yaml-cpp/yaml.h>\n",
        "main.cpp": '#include "app/app.hpp"\n',
    }
    return Tree(sources, page, cmake)


def self_test() -> int:
    good = good_tree()
    caught = {
        "a folder above": with_line(good, "base/text.hpp", '#include "http/head.hpp"'),
        "a folder beside, indented and spaced": with_line(good, "http/head.hpp", '  #  include  "app/app.hpp"'),
        "a folder of a folder": with_line(good, "main.cpp", '#include "base/text.hpp"'),
        "a header without its folder": with_line(good, "http/head.hpp", '#include "target.hpp"'),
        "a header that is not there": with_line(good, "http/head.hpp", '#include "http/none.hpp"'),
        "a way around by dots": with_line(good, "base/text.hpp", '#include "../http/head.hpp"'),
        "an include by macro": with_line(good, "base/text.hpp", "#include HEADER"),
        "a fenced library elsewhere": with_line(good, "http/head.hpp", "#include <boost/beast/core.hpp>"),
        "a fenced library deeper elsewhere": with_line(good, "app/app.hpp", "#include <boost/beast/http/fields.hpp>"),
        "yaml-cpp beside the loader": with_line(good, "app/app.hpp", "#include <yaml-cpp/node.h>"),
        "a cipher outside its fence": with_line(good, "http/request_parser.cpp", "#include <openssl/evp.h>"),
        "another header of a fenced library": with_line(good, "base/secret.cpp", "#include <openssl/ssl.h>"),
        "a library that nobody knows": with_line(good, "http/head.hpp", "#include <curl/curl.h>"),
        "our header in angle brackets": with_line(good, "base/text.hpp", "#include <http/head.hpp>"),
        "a folder without a row": with_line(good, "extra/extra.hpp", "#include <string>"),
        "a row that CMake does not repeat": with_page(good, "| http | base |", "| http | |"),
        "a link that the page does not know": with_cmake(good, "http MAY_INCLUDE base", "http MAY_INCLUDE base app"),
        "a link that is missing": with_cmake(good, "\n  http)", ")"),
        "a circle": with_cmake(with_page(good, "| base | |", "| base | app |"), "base LIBRARIES", "base MAY_INCLUDE app LIBRARIES"),
        "a row for nothing": with_cmake(with_page(good, "| http | base |", "| http | base nothing |"), "http MAY_INCLUDE base", "http MAY_INCLUDE base nothing"),
    }
    harmless = {
        "the tree itself": good,
        "an include that is allowed": with_line(good, "app/app.hpp", '#include "base/text.hpp"'),
        "a standard header": with_line(good, "http/head.hpp", "#include <string_view>"),
        "a system header": with_line(good, "http/head.hpp", "#include <sys/types.h>"),
        "an include in a comment": with_line(good, "base/text.hpp", '// #include "http/head.hpp"'),
        "a fenced library in its place": with_line(good, "http/response_parser.cpp", "#include <boost/beast/http/error.hpp>"),
        "a comment in CMake": with_cmake(good, "sallyport_folder(base", "# sallyport_folder(ghost MAY_INCLUDE app)\nsallyport_folder(base"),
    }
    failures = [f"not caught: {name}" for name, tree in caught.items() if not check(tree)]
    failures += [f"harmless, but refused: {name}: {problems}" for name, tree in harmless.items() if (problems := check(tree))]
    for failure in failures:
        print(failure)
    print(f"self-test: {len(caught)} violations and {len(harmless)} harmless changes, {len(failures)} wrong")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    tree = read_tree(arguments.root)
    problems = check(tree) + check_page_paths(arguments.root, tree.page)
    for problem in problems:
        print(problem)
    print(f"{len(tree.sources)} files checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
