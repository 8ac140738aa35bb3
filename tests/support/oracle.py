"""The oracle: an upstream that knows exactly which bytes reached it, and answers as told."""
import dataclasses
import json
import socket
import ssl
import threading

from support.acceptor import Acceptor


@dataclasses.dataclass
class Seen:
    """One request as it arrived."""
    raw_head: bytes
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    connection: int
    body: bytes = b""
    complete: bool = False

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) <= 1, f"the upstream saw {name} {len(values)} times: {values}"
        return values[0] if values else None

    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.headers}

    def folded_names(self) -> set[str]:
        """As an upstream that follows CGI cannot help reading them."""
        return {name.lower().replace("_", "-").replace(".", "-") for name, _ in self.headers}


class Cut(Exception):
    """The gateway ended the connection in the middle of a request."""


class _Stream:
    def __init__(self, connection: socket.socket):
        self.socket, self.buffer = connection, b""

    def fill(self) -> None:
        try:
            piece = self.socket.recv(262144)
        except OSError:
            piece = b""
        if not piece:
            raise Cut
        self.buffer += piece

    def line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, size: int) -> bytes:
        pieces, have = [self.buffer], len(self.buffer)
        while have < size:
            try:
                piece = self.socket.recv(262144)
            except OSError:
                piece = b""
            if not piece:
                raise Cut
            pieces.append(piece)
            have += len(piece)
        everything = b"".join(pieces)
        self.buffer = everything[size:]
        return everything[:size]


def response(status: int = 200, body: bytes = b"", *headers: str, reason: str = "OK") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def echo(seen: Seen, _connection: socket.socket) -> bytes:
    content = {"method": seen.method, "target": seen.target, "headers": seen.headers, "body_bytes": len(seen.body)}
    answer = response(200, json.dumps(content).encode(), "Content-Type: application/json")
    return answer.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if seen.method == "HEAD" else answer


class Oracle:
    """Records every request. `answer(seen, socket)` decides what happens: the bytes it returns are sent and the connection is kept;
    after None the connection is closed. It may send by itself. `answer_head`, where set, is asked before the body is read, and decides
    alone when it returns something but NotImplemented."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self._tls = tls
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._open: set[socket.socket] = set()
        self.connections = 0
        self.malformed: list[bytes] = []
        self.answer = echo
        self.answer_head = None
        self._acceptor = Acceptor(socket.create_server(("127.0.0.1", 0), backlog=256), self._serve)
        self.address = self._acceptor.address
        self.port = self.address[1]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def seen(self) -> list[Seen]:
        with self._lock:
            return list(self._seen)

    @property
    def count(self) -> int:
        """Requests whose head arrived, whole or not: "nothing reached the upstream" means that this did not move."""
        with self._lock:
            return len(self._seen) + len(self.malformed)

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    def reset(self) -> None:
        with self._lock:
            self._seen.clear()
            self.malformed.clear()
        self.answer, self.answer_head = echo, None

    def close_connections(self) -> None:
        """Ends every connection, as a server does that tidies up its idle ones."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._acceptor.close()
        self.close_connections()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
        except (OSError, ssl.SSLError):
            connection.close()
            return
        with self._lock:
            self.connections += 1
            number = self.connections
            self._open.add(connection)
        try:
            self._serve_requests(connection, number)
        except (Cut, OSError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _serve_requests(self, connection: socket.socket, number: int) -> None:
        stream = _Stream(connection)
        while True:
            seen = self._read_head(stream, number)
            if seen is None:
                return
            if self.answer_head is not None:
                answer = self.answer_head(seen, connection)
                if answer is not NotImplemented:
                    if answer is None:
                        return
                    connection.sendall(answer)
                    continue
            try:
                self._read_body(stream, seen)
            except (ValueError, IndexError):
                with self._lock:
                    self.malformed.append(stream.buffer[:200])
                return
            seen.complete = True
            answer = self.answer(seen, connection)
            if answer is None:
                return
            connection.sendall(answer)

    def _read_head(self, stream: _Stream, number: int) -> Seen | None:
        while b"\r\n\r\n" not in stream.buffer:
            try:
                stream.fill()
            except Cut:
                if stream.buffer:
                    with self._lock:
                        self.malformed.append(stream.buffer)
                return None
        head, stream.buffer = stream.buffer.split(b"\r\n\r\n", 1)
        try:
            request_line, *lines = head.decode("latin-1").split("\r\n")
            method, target, version = request_line.split(" ")
            pairs = [line.split(":", 1) for line in lines]
            headers = [(name, value.strip(" \t")) for name, value in pairs]
        except ValueError:
            with self._lock:
                self.malformed.append(head)
            return None
        seen = Seen(head + b"\r\n\r\n", method, target, version, headers, number)
        with self._lock:
            self._seen.append(seen)
        return seen

    @staticmethod
    def _read_body(stream: _Stream, seen: Seen) -> None:
        lengths, codings = seen.all("Content-Length"), seen.all("Transfer-Encoding")
        if len(lengths) + len(codings) > 1:
            raise ValueError("framed twice")
        if codings:
            if codings != ["chunked"]:
                raise ValueError("unknown coding")
            body = []
            while size := int(stream.line(), 16):
                body.append(stream.take(size))
                if stream.take(2) != b"\r\n":
                    raise ValueError("chunk")
            if stream.line():
                raise ValueError("trailers")
            seen.body = b"".join(body)
        elif lengths:
            seen.body = stream.take(int(lengths[0]))
