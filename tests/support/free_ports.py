"""Ports of the loopback that nobody else uses, neither the machine nor a test that runs beside this one."""
import fcntl
import os
import pathlib
import random
import socket
import tempfile

# Below the range that Linux takes outgoing ports from, so that no client's socket can be in the way.
FIRST, LAST = 15_000, 31_999
_locks = []


def free_port() -> int:
    """A port on which nothing listens, kept for this process: the lock lasts until the process ends."""
    folder = pathlib.Path(tempfile.gettempdir()) / f"sallyport-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    while True:
        port = random.randint(FIRST, LAST)
        lock = open(folder / str(port), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
        _locks.append(lock)
        return port
