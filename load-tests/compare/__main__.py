"""load-tests/compare.sh: the options, and the run itself."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from compare import report  # noqa: E402  (it finds tests/support)
from compare.measure import FixedRate, Handshakes, Target  # noqa: E402
from compare.processes import allow_many_files  # noqa: E402
from compare.targets import GROUPS, USUAL, Catalogue, describe  # noqa: E402
from compare.world import World  # noqa: E402


def parse() -> argparse.Namespace:
    groups = "\n".join(f"  {group:11} {describe(group)}" for group in GROUPS)
    parser = argparse.ArgumentParser(prog="load-tests/compare.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog=f"groups:\n{groups}\n  all         every one of them\n")
    parser.add_argument("--group", default=",".join(USUAL), help="names, with commas between; default: %(default)s")
    parser.add_argument("--only", default=".", help="a regular expression over the targets' names; what they are compared with always runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each visit")
    parser.add_argument("--rate", type=int, default=10_000, help="of the group latency: requests per second")
    parser.add_argument("--rate-seconds", type=int, default=10, help="of each visit of the group latency")
    parser.add_argument("--sessions", type=int, default=1_000_000, help="in Redis, of which cold ones are drawn")
    parser.add_argument("--idle-connections", type=int, default=10_000)
    parser.add_argument("--binary", default=str(ROOT / "build/release/sallyport"))
    parser.add_argument("--results", default=str(ROOT / "load-tests/results"), help="the folder for tables, samples and plots")
    parser.add_argument("--name", help="of the files there; default: the groups")
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    options = parser.parse_args()
    options.groups = list(GROUPS) if options.group == "all" else options.group.split(",")
    unknown = [group for group in options.groups if group not in GROUPS]
    if unknown:
        parser.error(f"no such group: {', '.join(unknown)}")
    options.name = options.name or ("all" if options.group == "all" else "-".join(options.groups))
    return options


def choose(catalogue: Catalogue, options: argparse.Namespace) -> dict[str, list[Target]]:
    """By group: those that are asked for and what they are compared with, in order."""
    groups = {group: list(getattr(catalogue, group)()) for group in options.groups}
    wanted = {target for group in groups.values() for target in group if re.search(options.only, target.name)}
    todo = list(wanted)
    while todo:
        more = [each for each in todo.pop().against if each not in wanted]
        wanted.update(more)
        todo += more
    chosen = {group: [target for target in members if target in wanted] for group, members in groups.items()}
    for members in chosen.values():  # what they are compared with stands in no group of the run
        missing = [each for target in members for each in target.against if each not in members]
        members[:0] = dict.fromkeys(missing)
    return {group: members for group, members in chosen.items() if members}


def measure(targets: list[Target], world: World, options: argparse.Namespace) -> None:
    for target in targets:  # connections, caches and branch predictors of everybody are warm before it counts
        target.warm_up(world)
    # Thousands of closed connections linger for a minute, and their timers are charged to whoever runs: handshakes come last.
    closing = [target for target in targets if isinstance(target, Handshakes)]
    for part in ([target for target in targets if target not in closing], closing):
        for number in range(options.rounds):
            for target in part:
                visit(target, number, world, options)


def visit(target: Target, number: int, world: World, options: argparse.Namespace) -> None:
    if target.is_measured_once and target.samples:
        return
    sample = target.measured(world) if isinstance(target, FixedRate) else target.visit(world, options.seconds)
    target.samples.append(sample)
    rate = f"{sample['per_second']:9.0f}/s" if "per_second" in sample else ""
    print(f"round {number + 1}  {target.name:46} {sample['value']:9.2f} {target.unit}  {rate}", flush=True)


def main() -> None:
    options = parse()
    binary = str(pathlib.Path(options.binary).resolve())
    results = pathlib.Path(options.results).resolve()
    tools = ROOT / "build/release/load-tests"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    allow_many_files()
    folder = tempfile.mkdtemp(prefix="sallyport-compare-")
    os.chmod(folder, 0o755)
    os.chdir(folder)
    world = World(binary, tools)
    try:
        groups = choose(Catalogue(world, options), options)
        targets = list(dict.fromkeys(target for members in groups.values() for target in members))
        measure(targets, world, options)
        print(report.table(targets))
        report.write(results, options.name, groups, world, options)
        print(f"every answer was the one expected; samples and plots: {os.path.relpath(results, ROOT)}/{options.name}.*")
    finally:
        world.stop()
        os.chdir("/")
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
