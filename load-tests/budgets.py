#!/usr/bin/env python3
"""Counts the instructions of each stage of a request's road, and fails when one grew beyond its budget.

    load-tests/budgets.py [--runner build/release/load-tests/micro/micro_budgets]      # 0: all within; 1: the table says what grew
    load-tests/budgets.py --update                                                     # writes what was counted to budgets.yaml

A count, unlike a time, is the same on a busy machine and an idle one. What is budgeted stands above the stage's floor (load-tests/micro):
a new OpenSSL changes what a signature takes, and that is nobody's fault here. Exit status 77: there is no valgrind.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUDGETS = ROOT / "load-tests/budgets.yaml"
SKIPPED = 77
# Where strings lie, which another build moves, changes a stage by up to some forty: libc's memchr and memcmp take other ways for other
# alignments. (Where the stack lies is the same in each run: micro/budgets.cpp.)
NOISE = 64
HEAD = """# Instructions that each stage of a request's road may take above its floor (load-tests/micro), in the release preset with GCC 12.
# `load-tests/budgets.py` counts and compares; what takes more than the tolerance fails. A change that is worth its cost, and one that
# makes a stage cheaper, writes this file anew with `--update`, in the same commit.
"""


def read_budgets() -> tuple[float, dict[str, int]]:
    """The tolerance as a share, and the stages' budgets."""
    text = BUDGETS.read_text()
    tolerance = re.search(r"^tolerance_percent: ([\d.]+)$", text, re.M)
    if tolerance is None:
        sys.exit(f"{BUDGETS}: no tolerance_percent")
    return float(tolerance.group(1)) / 100, {name: int(count) for name, count in re.findall(r"^  ([^#:\n]+): (-?\d+)$", text, re.M)}


def count(runner: pathlib.Path, folder: pathlib.Path) -> dict[str, tuple[float, pathlib.Path, int]]:
    """Part (`STAGE/stage`, `STAGE/floor`) -> instructions each time, callgrind's file of it, and how often it ran."""
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--compress-strings=no", f"--callgrind-out-file={folder}/out", str(runner)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    counted = {}
    for path in folder.glob("out.*"):
        text = path.read_text()
        part = re.search(r"^desc: Trigger: Client Request: (\d+) (.+)$", text, re.M)
        if part:
            times = int(part.group(1))
            counted[part.group(2)] = int(re.search(r"^totals: (\d+)$", text, re.M).group(1)) / times, path, times
    return counted


def busiest_functions(path: pathlib.Path, times: int, most: int = 6) -> list[str]:
    """By their own instructions each time, from callgrind's file (its manual, "Callgrind Format Specification")."""
    own, function, is_call = collections.Counter(), "", False
    for line in path.read_text().splitlines():
        if line.startswith("fn="):
            function = line.removeprefix("fn=")
        elif line.startswith("calls="):
            is_call = True  # the next line is what the callee took
        elif re.match(r"[\d+*-]\S* \d+$", line):
            if not is_call:
                own[function] += int(line.split()[1])
            is_call = False
    return [f"      {count / times:9.0f}  {re.sub(r'<.*>', '<...>', name)[:110]}" for name, count in own.most_common(most)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", type=pathlib.Path, default=ROOT / "build/release/load-tests/micro/micro_budgets")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed (deploy/install-dependencies.sh test)")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="sallyport-budgets-") as name:
        counted = count(options.runner.resolve(), pathlib.Path(name))
        stages = [part.removesuffix("/stage") for part in counted if part.endswith("/stage")]
        above = {stage: round(counted[f"{stage}/stage"][0] - counted[f"{stage}/floor"][0]) for stage in stages}
        tolerance, budgets = read_budgets() if BUDGETS.exists() else (0.03, {})
        if options.update:
            lines = [f"  {stage}: {above[stage]}\n" for stage in sorted(above)]
            BUDGETS.write_text(f"{HEAD}tolerance_percent: {tolerance * 100:g}\nstages:\n{''.join(lines)}")
            print(f"{BUDGETS.relative_to(ROOT)}: {len(lines)} stages")
            return 0
        failed = False
        print(f"{'instructions above the floor':30} {'floor':>9} {'budget':>9} {'now':>9} {'growth':>8}")
        for stage in sorted(set(above) | set(budgets)):
            if stage not in above or stage not in budgets:
                print(f"{stage:30} {'no budget: --update' if stage in above else 'not counted any more: --update'}")
                failed = True
                continue
            growth = above[stage] - budgets[stage]
            share = tolerance * abs(budgets[stage])  # a stage may take less than its floor, which is what OpenSSL takes as most call it
            grew = growth > max(share, NOISE)
            print(f"{stage:30} {counted[f'{stage}/floor'][0]:9.0f} {budgets[stage]:9} {above[stage]:9} {growth:+8}"
                  + ("  more than allowed; where it is spent:" if grew else
                     "  near the limit" if growth > max(share, NOISE) / 2 else
                     "  cheaper: --update keeps it so" if growth < -max(share, NOISE) / 2 else ""))
            if grew:
                failed = True
                print("\n".join(busiest_functions(*counted[f"{stage}/stage"][1:])))
        print("a stage costs more than its budget" if failed else f"every stage is within {tolerance:.0%} or {NOISE} instructions of its budget")
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
