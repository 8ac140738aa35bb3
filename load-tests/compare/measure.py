"""One visit of one target: what it cost, and that every answer was the one expected."""
import json
import re
import statistics
import subprocess
import sys
import time

from compare.processes import Process, run, wakeful_cores
from compare.world import ROOT, World

CONNECTIONS = 64


class Target:
    """What is measured in `unit`, and what it is compared with: the sum of `against` of the same round. `samples` has one dictionary for each
    round, with `value`."""
    unit = "us per request"
    compared_by = "ratio"  # or difference
    is_measured_once = False

    def __init__(self, name: str, against: tuple["Target", ...] = ()):
        self.name, self.against = name, against
        self.samples: list[dict] = []

    def visit(self, world: World, seconds: int) -> dict:
        raise NotImplementedError

    def warm_up(self, world: World) -> None:
        self.visit(world, 1)

    def fail(self, why) -> None:
        sys.exit(f"{self.name}: {why}")

    def median(self) -> float:
        return statistics.median(sample["value"] for sample in self.samples)

    def compared(self) -> float | None:
        """The median of the rounds' comparisons."""
        if not self.against:
            return None
        rounds = [sum(values) for values in zip(*[[sample["value"] for sample in each.samples] for each in self.against])]
        own = [sample["value"] for sample in self.samples]
        return statistics.median(a / b if self.compared_by == "ratio" else a - b for a, b in zip(own, rounds))


class Requests(Target):
    """CPU of `processes` for each request that wrk makes over 64 kept connections as fast as it can. `load`: settings of wrk/requests.lua.
    `settles`: a second goes before each visit that does not count, for what falls due by the clock and not by requests."""

    def __init__(self, name, against, processes: list[Process], url: str, expect: int = 200, redis=None, unit: str | None = None,
                 settles: bool = False, **load):
        super().__init__(name, against)
        self.unit = unit or self.unit
        self._processes, self._url, self._expect, self._redis, self._load = processes, url, expect, redis, load
        self._settles = settles

    def warm_up(self, world: World) -> None:
        self._ask(world, 1)

    def visit(self, world: World, seconds: int) -> dict:
        if self._settles:
            self._ask(world, 1)
        before, asked = sum(each.cpu_nanoseconds() for each in self._processes), self._store_commands()
        result = self._ask(world, seconds)
        after = sum(each.cpu_nanoseconds() for each in self._processes)
        if not result["requests"]:
            self.fail("no answer at all")
        result["value"] = (after - before) / 1000 / result["requests"]
        result["per_second"] = result["requests"] / (result["microseconds"] / 1e6)
        if asked is not None:
            result["store_commands_per_request"] = (self._store_commands() - asked) / result["requests"]
        return result

    def _ask(self, world: World, seconds: int) -> dict:
        output = run("taskset", "-c", world.load_core, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s",
                     ROOT / "load-tests/wrk/requests.lua", self._url, "--", *[f"{name}={value}" for name, value in self._load.items()])
        result = json.loads(re.search(r"^\{.*\}$", output, re.M).group(0))
        failed = sum(result[f"errors_{kind}"] for kind in ("connect", "read", "write", "timeout"))
        wrong = result["errors_status"] if self._expect < 400 else result["requests"] - result["errors_status"]
        if failed or wrong:
            self.fail(f"not every answer was {self._expect}: {result}")
        return result

    def _store_commands(self) -> int | None:
        return None if self._redis is None else sum(self._redis.data_commands().values())


class NewTokens(Target):
    """CPU for each request with a token that the gateway has not seen: it is started anew for each visit, and no token comes twice in one."""

    def __init__(self, name, against, start, path: str, credentials: str, count: int):
        super().__init__(name, against)
        self._start, self._path, self._credentials, self._count = start, path, credentials, count

    def warm_up(self, world: World) -> None:
        pass

    def visit(self, world: World, seconds: int) -> dict:
        process, ports = self._start()
        asking = Requests(self.name, (), [process], f"https://127.0.0.1:{ports['tls']}{self._path}", credentials=self._credentials)
        result = asking.visit(world, seconds)
        process.stop()
        if result["requests"] > self._count:
            self.fail(f"some of {self._count} tokens came twice: {result}")
        return result


class Handshakes(Target):
    """CPU for each connection that is opened and closed over TLS 1.3, with a ticket or without; no request is made."""
    unit = "us per handshake"

    def __init__(self, name, against, process: Process, port: int, resume: bool):
        super().__init__(name, against)
        self._process, self._port, self._resume = process, port, resume

    def visit(self, world: World, seconds: int) -> dict:
        before = self._process.cpu_nanoseconds()
        result = json.loads(run("taskset", "-c", world.load_core, world.tools / "client/load_client", "handshakes", "--port", self._port,
                                "--seconds", seconds, *(["--resume"] if self._resume else [])))
        after = self._process.cpu_nanoseconds()
        # The first ones have no ticket yet.
        if self._resume and not result["handshakes"] - 32 <= result["resumed"] > 32:
            self.fail(f"tickets were not taken: {result}")
        if not self._resume and result["resumed"]:
            self.fail(f"resumed without a ticket: {result}")
        result["per_second"] = result["handshakes"] / (result["microseconds"] / 1e6)
        return result | {"value": (after - before) / 1000 / result["handshakes"]}


class BareVerification(Target):
    """CPU of OpenSSL's verification of one signature, in a process that does nothing else (load-tests/micro)."""
    unit = "us per verification"

    def __init__(self, algorithm: str):
        super().__init__(f"OpenSSL verifies {algorithm}")
        self._algorithm = algorithm

    def visit(self, world: World, seconds: int) -> dict:
        output = run("taskset", "-c", world.proxy_core, world.tools / "micro/micro_benchmarks", "--benchmark_format=json",
                     f"--benchmark_filter=^verify {self._algorithm}/floor$", f"--benchmark_min_time={min(seconds, 2)}")
        measured = json.loads(output)["benchmarks"][0]
        return {"value": measured["cpu_time"] / 1000, "per_second": 1e9 / measured["cpu_time"]}


class FixedRate(Target):
    """The 99th percentile of latency at a fixed rate, counted from when a request was due (load_client says why). At that rate every hop finds a
    core that sleeps: what is measured is the programs, not how long a machine takes to wake up."""
    unit = "ms, 99th percentile at a fixed rate"
    compared_by = "difference"

    def __init__(self, name, against, port: int, tls: bool, path: str, rate: int, seconds: int, credentials: str | None = None):
        super().__init__(name, against)
        self._arguments = ["--port", port, "--tls" if tls else "--clear", "--path", path, "--rate", rate, "--connections", CONNECTIONS,
                           *(["--credentials", credentials] if credentials else [])]
        self._rate, self._seconds = rate, seconds

    def visit(self, world: World, seconds: int) -> dict:
        command = ["taskset", "-c", world.load_core, world.tools / "client/load_client", "rate", *self._arguments, "--seconds", seconds]
        with wakeful_cores() as wakeful:
            done = subprocess.run([str(each) for each in command], capture_output=True, text=True)
        if not done.stdout.startswith("{"):
            self.fail(done.stderr)
        result = json.loads(done.stdout)
        return result | {"value": result["p99_ms"], "per_second": self._rate, "wakeful": wakeful}

    def measured(self, world: World) -> dict:
        return self.visit(world, self._seconds)


class CpuAtRate(FixedRate):
    """CPU of `process` for each request at a fixed rate: what a request costs a proxy that is not in demand all the time, and is woken for
    few requests at once."""
    unit = Target.unit
    compared_by = Target.compared_by

    def __init__(self, name, against, process: Process, *where, **load):
        super().__init__(name, against, *where, **load)
        self._process = process

    def visit(self, world: World, seconds: int) -> dict:
        before = self._process.cpu_nanoseconds()
        result = super().visit(world, seconds)
        return result | {"value": (self._process.cpu_nanoseconds() - before) / 1000 / result["answered"]}


class IdleConnections(Target):
    """What a proxy that was just started holds more for each of so many connections that made one request and then nothing."""
    unit = "KiB per idle connection"
    is_measured_once = True

    def __init__(self, name, against, start, connections: int, path: str, credentials: str | None = None):
        super().__init__(name, against)
        self._start, self._connections, self._path, self._credentials = start, connections, path, credentials

    def warm_up(self, world: World) -> None:
        pass

    def visit(self, world: World, seconds: int) -> dict:
        process, ports = self._start()
        arguments = ["--port", ports["tls"], "--path", self._path, *(["--credentials", self._credentials] if self._credentials else [])]
        client = [world.tools / "client/load_client", "idle", *arguments, "--connections"]
        # A few first, so that what is there once for everybody is there.
        run("taskset", "-c", world.load_core, *client, 64, input="")
        time.sleep(1)
        before = process.resident_kib()
        holding = subprocess.Popen([str(each) for each in ["taskset", "-c", world.load_core, *client, self._connections]], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        result = json.loads(holding.stdout.readline() or '{"failed": "all"}')
        time.sleep(3)  # what is given back when nothing happens has been given back
        after = process.resident_kib()
        holding.communicate()
        process.stop()
        if result["failed"]:
            self.fail(result)
        return result | {"value": (after - before) / self._connections, "resident_kib": after}


class Remembered(Target):
    """What the gateway holds more for each session that it has been shown."""
    unit = "KiB per remembered session"
    is_measured_once = True

    def __init__(self, name, start, count: int, credentials: str, path: str):
        super().__init__(name)
        self._start, self._count, self._credentials, self._path = start, count, credentials, path

    def warm_up(self, world: World) -> None:
        pass

    def visit(self, world: World, seconds: int) -> dict:
        process, ports = self._start()
        one = ["taskset", "-c", world.load_core, world.tools / "client/load_client", "rate", "--clear", "--port", ports["clear"],
               "--path", self._path, "--warm-up", 0, "--rate", 4000, "--credentials", self._credentials, "--seconds"]
        run(*one, 1)
        before = process.resident_kib()
        run(*one, -(-self._count // 4000))
        after = process.resident_kib()
        process.stop()
        return {"value": (after - before) / (self._count - 4000), "resident_kib": after, "sessions": self._count}
