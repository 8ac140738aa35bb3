"""What tests of sessions and tokens share: a service that establishes whom it is told to, browsers, and gateways that keep sessions."""
import base64
import copy
import dataclasses
import hashlib
import hmac
import json
import pathlib
import re
import secrets
import socket
import time
import urllib.parse

from support.gateway import PATIENCE, Gateway, GatewayCase, Stand, run_command
from support.http_client import Response, bearer
from support.oracle import Oracle, Seen, echo, response
from support.redis_server import RedisServer
from support.tokens import decode, encode

FORM = "Content-Type: application/x-www-form-urlencoded"
SESSION, ACCESS, REFRESH = "__Host-session", "__Host-access", "__Host-refresh"
TAGGED_ID = re.compile(r"[A-Za-z0-9_-]{64}")  # session cookies and refresh tokens
ISSUER = "https://gateway.test"


# ---- the service ---------------------------------------------------------------------------------------------------------------------

def sign_in_body(establish, status: int = 200, headers=(), body: str = "welcome") -> bytes:
    """What Accounts is to answer. `establish`: an object, the raw value as text, a list of raw values, or None for no such field."""
    return json.dumps({"establish": establish, "status": status, "headers": list(headers), "body": body}).encode()


def accounts(seen: Seen, connection: socket.socket) -> bytes | None:
    """An upstream where POST to /login… and /token… answers as its body says, /stream streams, and everything else is an echo."""
    path = seen.target.partition("?")[0]
    if seen.method == "POST" and path.startswith(("/login", "/token")):
        wanted = json.loads(seen.body)
        values = wanted["establish"]
        values = [] if values is None else values if isinstance(values, list) else [values]
        texts = [each if isinstance(each, str) else encode(json.dumps(each).encode()) for each in values]
        return response(wanted["status"], wanted["body"].encode(), *(f"X-Auth-Establish: {text}" for text in texts), *wanted["headers"])
    if path.endswith("/stream"):
        return stream(connection)
    return echo(seen, connection)


def stream(connection: socket.socket) -> None:
    """Server-sent events, ten a second, until somebody ends the connection."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(6000):
        event = b"data: %d\n\n" % number
        connection.sendall(b"%x\r\n%b\r\n" % (len(event), event))
        time.sleep(0.1)


class Accounts(Oracle):
    def __init__(self):
        super().__init__()
        self.answer = accounts

    def reset(self) -> None:
        super().reset()
        self.answer = accounts


# ---- configuration -------------------------------------------------------------------------------------------------------------------

ROUTES = [
    {"name": "sign-in", "match": {"path": "/login", "methods": ["POST"]}, "access": "public", "upstream": "service",
     "establish": "session"},
    {"name": "sign-in-tokens", "match": {"path": "/token", "methods": ["POST"]}, "access": "public", "upstream": "service",
     "establish": "tokens"},
    # The same service on a route that does not establish: what it says there must not count.
    {"name": "no-sign-in", "match": {"path": "/login-elsewhere", "methods": ["POST"]}, "access": "public", "upstream": "service"},
    {"name": "sessions-only", "match": {"path": "/sessions-only/**"}, "access": "authenticated", "credentials": ["session"],
     "upstream": "service"},
    {"name": "edge-only", "match": {"path": "/edge-only/**"}, "access": "authenticated", "credentials": [{"jwt": "edge"}],
     "upstream": "service"},
    {"name": "unchecked", "match": {"path": "/unchecked/**"}, "access": "authenticated", "csrf": "off", "upstream": "service"},
]


def edge_keys(*algorithms: str, kids: list[str] | None = None) -> str:
    """A private JWK Set, one key for each algorithm."""
    keys = []
    for number, algorithm in enumerate(algorithms):
        made = run_command("keys", "generate", "--algorithm", algorithm, "--kid", kids[number] if kids else f"edge-{number}-{algorithm}")
        assert made.returncode == 0, made.stderr
        keys += json.loads(made.stdout)["keys"]
    return json.dumps({"keys": keys})


def write_secret(path: pathlib.Path, content: str | bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def keep_sessions(stand: Stand, configuration: dict, policies: dict, redis: RedisServer | None = None, sessions: dict | None = None,
                  tokens: dict | None = None) -> None:
    """Adds a store, sessions, tokens and the routes above. `sessions` and `tokens` are merged into the usual sections."""
    write_secret(stand.folder / "keys/edge.jwks.json", edge_keys("ES256"))
    if redis:
        configuration["store"] = {"kind": "redis", "redis": {"url": redis.url, "command_timeout": f"{PATIENCE}s"}}
        if redis.password:
            write_secret(stand.folder / "keys/redis", redis.password)
            configuration["store"]["redis"]["password_file"] = "keys/redis"
    else:
        configuration["store"] = {"kind": "embedded", "path": "sallyport.db"}
    configuration["sessions"] = {"idle_timeout": "30m", "absolute_timeout": "24h"} | (sessions or {})
    configuration["tokens"] = {"issuer": ISSUER, "audiences": ["api"], "signing_keys_file": "keys/edge.jwks.json",
                               "access_ttl": "15m"} | (tokens or {})
    policies["routes"] += copy.deepcopy(ROUTES)


# ---- clients -------------------------------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class SetCookie:
    name: str
    value: str
    attributes: dict  # lower-case name -> value, or None

    @classmethod
    def parse(cls, line: str) -> "SetCookie":
        pair, *attributes = line.split("; ")
        name, _, value = pair.partition("=")
        parsed = {}
        for each in attributes:
            key, equals, text = each.partition("=")
            assert key.lower() not in parsed, line
            parsed[key.lower()] = text if equals else None
        return cls(name, value, parsed)

    @property
    def clears(self) -> bool:
        return self.attributes.get("max-age") == "0"


def set_cookies(answer: Response) -> dict[str, SetCookie]:
    """Name -> the last line for it."""
    return {each.name: each for each in map(SetCookie.parse, answer.all("Set-Cookie"))}


class Browser:
    """Keeps the cookies it is given, and says where a request comes from as browsers do (unless `speaks` is False: an old one)."""

    def __init__(self, stand: Stand, gateway: Gateway | None = None, tls: bool = False, speaks: bool = True):
        self.stand, self.gateway, self.tls, self.speaks = stand, gateway or stand.gateway, tls, speaks
        self.cookies: dict[str, str] = {}

    def copy(self) -> "Browser":
        """Another one with the same cookies: a thief, or the same one before an answer came."""
        other = Browser(self.stand, self.gateway, self.tls, self.speaks)
        other.cookies = dict(self.cookies)
        return other

    def cookie_line(self) -> list[str]:
        return ["Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items())] if self.cookies else []

    def lines(self) -> list[str]:
        return self.cookie_line() + (["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"] if self.speaks else [])

    def ask(self, method: str, target: str, *headers: str, body: bytes | None = None, gateway: Gateway | None = None) -> Response:
        with self.stand.connect(self.tls, gateway or self.gateway) as connection:
            answer = connection.ask(method, target, *self.lines(), *headers, body=body)
        for each in set_cookies(answer).values():
            if each.clears:
                self.cookies.pop(each.name, None)
            else:
                self.cookies[each.name] = each.value
        return answer

    @property
    def session(self) -> str:
        return self.cookies[SESSION]

    @property
    def refresh(self) -> str:
        return self.cookies[REFRESH]


def form(**fields: str) -> bytes:
    return urllib.parse.urlencode(fields).encode()


def flip(text: str, at: int) -> str:
    """One character of base64url changed into another."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:at] + alphabet[(alphabet.index(text[at]) + 1) % 64] + text[at + 1:]


def forged_id() -> str:
    """Of the right form, and made by nobody."""
    return encode(secrets.token_bytes(48))


def session_handle(cookie: str) -> str:
    """What the store and the admin API call the session: nothing that opens it."""
    return hashlib.sha256(decode(cookie)[:32]).hexdigest()


def family_handle(refresh_token: str) -> str:
    return hashlib.sha256(decode(refresh_token)[:24]).hexdigest()


def generation_of(refresh_token: str) -> int:
    return int.from_bytes(decode(refresh_token)[24:32], "big")


def claims_within(token: str) -> dict:
    """Without looking at the signature."""
    return json.loads(decode(token.split(".")[1]))


def foreign_section(stand: Stand, *secrets: str, **more) -> dict:
    """`sessions.foreign` for cookies that any of the secrets signed."""
    files = []
    for number, secret in enumerate(secrets):
        write_secret(stand.folder / f"keys/foreign-{number}", secret)
        files.append(f"keys/foreign-{number}")
    return {"secret_file": files if len(files) > 1 else files[0], "subject": "/user/id",
            "claims": {"roles": "/user/roles", "email": "/user/email"}} | more


def express_cookie(session_id: str, secret: str) -> str:
    """As express-session signs and sends it."""
    signature = base64.b64encode(hmac.new(secret.encode(), session_id.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    return urllib.parse.quote(f"s:{session_id}.{signature}", safe="")


class SessionCase(GatewayCase):
    """Tests against gateways that keep sessions: over a Redis where `redis_options` is set, with `replicas` gateways beside the one."""
    redis_options: list[str] | None = None
    redis_password: str | None = None
    replicas = 0
    sessions: dict = {}
    tokens: dict = {}
    redis: RedisServer | None = None

    @classmethod
    def make_oracle(cls) -> Oracle:
        return Accounts()

    @classmethod
    def setUpClass(cls) -> None:
        if cls.redis_options is not None:
            cls.redis = RedisServer(*cls.redis_options, password=cls.redis_password)
        try:
            super().setUpClass()
            for number in range(cls.replicas):
                cls.stand.add_gateway(f"replica-{number + 1}")
        except BaseException:
            if cls.redis:
                cls.redis.close()
            raise
        cls.other = cls.stand.gateways[-1]  # another replica where there is one

    @classmethod
    def tearDownClass(cls) -> None:
        try:
            super().tearDownClass()
        finally:
            if cls.redis:
                cls.redis.close()

    @classmethod
    def change(cls, stand, configuration, policies) -> None:
        keep_sessions(stand, configuration, policies, cls.redis, cls.sessions, cls.tokens)

    # ---- signing in --------------------------------------------------------------------------------------------------------------

    def browser(self, **options) -> Browser:
        return Browser(self.stand, **options)

    def sign_in(self, sub: str = "alice", browser: Browser | None = None, **claims) -> Browser:
        """A browser with a session of that subject."""
        browser = browser or self.browser()
        answer = browser.ask("POST", "/login", body=sign_in_body({"sub": sub} | claims))
        self.assertEqual((answer.status, answer.body), (200, b"welcome"))
        self.assertRegex(browser.session, TAGGED_ID)
        return browser

    def sign_in_with_tokens(self, sub: str = "alice", browser: Browser | None = None, **claims) -> Browser:
        """A browser with a token pair in cookies."""
        browser = browser or self.browser()
        answer = browser.ask("POST", "/token", body=sign_in_body({"sub": sub} | claims))
        self.assertEqual(answer.status, 200, answer.body)
        self.assertRegex(browser.refresh, TAGGED_ID)
        return browser

    def token_pair(self, sub: str = "alice", gateway: Gateway | None = None, **claims) -> dict:
        """The JSON that a client which is no browser gets."""
        with self.stand.connect(False, gateway) as connection:
            answer = connection.ask("POST", "/token", body=sign_in_body({"sub": sub} | claims))
        return self.assert_token_response(answer)

    def assert_token_response(self, answer: Response) -> dict:
        """RFC 6749 §5.1."""
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.header("Content-Type").partition(";")[0], "application/json")
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        self.assertEqual(answer.all("Set-Cookie"), [])
        pair = json.loads(answer.body)
        self.assertEqual(pair["token_type"], "Bearer")
        self.assertIsInstance(pair["expires_in"], int)
        self.assertGreater(pair["expires_in"], 0)
        self.assertRegex(pair["refresh_token"], TAGGED_ID)
        self.assertEqual(pair["access_token"].count("."), 2)
        return pair

    def expire_access(self, browser: Browser) -> Browser:
        """The browser with an access cookie like its own that has expired."""
        claims = claims_within(browser.cookies[ACCESS])
        made = run_command("token", "sign", "--keys", self.stand.folder / "keys/edge.jwks.json", "--type", "at+jwt", "--claims",
                           json.dumps(claims | {"iat": claims["iat"] - 3600, "exp": claims["iat"] - 1800}))
        self.assertEqual(made.returncode, 0, made.stderr)
        browser.cookies[ACCESS] = made.stdout.strip()
        return browser

    def refresh_by_form(self, refresh_token: str, gateway: Gateway | None = None) -> Response:
        with self.stand.connect(False, gateway) as connection:
            return connection.ask("POST", "/.gateway/refresh", FORM, body=form(grant_type="refresh_token", refresh_token=refresh_token))

    def refreshed(self, refresh_token: str, gateway: Gateway | None = None) -> dict:
        return self.assert_token_response(self.refresh_by_form(refresh_token, gateway))

    def assert_invalid_grant(self, answer: Response) -> None:
        """RFC 6749 §5.2."""
        self.assertEqual(answer.status, 400, answer.body)
        self.assertEqual(json.loads(answer.body)["error"], "invalid_grant")
        self.assertEqual(answer.header("Cache-Control"), "no-store")

    # ---- asking ------------------------------------------------------------------------------------------------------------------

    def get(self, *headers: str, target: str = "/api/x", gateway: Gateway | None = None, method: str = "GET",
            body: bytes | None = None) -> Response:
        with self.stand.connect(False, gateway) as connection:
            return connection.ask(method, target, *headers, body=body)

    def with_session(self, cookie: str, target: str = "/api/x", gateway: Gateway | None = None) -> Response:
        return self.get(f"Cookie: {SESSION}={cookie}", target=target, gateway=gateway)

    def with_token(self, token: str, target: str = "/api/x", gateway: Gateway | None = None) -> Response:
        return self.get(bearer(token), target=target, gateway=gateway)

    def assert_subject(self, answer: Response, subject: str) -> None:
        self.assertEqual(answer.status, 200, answer.body)
        headers = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
        self.assertEqual(headers.get("x-auth-subject"), subject)

    def assert_unavailable(self, answer: Response) -> None:
        """Could-not-ask: never a 401, and no cookie is touched."""
        if answer.header("Content-Type") == "application/problem+json":
            self.assert_problem(answer, 503)
        self.assertEqual(answer.status, 503, answer.body)
        self.assertRegex(answer.header("Retry-After") or "", r"^[1-9][0-9]*$")
        self.assertEqual(answer.all("Set-Cookie"), [])
        self.assertIsNone(answer.header("Clear-Site-Data"))
        self.assertIsNone(answer.header("WWW-Authenticate"))

    def wait_for_store(self) -> None:
        """Until every worker of every gateway can ask: each has a connection of its own, which comes back when its pause ends."""
        for gateway in self.stand.gateways:
            served, deadline = 0, time.monotonic() + 5 * PATIENCE
            while served < 12:
                self.assertLess(time.monotonic(), deadline, "the store did not come back")
                answer = self.get(target="/login", method="POST", body=sign_in_body({"sub": "waiting"}), gateway=gateway)
                served = served + 1 if answer.status == 200 else 0
                time.sleep(0.005)

    def addresses(self) -> list:
        """The plain listener of each gateway."""
        return [gateway.addresses["plain"] for gateway in self.stand.gateways]

    # ---- operating ---------------------------------------------------------------------------------------------------------------

    def admin(self, path: str, content=None, gateway: Gateway | None = None, method: str | None = None) -> tuple[int, bytes, dict]:
        data = None if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        return (gateway or self.gateway).admin_request(path, method or ("GET" if content is None else "POST"), data,
                                                       {"Content-Type": "application/json"} if data is not None else None)

    def revoke(self, gateway: Gateway | None = None, **what) -> None:
        status, body, _ = self.admin("/revocations", what, gateway)
        self.assertIn(status, (200, 201, 202, 204), body)

    def eventually(self, ask, what: str, within: float = 2):
        """Asks until it is so."""
        deadline = time.monotonic() + within * PATIENCE
        while True:
            found = ask()
            if found:
                return found
            if time.monotonic() > deadline:
                self.fail(f"{what} did not come true within {within * PATIENCE} s")
            time.sleep(0.005)

    def metric(self, name: str, gateway: Gateway | None = None, **labels: str) -> float:
        return sum(value for text, value in (gateway or self.gateway).metrics().items()
                   if text.split("{")[0] == name and all(f'{key}="{wanted}"' in text for key, wanted in labels.items()))
