"""A loopback relay in front of a server, which delays what passes."""
import selectors
import socket
import time

from support.acceptor import Acceptor


class SlowLine:
    """Connections to `address` become connections to `target`; every piece waits `delay` seconds in each direction. `delay` may change."""

    def __init__(self, target, delay: float = 0):
        self.target, self.delay = target, delay
        self._acceptor = Acceptor(socket.create_server(("127.0.0.1", 0), backlog=64), self._serve)
        self.address = self._acceptor.address
        self.port = self.address[1]

    def close(self) -> None:
        self._acceptor.close()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        with selectors.DefaultSelector() as selector, near, far:
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(one, selectors.EVENT_READ, other)
            waiting: list[tuple[float, socket.socket, bytes]] = []  # in order
            while True:
                left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
                for key, _ in selector.select(left):
                    try:
                        data = key.fileobj.recv(65536)
                    except OSError:
                        data = b""
                    if not data:
                        return
                    waiting.append((time.monotonic() + self.delay, key.data, data))
                while waiting and waiting[0][0] <= time.monotonic():
                    _, target, data = waiting.pop(0)
                    try:
                        target.sendall(data)
                    except OSError:
                        return
