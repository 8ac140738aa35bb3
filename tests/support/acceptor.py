"""A listening socket whose connections are served in threads of their own."""
import socket
import threading


class Acceptor:
    """`serve(connection)` runs in a thread for every connection that comes, until close()."""

    def __init__(self, listener: socket.socket, serve):
        self._listener, self._serve = listener, serve
        self.address = listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Connections that were accepted are left to whoever serves them."""
        # Woken and waited for before the descriptor goes: a thread still in accept() would take the connections of whoever listens next on a
        # socket of the same number.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
