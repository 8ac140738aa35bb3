"""What the tests of a store at fault share."""
import contextlib
import threading
import time

from support.gateway import PATIENCE
from support.http_client import bearer
from support.sessions import REFRESH, SESSION, SessionCase, sign_in_body

COMMAND_TIMEOUT = 0.25 * PATIENCE
CHANNEL = 1.1  # seconds after which a silent channel empties the memory of sessions


class StoreCase(SessionCase):
    redis_options = []

    @classmethod
    def change(cls, stand, configuration, policies):
        super().change(stand, configuration, policies)
        configuration["store"]["redis"]["command_timeout"] = f"{int(COMMAND_TIMEOUT * 1000)}ms"

    @contextlib.contextmanager
    def tokens_go_on(self):
        """Requests with a JWT, all the time, on kept connections; each must be answered 200, and soon."""
        stop, failures, count = threading.Event(), [], [0]
        token = self.stand.token(sub="steady")

        def ask() -> None:
            with self.stand.connect(False) as connection:
                while not stop.is_set():
                    began = time.monotonic()
                    answer = connection.ask("GET", "/api/steady", bearer(token))
                    count[0] += 1
                    if answer.status != 200 or time.monotonic() - began > 1 * PATIENCE:
                        failures.append((answer.status, time.monotonic() - began))
                    time.sleep(0.002)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(count[0], 20)

    def assert_no_sessions(self, cookie: str, refresh_token: str, within: float) -> None:
        """Nothing that needs the store is answered but by 503, within the deadline of a command."""
        for name, ask in {"session": lambda: self.with_session(cookie),
                          "optional": lambda: self.with_session(cookie, "/optional/x"),
                          "caller": lambda: self.with_session(cookie, "/.gateway/session"),
                          "refresh": lambda: self.refresh_by_form(refresh_token),
                          "transparent": lambda: self.get(f"Cookie: {REFRESH}={refresh_token}"),
                          "logout": lambda: self.get(f"Cookie: {SESSION}={cookie}", "Sec-Fetch-Site: same-origin",
                                                     target="/.gateway/logout", method="POST"),
                          "login": lambda: self.get(target="/login", method="POST", body=sign_in_body({"sub": "new"})),
                          "login with tokens": lambda: self.get(target="/token", method="POST", body=sign_in_body({"sub": "new"}))}.items():
            with self.subTest(name):
                began = time.monotonic()
                self.assert_unavailable(ask())
                self.assertLess(time.monotonic() - began, within)
        for path, content in (("/revocations", {"subject": "x"}), ("/sessions", {"subject": "x"}), ("/sessions?subject=x", None)):
            with self.subTest(path):
                self.assertEqual(self.admin(path, content)[0], 503)
        self.assertEqual(self.gateway.admin_status("/readyz"), 503)
        self.assertEqual(self.gateway.admin_status("/livez"), 200)
        self.assertEqual(self.get(target="/public/x").status, 200)

    def warm(self, cookie: str, subject: str) -> None:
        """Remembered by every worker: each connection belongs to one, and nobody can choose."""
        for _ in range(16):
            self.assert_subject(self.with_session(cookie), subject)

    def wait_until_bypassed(self, cookie: str) -> float:
        """Seconds after which no worker answered from memory any more."""
        began, last, refused = time.monotonic(), 0.0, 0
        while refused < 24:
            asked = time.monotonic() - began
            self.assertLess(asked, 10 * PATIENCE, "sessions are answered from memory for ever")
            answer = self.with_session(cookie)
            if answer.status == 200:
                last, refused = asked, 0
            else:
                self.assert_unavailable(answer)
                refused += 1
                time.sleep(0.03)
        return last

    def wait_until_back(self, cookie: str, subject: str) -> float:
        """Seconds until every worker served it again."""
        began, last, served = time.monotonic(), 0.0, 0
        while served < 16:
            asked = time.monotonic() - began
            self.assertLess(asked, 10 * PATIENCE, "sessions did not come back")
            answer = self.with_session(cookie)
            if answer.status == 200:
                self.assert_subject(answer, subject)
                served += 1
            else:
                self.assert_unavailable(answer)  # a session is not called bad while its store comes back
                last, served = asked, 0
                time.sleep(0.01)
        return last
