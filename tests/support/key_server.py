"""An issuer's server of keys that does as the test says, and counts who asks."""
import contextlib
import http.server
import json
import ssl
import threading

from support.free_ports import free_port


class KeyServer:
    """Serves `keys` on every path. `mode`: "keys"; "hang" answers nothing until it changes; "huge" sends 100 MB; "garbage"; a number is a status."""

    def __init__(self, *keys, tls: ssl.SSLContext | None = None, cache_control: str | None = None):
        self.keys, self.mode, self.cache_control, self.count = list(keys), "keys", cache_control, 0
        self._tls, self.port = tls, free_port()
        self._changed = threading.Condition()
        self._server: http.server.ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/keys" if self._tls else f"http://127.0.0.1:{self.port}/keys"

    def set_mode(self, mode) -> None:
        with self._changed:
            self.mode = mode
            self._changed.notify_all()

    def start(self) -> None:
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner._answer(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

            def handle_error(self, *_):
                pass  # handshakes that fail, clients that go

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        if self._server is None:
            return
        self.set_mode("keys")
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def _answer(self, handler) -> None:
        with self._changed:
            self.count += 1
            self._changed.wait_for(lambda: self.mode != "hang", timeout=60)
            mode, body = self.mode, json.dumps({"keys": [key.jwk() for key in self.keys]}).encode()
        handler.close_connection = True
        with contextlib.suppress(OSError):
            if mode == "huge":
                handler.send_response(200)
                handler.end_headers()
                for _ in range(1600):
                    handler.wfile.write(b" " * 65536)
                return
            if mode == "garbage":
                body = b"<html>not today</html>"
            handler.send_response(mode if isinstance(mode, int) else 200)
            handler.send_header("Content-Length", str(len(body)))
            if self.cache_control:
                handler.send_header("Cache-Control", self.cache_control)
            handler.end_headers()
            handler.wfile.write(body)
