"""Who runs where. Everybody is started when first looked at, so that a group costs only what it compares; everybody ends with the run."""
import functools
import os
import pathlib
import shutil
import sys

from compare import gateway, peers
from compare.material import Material, Sessions
from compare.processes import Process
from support.free_ports import free_port
from support.redis_server import RedisServer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        sys.exit(f"{name} is not installed: deploy/install-dependencies.sh load test")
    return found


class World:
    """The proxies have the first core, load and origin the second."""

    def __init__(self, binary: str, tools: pathlib.Path):
        self.binary, self.tools = binary, tools
        self.proxy_core, self.load_core = 0, 1 if os.cpu_count() > 1 else 0
        self.material = Material(binary)
        self.processes: list[Process] = []

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        if "redis" in self.__dict__:
            self.redis.close()

    def _start(self, name: str, command: list, port: int, cores=None, **options) -> Process:
        self.processes.append(Process(name, command, self.proxy_core if cores is None else cores, port, **options))
        return self.processes[-1]

    def _start_nginx(self, name: str, configuration: str, port: int, cores=None) -> Process:
        pathlib.Path(f"{name}.conf").write_text(configuration)
        return self._start(name, [program("nginx"), "-p", os.getcwd(), "-c", f"{name}.conf"], port, cores)

    @functools.cached_property
    def redis(self) -> RedisServer:
        server = RedisServer()
        os.sched_setaffinity(server.process.pid, {self.load_core})
        return server

    @functools.cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.redis.port)

    @functools.cached_property
    def origin(self) -> int:
        port = free_port()
        self._start_nginx("origin", peers.origin(port), port, self.load_core)
        return port

    # ---- peers: the process, and where it listens --------------------------------------------------------------------------------

    def new_haproxy(self, name: str = "haproxy") -> tuple[Process, dict[str, int]]:
        ports = {kind: free_port() for kind in ("clear", "tls", "log", "HS256", "RS256", "ES256")}
        pathlib.Path(f"{name}.cfg").write_text(peers.haproxy(ports, self.origin))
        return self._start(name, [program("haproxy"), "-db", "-f", f"{name}.cfg"], ports["tls"]), ports

    def new_nginx(self, name: str = "nginx") -> tuple[Process, dict[str, int]]:
        port = free_port()
        return self._start_nginx(name, peers.nginx(port, self.origin), port), {"tls": port}

    haproxy = functools.cached_property(new_haproxy)
    nginx = functools.cached_property(new_nginx)

    @functools.cached_property
    def nginx_lua(self) -> tuple[Process, dict[str, int]]:
        ports = {name: free_port() for name in ("tls", "identity", "service")}
        configuration = peers.nginx_lua(ports["tls"], ports["identity"], ports["service"], self.origin, self.redis.port)
        return self._start_nginx("nginx-lua", configuration, ports["tls"]), ports

    @functools.cached_property
    def nginx_auth(self) -> tuple[Process, dict[str, int]]:
        port = free_port()
        return self._start_nginx("nginx-auth", peers.nginx_auth_request(port, self.origin, self.nginx_lua[1]["service"]), port), {"tls": port}

    @functools.cached_property
    def apache(self) -> tuple[Process, dict[str, int]]:
        port = free_port()
        pathlib.Path("apache.conf").write_text(peers.apache(port, self.origin, "RS256"))
        return self._start("apache", [program("apache2"), "-DFOREGROUND", "-f", f"{os.getcwd()}/apache.conf"], port), {"tls": port}

    # ---- ours --------------------------------------------------------------------------------------------------------------------

    def new_gateway(self, name: str, cores=None, redis: bool = False, **options) -> tuple[Process, dict[str, int]]:
        if redis:
            options["redis"] = self.sessions and self.redis.port
        ports = {kind: free_port() for kind in ("tls", "clear", "admin")}
        arguments = gateway.write(name, ports, self.origin, **options)
        return self._start(name, [self.binary, *arguments], ports["tls"], cores), ports

    @functools.cache
    def gateway(self, name: str, **options) -> tuple[Process, dict[str, int]]:
        """The one of that name; the options count when it is first asked for."""
        return self.new_gateway(f"sallyport-{name}", **options)
