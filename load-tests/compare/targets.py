"""Who is compared with whom: groups of targets. A group starts whom it needs, and nobody else."""
import functools

from compare.material import ALGORITHMS
from compare.measure import BareVerification, CpuAtRate, FixedRate, Handshakes, IdleConnections, NewTokens, Remembered, Requests, Target
from compare.world import World

WARM_TOKENS, WARM_SESSIONS, CACHED_SESSIONS, POOL = 100, 1_000, 10_000, 100_000
SPARING_RATE = 20_000  # at which one worker has time to spare
NEW_TOKENS_PER_SECOND = {"HS256": 100_000, "RS256": 50_000, "ES256": 20_000, "EdDSA": 16_000}  # more than one worker verifies


class Catalogue:
    def __init__(self, world: World, options):
        self._world, self._options = world, options

    # ---- what several groups compare with ----------------------------------------------------------------------------------------

    def _requests(self, name: str, against, server, path: str, listener: str = "tls", processes=None, **load) -> Requests:
        process, ports = server
        scheme = "http" if listener == "clear" else "https"
        paths = {"paths": load.pop("paths")} if "paths" in load else {}
        return Requests(name, against, processes or [process], f"{scheme}://127.0.0.1:{ports[listener]}{path}", **paths, **load)

    @property
    def _warm(self) -> str:
        return self._world.material.tokens("ES256", WARM_TOKENS)

    @functools.cached_property
    def _haproxy(self) -> Target:
        return self._requests("haproxy tls pass-through", (), self._world.haproxy, "/api/small", credentials=self._warm)

    @functools.cached_property
    def _public(self) -> Target:
        return self._requests("sallyport tls public route", (self._haproxy,), self._world.gateway("base"), "/public/small", credentials=self._warm)

    @functools.cached_property
    def _es256_warm(self) -> Target:
        return self._requests("sallyport tls ES256 warm", (self._haproxy,), self._world.gateway("base"), "/api/small", credentials=self._warm)

    # ---- the groups --------------------------------------------------------------------------------------------------------------

    def jwt(self):
        """TLS and a token that was verified before, verified each time, or missing."""
        world, material, gateway = self._world, self._world.material, self._world.gateway("base")
        yield self._haproxy
        yield self._requests("nginx tls pass-through", (self._haproxy,), world.nginx, "/api/small", credentials=self._warm)
        yield self._public
        for algorithm in ("HS256", "RS256", "ES256"):
            yield self._requests(f"haproxy tls {algorithm} verified", (self._haproxy,), world.haproxy, "/api/small", algorithm,
                                 credentials=material.tokens(algorithm, WARM_TOKENS))
        yield self._requests("apache mod_oauth2 tls RS256 cached", (self._haproxy,), world.apache, "/api/small",
                             credentials=material.tokens("RS256", WARM_TOKENS))
        for algorithm in ALGORITHMS:
            yield self._es256_warm if algorithm == "ES256" else self._requests(
                f"sallyport tls {algorithm} warm", (self._haproxy,), gateway, "/api/small", credentials=material.tokens(algorithm, WARM_TOKENS))
        yield self._requests("sallyport tls ES256 pool of 100,000", (self._haproxy,), gateway, "/api/small", order="random",
                             credentials=material.tokens("ES256", POOL))
        yield self._requests("sallyport tls 401 without token", (self._haproxy,), gateway, "/api/small", expect=401)

    def new_tokens(self):
        """Every token new to a gateway that was just started. Compared with a public route and the bare verification together."""
        world = self._world
        yield self._haproxy
        yield self._public
        for algorithm, per_second in NEW_TOKENS_PER_SECOND.items():
            bare, count = BareVerification(algorithm), self._options.seconds * per_second
            yield bare
            yield NewTokens(f"sallyport tls {algorithm} new token each", (self._public, bare), lambda: world.new_gateway("sallyport-new-tokens"),
                            "/api/small", world.material.tokens(algorithm, count), count)

    def clear(self):
        """Without TLS and without authentication."""
        haproxy = self._requests("haproxy clear pass-through", (), self._world.haproxy, "/api/small", "clear", credentials=self._warm)
        yield haproxy
        gateway = self._world.gateway("base")
        yield self._requests("sallyport clear public route", (haproxy,), gateway, "/public/small", "clear", credentials=self._warm)
        yield self._requests("sallyport clear ES256 warm", (haproxy,), gateway, "/api/small", "clear", credentials=self._warm)

    def sessions(self):
        """Sessions in Redis: 1,000 that are remembered, and a million of which one is drawn for each request."""
        world = self._world
        warm, gateway = world.sessions.create(WARM_SESSIONS), world.gateway("sessions", redis=True)
        yield self._haproxy
        # The store is told of a session's use once a minute: between two visits that falls due for all of them.
        yield self._requests("sallyport tls session warm", (self._haproxy,), gateway, "/session/small", redis=world.redis, settles=True,
                             credentials=warm["ours"])
        stored = world.sessions.create(self._options.sessions)
        lua, auth = world.nginx_lua, world.nginx_auth
        cold = {"order": "random", "redis": world.redis}
        reference = self._requests("nginx lua redis tls session cold", (self._haproxy,), lua, "/session/small", credentials=stored["keys"], **cold)
        yield reference
        yield self._requests("nginx lua redis tls session cold, whole identity", (reference,), lua, "/session/small", "identity",
                             credentials=stored["keys"], **cold)
        yield self._requests("nginx auth_request tls session cold", (reference,), auth, "/session/small", processes=[auth[0], lua[0]],
                             credentials=stored["keys"], **cold)
        small = world.gateway("sessions-cold", redis=True, cache_entries=CACHED_SESSIONS)
        yield self._requests("sallyport tls session cold", (reference,), small, "/session/small", credentials=stored["ours"], **cold)

    def bodies(self):
        """Large answers, mixed ones, a body up. The ratio of CPU for each request is that of CPU for each byte."""
        haproxy, nginx, gateway = self._world.haproxy, self._world.nginx, self._world.gateway("base")
        kinds = {"64 KiB answer": {"path": "/api/64k"}, "1 MiB answer": {"path": "/api/1m", "unit": "us per answer of 1 MiB"},
                 "mixed answers": {"path": "/api/4k", "paths": "/api/small,/api/small,/api/4k,/api/small,/api/64k"},
                 "POST 4 KiB": {"path": "/api/post", "method": "POST", "body": 4096}}
        for kind, load in kinds.items():
            reference = self._requests(f"haproxy tls {kind}", (), haproxy, credentials=self._warm, **load)
            yield reference
            yield self._requests(f"nginx tls {kind}", (reference,), nginx, credentials=self._warm, **load)
            yield self._requests(f"sallyport tls {kind}, ES256 warm", (reference,), gateway, credentials=self._warm, **load)

    def handshakes(self):
        """New TLS 1.3 connections, ECDSA P-256."""
        servers = {"haproxy": self._world.haproxy, "nginx": self._world.nginx, "sallyport": self._world.gateway("base")}
        for kind, resume in (("full handshake", False), ("resumed handshake", True)):
            reference = ()
            for name, (process, ports) in servers.items():
                target = Handshakes(f"{name} {kind}", reference, process, ports["tls"], resume)
                reference = reference or (target,)
                yield target

    def scale(self):
        """10,000 routes instead of 10, 50 issuers instead of 1."""
        world = self._world
        yield self._es256_warm
        yield self._requests("sallyport tls ES256 warm, 10,000 routes", (self._es256_warm,), world.gateway("routes", routes=10_000), "/api/small",
                             credentials=self._warm)
        yield self._requests("sallyport tls ES256 warm, 50 issuers", (self._es256_warm,), world.gateway("issuers", issuers=50), "/api/small",
                             credentials=world.material.tokens_of_issuers("ES256", 50, WARM_TOKENS))

    def log(self):
        """The access log on, to a file."""
        yield self._haproxy
        yield self._requests("haproxy tls pass-through, log on", (self._haproxy,), self._world.haproxy, "/api/small", "log",
                             credentials=self._warm)
        yield self._es256_warm
        logging = self._world.gateway("log", access_log="access.log")
        yield self._requests("sallyport tls ES256 warm, log on", (self._es256_warm,), logging, "/api/small", credentials=self._warm)

    def workers(self):
        """Two workers on both cores beside one: where they are the limit (every token new), and where load and origin are, whom the second core
        belongs to, too."""
        world, cores = self._world, f"{self._world.proxy_core},{self._world.load_core}"
        count = 2 * self._options.seconds * NEW_TOKENS_PER_SECOND["ES256"]
        tokens = "/api/small", world.material.tokens("ES256", count), count
        one = NewTokens("sallyport tls ES256 new token each, 1 worker", (), lambda: world.new_gateway("one-worker"), *tokens)
        yield one
        yield NewTokens("sallyport tls ES256 new token each, 2 workers", (one,),
                        lambda: world.new_gateway("two-workers", workers=2, cores=cores), *tokens)

        yield self._es256_warm
        yield self._requests("sallyport tls ES256 warm, 1 worker beside the load", (self._es256_warm,),
                             world.gateway("beside", cores=world.load_core), "/api/small", credentials=self._warm)
        yield self._requests("sallyport tls ES256 warm, 2 workers", (self._es256_warm,), world.gateway("workers", workers=2, cores=cores),
                             "/api/small", credentials=self._warm)

    def latency(self):
        """At a fixed rate, beside the origin alone; and what a request costs at a rate that leaves a proxy time to spare."""
        world, fixed = self._world, {"rate": self._options.rate, "seconds": self._options.rate_seconds}
        haproxy, gateway, sessions = world.haproxy[1], world.gateway("base")[1], world.gateway("sessions", redis=True)[1]
        origin = FixedRate("origin alone", (), world.origin, False, "/api/small", **fixed)
        yield origin
        yield FixedRate("haproxy tls pass-through at a rate", (origin,), haproxy["tls"], True, "/api/small", credentials=self._warm, **fixed)
        yield FixedRate("sallyport tls ES256 warm at a rate", (origin,), gateway["tls"], True, "/api/small", credentials=self._warm, **fixed)
        yield FixedRate("sallyport tls session warm at a rate", (origin,), sessions["tls"], True, "/session/small",
                        credentials=world.sessions.create(WARM_SESSIONS)["ours"], **fixed)
        spare = {"rate": SPARING_RATE, "seconds": self._options.seconds, "credentials": self._warm}
        peer = CpuAtRate(f"haproxy tls pass-through at {SPARING_RATE:,}/s", (), world.haproxy[0], haproxy["tls"], True, "/api/small", **spare)
        yield peer
        yield CpuAtRate(f"sallyport tls ES256 warm at {SPARING_RATE:,}/s", (peer,), world.gateway("base")[0], gateway["tls"], True, "/api/small",
                        **spare)

    def memory(self):
        """Idle keep-alive connections over TLS, and remembered sessions."""
        world, count = self._world, self._options.idle_connections
        haproxy = IdleConnections("haproxy idle tls connection", (), lambda: world.new_haproxy("haproxy-idle"), count, "/api/small")
        yield haproxy
        yield IdleConnections("nginx idle tls connection", (haproxy,), lambda: world.new_nginx("nginx-idle"), count, "/api/small")
        yield IdleConnections("sallyport idle tls connection", (haproxy,), lambda: world.new_gateway("sallyport-idle"), count, "/api/small",
                              self._warm)
        yield Remembered("sallyport remembered session", lambda: world.new_gateway("sallyport-remember", redis=True), POOL,
                         world.sessions.create(POOL)["ours"], "/session/small")


GROUPS = ("jwt", "new_tokens", "clear", "sessions", "bodies", "handshakes", "scale", "log", "workers", "latency", "memory")
USUAL = ("jwt", "clear", "bodies", "handshakes")


def describe(group: str) -> str:
    return getattr(Catalogue, group).__doc__
