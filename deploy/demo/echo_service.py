#!/usr/bin/env python3
"""The demo's upstream: answers every request with what it saw of it, as JSON.

    deploy/demo/echo_service.py [--port 9001]

Speaks HTTP/1.1 with keep-alive. `headers` lists the fields in the order in which they came, spelled as they came.
`/healthz` answers 200 and `/-/count` how many requests came; neither is counted itself.
"""
import argparse
import hashlib
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

served = 0
served_lock = threading.Lock()


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "echo"
    sys_version = ""

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        return body

    def answer(self, status: int, content) -> None:
        payload = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def echo(self) -> None:
        global served
        body = self.read_body()
        if self.path == "/healthz":
            return self.answer(200, {"status": "ok"})
        if self.path == "/-/count":
            return self.answer(200, {"count": served})
        with served_lock:
            served += 1
            number = served
        self.answer(200, {
            "number": number,
            "method": self.command,
            "target": self.path,
            "headers": [f"{name}: {value}" for name, value in self.headers.items()],
            "body": {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()},
        })

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = echo

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9001)
    port = parser.parse_args().port
    try:
        server = Server(("127.0.0.1", port), Echo)
    except OSError as error:
        sys.exit(f"echo_service: 127.0.0.1:{port}: {error.strerror}")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
