"""A client that sends exactly the bytes it is given, and reads answers strictly."""
import dataclasses
import os
import socket
import ssl
import time


class Malformed(Exception):
    """The gateway's answer is no HTTP/1.1."""


@dataclasses.dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    raw_head: bytes

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def closes(self) -> bool:
        return "close" in (self.header("Connection") or "").lower()


class Closed(Exception):
    """The connection ended before an answer was whole; `received` is what came."""

    def __init__(self, received: bytes):
        super().__init__(f"closed after {len(received)} bytes: {received[:200]!r}")
        self.received = received


class Connection:
    def __init__(self, address, tls: ssl.SSLContext | None = None, server_name: str | None = "localhost", timeout: float = 20,
                 receive_buffer: int | None = None):
        self.socket = socket.socket(socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            try:
                self.socket = tls.wrap_socket(self.socket, server_hostname=server_name)
            except BaseException:
                self.socket.close()
                raise
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def try_send(self, data: bytes | str) -> bool:
        """False when the gateway has closed already: it need not read what it has refused."""
        try:
            self.send(data)
            return True
        except OSError:
            return False

    def send_split(self, data: bytes, pieces: int = 1) -> None:
        """In pieces of that many bytes, each its own segment (TCP_NODELAY) and its own TLS record."""
        for at in range(0, len(data), pieces):
            if not self.try_send(data[at:at + pieces]):
                return

    def half_close(self) -> None:
        """No more from us. Over TLS this is the plain end of the TCP stream: Python cannot send a close_notify and read on."""
        with socket.socket(fileno=os.dup(self.socket.fileno())) as below:
            try:
                below.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def receive(self, size: int = 65536) -> bytes:
        """b"" at the end. A reset counts as the end, because bytes that were never read make the kernel send one; so does a TLS alert."""
        try:
            return self.socket.recv(size)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            return b""

    def read_until_end(self, timeout: float | None = None) -> bytes:
        if timeout is not None:
            self.socket.settimeout(timeout)
        received, self._buffer = self._buffer, b""
        while piece := self.receive():
            received += piece
        return received

    def is_closed_within(self, seconds: float) -> bool:
        """Whether the gateway ends the connection in time; whatever it still sends is thrown away."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.receive():
                    return True
            except TimeoutError:
                return False
        return False

    # ---- answers -----------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        piece = self.receive()
        if not piece:
            raise Closed(self._buffer)
        self._buffer += piece

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _take(self, size: int) -> bytes:
        pieces, have = [self._buffer], len(self._buffer)
        while have < size:
            piece = self.receive()
            if not piece:
                self._buffer = b"".join(pieces)
                raise Closed(self._buffer)
            pieces.append(piece)
            have += len(piece)
        everything = b"".join(pieces)
        self._buffer = everything[size:]
        return everything[:size]

    def read_head(self) -> Response:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = status_line.partition(" ")
        if version != "HTTP/1.1" or not rest[:3].isdigit() or rest[3:4] != " ":
            raise Malformed(status_line)
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
                raise Malformed(line)
            headers.append((name, value.strip(" \t")))
        return Response(int(rest[:3]), headers, b"", head)

    def read_response(self, method: str = "GET") -> Response:
        """The next final answer: 100 and other 1xx are passed over."""
        response = self.read_head()
        while 100 <= response.status < 200:
            response = self.read_head()
        lengths, codings = response.all("Content-Length"), response.all("Transfer-Encoding")
        if len(lengths) + len(codings) > 1:
            raise Malformed(f"framed twice: {response.raw_head!r}")
        if method == "HEAD" or response.status in (204, 304):
            return response
        if codings:
            if codings != ["chunked"]:
                raise Malformed(f"Transfer-Encoding: {codings}")
            pieces = []
            while size := int(self._line(), 16):
                pieces.append(self._take(size))
                if self._take(2) != b"\r\n":
                    raise Malformed("a chunk does not end where it said")
            if self._line():
                raise Malformed("trailers in an answer")
            response.body = b"".join(pieces)
        elif lengths:
            response.body = self._take(int(lengths[0]))
        else:
            response.body = self.read_until_end()
        return response

    def ask(self, method: str, target: str, *headers: str, body: bytes | None = None, host: str = "localhost") -> Response:
        self.try_send(request(method, target, *headers, body=body, host=host))
        return self.read_response(method)


def request(method: str, target: str, *headers: str, body: bytes | None = None, host: str | None = "localhost",
            version: str = "HTTP/1.1") -> bytes:
    """A request's bytes. Each of `headers` is a whole line without its end."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += headers
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def ask_together(addresses: list, requests: list[bytes]) -> list[Response]:
    """Each request on a connection of its own to the address at its place (they take turns); all are sent before any answer is read."""
    connections = []
    try:
        for number in range(len(requests)):
            connections.append(Connection(addresses[number % len(addresses)], timeout=60))
        for connection, data in zip(connections, requests):
            connection.send(data)
        return [connection.read_response(data.split(b" ", 1)[0].decode()) for connection, data in zip(connections, requests)]
    finally:
        for connection in connections:
            connection.close()


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"
