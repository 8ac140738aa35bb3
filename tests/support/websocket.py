"""RFC 6455 as tests need it: a client that sends and reads bytes and frames, and a server that answers handshakes as told."""
import base64
import dataclasses
import hashlib
import os
import socket
import ssl
import struct

from support.oracle import Seen, response

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def frame(opcode: int, payload: bytes = b"", masked: bool = False, final: bool = True) -> bytes:
    head = bytes([(0x80 if final else 0) | opcode])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    whole = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(whole)).to_bytes(len(payload)) if payload else head + mask


@dataclasses.dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    final: bool = True

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2])


class Ended(Exception):
    """The peer's end, in order or not, where a frame should begin."""


class _Frames:
    """Frames of either side on a connected socket."""

    def __init__(self, connection: socket.socket, masks: bool):
        self.socket, self.buffer, self._masks = connection, b"", masks

    def send(self, opcode: int, payload: bytes = b"", final: bool = True) -> None:
        self.socket.sendall(frame(opcode, payload, self._masks, final))

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                raise
            except OSError as error:
                raise Ended(str(error)) from None
            if not piece:
                raise Ended("the end")
            self.buffer += piece
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def read(self) -> Frame:
        first, second = self._take(2)
        size = second & 127
        if size == 126:
            size = int.from_bytes(self._take(2))
        elif size == 127:
            size = int.from_bytes(self._take(8))
        mask = self._take(4) if second & 128 else b""
        payload = self._take(size)
        if mask and payload:
            whole = (mask * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload) ^ int.from_bytes(whole)).to_bytes(size)
        return Frame(first & 15, payload, bool(first & 128))

    def ended(self) -> bool:
        """Whether nothing comes but the end."""
        try:
            return self._take(1) == b""
        except Ended:
            return True


class WebSocket(_Frames):
    """A client. With `lines` as they are to be sent; the answer's head is in `status` and `headers`, and frames follow after a 101."""

    def __init__(self, address: tuple[str, int], target: str, *lines: str, method: str = "GET", version: str = "HTTP/1.1",
                 without: tuple[str, ...] = (), early: bytes = b"", tls: ssl.SSLContext | None = None, host: str = "localhost",
                 timeout: float = 20):
        connection = socket.create_connection(address, timeout=timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            connection = tls.wrap_socket(connection, server_hostname=host)
        super().__init__(connection, masks=True)
        self.key = base64.b64encode(os.urandom(16)).decode()
        usual = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": self.key}
        names = {line.partition(":")[0].lower() for line in lines}
        fields = [f"{name}: {value}" for name, value in usual.items() if name.lower() not in names and name not in without]
        head = [f"{method} {target} {version}", f"Host: {host}", *fields, *lines]
        connection.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + early)
        self._read_head()

    def _read_head(self) -> None:
        while b"\r\n\r\n" not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise Ended(f"within the head: {self.buffer!r}")
            self.buffer += piece
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    @property
    def is_open(self) -> bool:
        return self.status == 101 and self.all("Sec-WebSocket-Accept") == [accept_of(self.key)]

    def rest(self) -> bytes:
        """Everything until the end."""
        pieces = []
        while True:
            try:
                pieces.append(self._take(max(len(self.buffer), 1)))
            except Ended:
                return b"".join(pieces)

    def echo(self, text: bytes) -> bytes:
        self.send(TEXT, text)
        return self.read().payload

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "WebSocket":
        return self

    def __exit__(self, *_) -> None:
        self.close()


class ServerEnd(_Frames):
    """The upstream's end of a tunnel."""

    def __init__(self, connection: socket.socket):
        super().__init__(connection, masks=False)


def switch(seen: Seen, *lines: str) -> bytes:
    """The head of a good 101."""
    head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_of(seen.header('Sec-WebSocket-Key'))}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"


def serve_echo(end: ServerEnd) -> None:
    """Echoes messages, answers pings and closes."""
    try:
        while True:
            each = end.read()
            if each.opcode == CLOSE:
                end.send(CLOSE, each.payload)
                return
            end.send(PONG if each.opcode == PING else each.opcode, each.payload, each.final)
    except (Ended, OSError):
        return


def websocket_service(serve=serve_echo, otherwise=None):
    """An Oracle's `answer`: switches whoever asks for it and serves the tunnel; others get `otherwise`, or a 200."""
    def answer(seen: Seen, connection: socket.socket) -> bytes | None:
        if seen.header("Upgrade") != "websocket":
            return otherwise(seen, connection) if otherwise else response(200, b"plain")
        connection.sendall(switch(seen))
        serve(ServerEnd(connection))
        return None
    return answer
