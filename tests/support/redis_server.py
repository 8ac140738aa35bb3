"""A real redis-server on a port of its own, and a client that speaks just enough of its protocol (RESP2)."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from support.free_ports import free_port

AVAILABLE = shutil.which("redis-server") is not None
# What gateways say without anybody asking for anything: heartbeats, the channel of revocations, and what a new connection begins with.
BACKGROUND = {"ping", "auth", "hello", "select", "info", "config|get", "xread", "xinfo|stream", "xrange", "time", "script|load", "reset",
              "client|id", "client|tracking", "client|setname", "client|setinfo", "client|no-evict", "subscribe", "psubscribe"}


class RedisError(Exception):
    """What Redis answered with `-`."""


class RedisClient:
    """One connection. Replies become bytes, int, list, None or RedisError."""

    def __init__(self, port: int, username: str | None = None, password: str | None = None, timeout: float | None = 10):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._file = self._socket.makefile("rb")
        if password is not None:
            self.command("AUTH", *([username] if username else []), password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def end(self) -> None:
        """Whoever reads gets the end."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, *arguments) -> None:
        parts = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in parts))

    def command(self, *arguments):
        self.send(*arguments)
        reply = self.read()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def read(self):
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            data = self._file.read(size + 2)
            if len(data) != size + 2:
                raise ConnectionError("Redis closed the connection")
            return data[:-2]
        if kind == b"*":
            return [self.read() for _ in range(size)]
        raise ConnectionError(f"no reply of Redis: {line!r}")


class RedisServer:
    """`options` are lines of redis.conf. Nothing is kept on disk unless they say so; `start` after `stop` or `kill` uses the same port and
    the same folder."""

    def __init__(self, *options: str, password: str | None = None):
        self._temporary = tempfile.TemporaryDirectory(prefix="sallyport-redis-")
        self.folder = pathlib.Path(self._temporary.name)
        self.port = free_port()
        self.password = password
        usual = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", 'save ""', "appendonly no", "maxmemory-policy noeviction",
                 f"logfile {self.folder}/redis.log", f"unixsocket {self.folder}/redis.sock", "hz 100"]
        if password:
            usual.append(f"requirepass {password}")
        self._config = self.folder / "redis.conf"
        self._config.write_text("\n".join([*usual, *options]) + "\n")
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.folder / "redis.sock")
        self.process = subprocess.Popen(["redis-server", str(self._config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, RedisError):
                if self.command("PING") == b"PONG":
                    return
            time.sleep(0.02)
        log = self.folder / "redis.log"
        raise AssertionError(f"redis-server did not start:\n{log.read_text() if log.exists() else ''}")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self.process.poll() is None:
            self.resume()
            self.kill()
        self._temporary.cleanup()

    def client(self, timeout: float | None = 10) -> RedisClient:
        return RedisClient(self.port, password=self.password, timeout=timeout)

    def command(self, *arguments):
        """On a connection of its own."""
        with self.client() as client:
            return client.command(*arguments)

    def info(self, section: str) -> dict[str, str]:
        text = self.command("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def commandstats(self) -> dict[str, int]:
        """Command -> how often it was called since the server began."""
        return {name.removeprefix("cmdstat_"): int(value.split("calls=")[1].split(",")[0])
                for name, value in self.info("commandstats").items()}

    def data_commands(self) -> dict[str, int]:
        """The same without what gateways do by themselves: what requests made them ask."""
        return {name: calls for name, calls in self.commandstats().items() if name not in BACKGROUND}

    def reset_commandstats(self) -> None:
        self.command("CONFIG", "RESETSTAT")

    @contextlib.contextmanager
    def no_data_commands(self, at_most: int = 0):
        """Nothing within makes a gateway ask more than that often."""
        before = self.data_commands()
        yield
        after = self.data_commands()
        asked = {name: calls - before.get(name, 0) for name, calls in after.items() if calls != before.get(name, 0)}
        asked = {name: calls for name, calls in asked.items() if name not in ("config|resetstat", "monitor", "dbsize")}
        assert sum(asked.values()) <= at_most, f"the store was asked: {asked}"

    def keys(self, pattern: str = "*") -> list[bytes]:
        return self.command("KEYS", pattern)

    def clients(self) -> list[dict[str, str]]:
        """CLIENT LIST, without the connection that asks."""
        text = self.command("CLIENT", "LIST").decode()
        everybody = [dict(part.split("=", 1) for part in line.split(" ") if "=" in part) for line in text.splitlines()]
        return [each for each in everybody if each.get("cmd") != "client|list"]

    def kill_clients(self, fits=lambda client: True) -> int:
        """CLIENT KILL of every connection that fits; how many."""
        chosen = [each for each in self.clients() if fits(each)]
        with self.client() as client:
            for each in chosen:
                with contextlib.suppress(RedisError):
                    client.command("CLIENT", "KILL", "ID", each["id"])
        return len(chosen)

    @contextlib.contextmanager
    def monitor(self):
        """The lines of MONITOR, growing while within: `1700000000.123456 [0 127.0.0.1:4000] "GET" "key"`."""
        lines: list[str] = []
        client = self.client(timeout=None)
        client.command("MONITOR")

        def read() -> None:
            with contextlib.suppress(ConnectionError, OSError, ValueError):
                while True:
                    lines.append(client.read().decode(errors="replace"))
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            time.sleep(0.05)
            client.end()
            reader.join(5)
            client.close()

    def dump(self) -> dict[bytes, tuple[int, bytes]]:
        """Every key with what is left of its life in milliseconds (0: no end) and its value, for restore()."""
        with self.client() as client:
            return {key: (max(0, client.command("PTTL", key)), client.command("DUMP", key)) for key in client.command("KEYS", "*")}

    def restore(self, dumped: dict[bytes, tuple[int, bytes]], only=lambda key: True) -> None:
        """As a replica that was behind would have it: the old values again."""
        with self.client() as client:
            for key, (left, value) in dumped.items():
                if only(key):
                    client.command("RESTORE", key, left, value, "REPLACE")
