"""What a run prints and leaves in load-tests/results: tables, every sample, a plot for each unit, and on which machine."""
import json
import os
import pathlib
import shutil
import subprocess

from compare.measure import CONNECTIONS, Target
from compare.processes import run
from compare.world import World, program


def machine(world: World) -> dict[str, str]:
    def first_line(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout or done.stderr).splitlines()[0].strip()
    processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    return {"processor": f"{processor}, {os.cpu_count()} cores", "kernel": os.uname().release, "sallyport": first_line(world.binary, "--version"),
            "haproxy": first_line(program("haproxy"), "-v"), "nginx": first_line(program("nginx"), "-v"),
            "apache": first_line(program("apache2"), "-v"), "redis": first_line(program("redis-server"), "--version"),
            "openssl": first_line("openssl", "version")}


def _remark(target: Target) -> str:
    last = target.samples[-1]
    remarks = []
    if "store_commands_per_request" in last:
        remarks.append(f"{last['store_commands_per_request']:.2f} store commands each")
    if "p50_ms" in last:
        failed = sum(sample["requests"] - sample["answered"] for sample in target.samples)
        remarks.append(f"{failed} failed of {sum(sample['requests'] for sample in target.samples)}, median {last['p50_ms']:.3f} ms"
                       + ("" if last["wakeful"] else ", cores sleep in between"))
    if "resident_kib" in last:
        remarks.append(f"{last['resident_kib'] / 1024:.0f} MiB in all")
    return ", ".join(remarks)


def table(targets: list[Target]) -> str:
    lines = []
    for unit in dict.fromkeys(target.unit for target in targets):
        lines.append(f"\n{unit + ', median of rounds':46} {'':>9} {'compared':>9} {'lowest':>9} {'highest':>9}  with what")
        for target in (each for each in targets if each.unit == unit):
            values = [sample["value"] for sample in target.samples]
            compared = target.compared()
            shown = "" if compared is None else f"{compared:+9.2f}" if target.compared_by == "difference" else f"{compared:8.2f}x"
            with_what = " + ".join(each.name for each in target.against)
            lines.append(f"{target.name:46} {target.median():9.2f} {shown:>9} {min(values):9.2f} {max(values):9.2f}  "
                         + "; ".join(part for part in (with_what, _remark(target)) if part))
    return "\n".join(lines) + "\n"


def write(folder: pathlib.Path, name: str, groups: dict[str, list[Target]], world: World, options) -> None:
    """`name`.txt and .json, and a plot for each group and unit."""
    targets = list(dict.fromkeys(target for group in groups.values() for target in group))
    folder.mkdir(parents=True, exist_ok=True)
    where = machine(world)
    rows = [{"name": each.name, "unit": each.unit, "median": each.median(), "against": [other.name for other in each.against],
             "compared": each.compared(), "compared_by": each.compared_by, "samples": each.samples} for each in targets]
    (folder / f"{name}.json").write_text(json.dumps({"machine": where, "connections": CONNECTIONS, "rounds": options.rounds,
                                                     "seconds": options.seconds, "targets": rows}, indent=1) + "\n")
    (folder / f"{name}.txt").write_text("".join(f"{key}: {value}\n" for key, value in where.items()) + table(targets))
    for group, members in groups.items():
        for number, unit in enumerate(dict.fromkeys(target.unit for target in members)):
            path = folder / f"{name}.{group}{'' if number == 0 else f'-{number + 1}'}.svg"
            _plot(path, f"{group}: {unit}", [each for each in members if each.unit == unit], where)


def _plot(path: pathlib.Path, title: str, targets: list[Target], where: dict[str, str]) -> None:
    """Bars with the lowest and the highest round; ours in another colour."""
    if shutil.which("gnuplot") is None:
        return
    rows = []
    for at, target in enumerate(reversed(targets)):
        values = [sample["value"] for sample in target.samples]
        rows.append(f'{at} {target.median():.4f} {min(values):.4f} {max(values):.4f} {int(target.name.startswith("sallyport"))} "{target.name}"')
    footer = f"{where['processor']}, Linux {where['kernel']}; {where['sallyport']}, {where['haproxy'].split(' - ')[0]}, {where['nginx']}"
    script = f"""set terminal svg size 1000,{120 + 26 * len(rows)} font "sans,12" background "white"
set output "{path}"
set title "{title}" noenhanced
set label "{footer}" at screen 0.01,0.02 font "sans,8" noenhanced
set bmargin 4
set lmargin 46
set yrange [-0.7:{len(rows) - 0.3}]
set xrange [0:*]
set grid x
unset key
set ytics noenhanced scale 0
colour(ours) = ours > 0 ? 0x2266aa : 0xaaaaaa
plot "-" using (0):1:(0):2:($1-0.35):($1+0.35):(colour($5)):ytic(6) with boxxyerror fillstyle solid 0.9 noborder linecolor rgb variable, \\
     "-" using 2:1:3:4 with xerrorbars linecolor rgb "black" pointtype 0
"""
    data = "\n".join(rows)
    run("gnuplot", input=f"{script}{data}\ne\n{data}\ne\n")
