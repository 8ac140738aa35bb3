"""HAProxy, nginx and Apache, those that are installed: each a process on a port of its own that sends every request on to one upstream.

As their manuals have it, with two exceptions: heads may be as large as the gateway takes them, and nobody waits longer than 2 s.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from support.free_ports import free_port

SEARCHED = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where Debian has them, and not everybody's PATH leads
APACHE_MODULES = pathlib.Path("/usr/lib/apache2/modules")
IS_ROOT = os.geteuid() == 0  # then their workers become somebody else, who must be named


def haproxy_configuration(_folder: pathlib.Path, port: int, upstream: int) -> str:
    return f"""global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client 2s
  timeout server 2s
frontend everything
  bind 127.0.0.1:{port}
  default_backend upstream
backend upstream
  server upstream 127.0.0.1:{upstream}
"""


def nginx_configuration(folder: pathlib.Path, port: int, upstream: int) -> str:
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    # proxy_ignore_client_abort: a client that has said everything and ended its side still waits for its answer.
    return f"""daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error; {"user root;" if IS_ROOT else ""}
events {{ worker_connections 256; }}
http {{
  access_log off; {temporary}
  large_client_header_buffers 4 16k; client_header_timeout 2s; client_body_timeout 2s; client_max_body_size 10m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_read_timeout 2s; proxy_ignore_client_abort on;
      proxy_set_header Connection ""; proxy_set_header Host $http_host;
    }}
  }}
}}
"""


def apache_configuration(folder: pathlib.Path, port: int, upstream: int) -> str:
    modules = "\n".join(f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so"
                        for name in ("mpm_event", "authz_core", "proxy", "proxy_http"))
    # nocanon: the target as it came. retry=0: a request that failed says nothing about the next one.
    return f"""{modules}
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/pid
ErrorLog /dev/stderr
ServerName localhost
Listen 127.0.0.1:{port}
StartServers 1
LimitRequestFieldSize 16380
Timeout 2
ProxyPreserveHost On
ProxyPass / http://127.0.0.1:{upstream}/ nocanon retry=0
{"User www-data" if IS_ROOT else ""}
{"Group www-data" if IS_ROOT else ""}
"""


# Name -> its program, what makes its configuration, and its arguments before that file's name.
KINDS = {
    "haproxy": ("haproxy", haproxy_configuration, ["-db", "-f"]),
    "nginx": ("nginx", nginx_configuration, ["-e", "stderr", "-c"]),
    "apache": ("apache2", apache_configuration, ["-DFOREGROUND", "-f"]),
}


def installed() -> list[str]:
    return [name for name, (program, _, _) in KINDS.items() if shutil.which(program, path=SEARCHED)]


class Proxy:
    """`name` is one of installed(), `upstream` a port of the loopback."""

    def __init__(self, name: str, upstream: int):
        program, make_configuration, arguments = KINDS[name]
        self._temporary = tempfile.TemporaryDirectory(prefix=f"sallyport-{name}-")
        folder = pathlib.Path(self._temporary.name)
        self.name, self.address = name, ("127.0.0.1", free_port())
        configuration = folder / "configuration"
        configuration.write_text(make_configuration(folder, self.address[1], upstream))
        with open(folder / "output.log", "w+b") as log:
            self._process = subprocess.Popen([shutil.which(program, path=SEARCHED), *arguments, str(configuration)], cwd=folder,
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(self.address, 1).close()
                return
            except OSError:
                time.sleep(0.02)
        output = (folder / "output.log").read_text(errors="replace")
        self.close()
        raise AssertionError(f"{name} did not start:\n{output}")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._temporary.cleanup()
