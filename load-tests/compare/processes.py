"""Processes that we started: pinned, waited for, measured and ended by their pid. And the cores they run on."""
import contextlib
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time


def run(*command, **options) -> str:
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def allow_many_files() -> None:
    """As many descriptors as may be had: 10,000 connections take twice as many in a proxy."""
    for limit in (65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (ValueError, OSError):
            pass


@contextlib.contextmanager
def wakeful_cores():
    """Cores that have nothing to do wait without sleep, where the kernel lets us ask for it (root; docs.kernel.org: PM QoS interface). Yields
    whether it does. In a virtual machine it is the host that wakes a core which sleeps, and it takes as long as it likes."""
    try:
        request = os.open("/dev/cpu_dma_latency", os.O_WRONLY)
    except OSError:
        yield False
        return
    try:
        os.write(request, (0).to_bytes(4, sys.byteorder))  # holds for as long as it is open
        yield True
    finally:
        os.close(request)


class Process:
    """`cores` as taskset has them. What it writes goes to NAME.log."""

    def __init__(self, name: str, command, cores, port: int | None, environment: dict | None = None):
        self.name = name
        self._log = open(f"{name}.log", "w")
        self.child = subprocess.Popen(["taskset", "-c", str(cores), *map(str, command)], stdout=self._log, stderr=self._log,
                                      stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
        deadline = time.monotonic() + 30
        while port is not None:
            if self.child.poll() is not None:
                sys.exit(f"{name} ended at once:\n{pathlib.Path(self._log.name).read_text()}")
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    sys.exit(f"{name} does not listen on port {port}:\n{pathlib.Path(self._log.name).read_text()}")
                time.sleep(0.05)

    def pids(self) -> list[int]:
        found, todo = [], [self.child.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += [int(each) for each in children.read_text().split()]
        return found

    def cpu_nanoseconds(self) -> int:
        """Of all its threads and children, user and kernel together."""
        stats = [stat for pid in self.pids() for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")]
        return sum(int(stat.read_text().split()[0]) for stat in stats)

    def resident_kib(self) -> int:
        """What it alone holds: pages that it shares with its children count once, in parts."""
        lines = [line for pid in self.pids() for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self._log.close()
