"""Somebody who asks all the time, while a test changes what is asked."""
import threading

from support.http_client import bearer


class Load(threading.Thread):
    """Asks all the time, on kept connections and on new ones; whatever is not 200 is kept."""

    def __init__(self, stand):
        super().__init__(daemon=True)
        self.stand, self.token = stand, stand.token()
        self.ended = threading.Event()
        self.asked, self.wrong = 0, []

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                with self.stand.connect() as connection:
                    for _ in range(10):
                        response = connection.ask("GET", "/api/x", bearer(self.token))
                        self.asked += 1
                        if response.status != 200:
                            self.wrong.append((response.status, response.body))
                        if response.closes:
                            break
            except Exception as failure:  # noqa: BLE001 - every failure counts
                self.wrong.append(repr(failure))

    def stop(self) -> None:
        self.ended.set()
        self.join(30)
