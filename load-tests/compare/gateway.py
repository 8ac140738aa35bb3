"""The gateway's configurations, one for each question. JSON is YAML."""
import json
import pathlib

from compare.material import ALGORITHMS, AUDIENCE, issuer_of


def _issuer(algorithm: str, number: int = 0) -> dict:
    name = algorithm.lower()
    keys = {"secret_file": "hs256.secret"} if algorithm == "HS256" else {"jwks_file": f"{name}.public.jwks"}
    return {"name": f"{name}-{number}", "issuer": issuer_of(algorithm, number), "audiences": [AUDIENCE], "algorithms": [algorithm], "keys": keys}


def _route(name: str, path: str, access: str = "authenticated", **more) -> dict:
    return {"name": name, "match": {"path": path}, "access": access, "upstream": "origin"} | more


def _more_routes(count: int) -> list[dict]:
    """As services have them: versions, resources, their parts."""
    return [_route(f"r-{number}", f"/v{number % 10}/service-{number // 10}/" + ("**" if number % 2 else "items/{id}/*")) for number in range(count)]


def write(name: str, ports: dict[str, int], origin: int, *, workers: int = 1, issuers: int = 1, routes: int = 10, redis: int | None = None,
          cache_entries: int | None = None, access_log: str = "off") -> list[str]:
    """Writes NAME.yaml and its policies; returns the arguments of `sallyport`. `ports`: tls, clear, admin. `issuers`: so many of ES256."""
    configuration = {
        "version": 1,
        "workers": workers,
        "listeners": [{"name": "tls", "address": f"127.0.0.1:{ports['tls']}",
                       "tls": {"certificates": [{"certificate_file": "tls.crt", "key_file": "tls.key"}]}, "timeouts": {"idle": "1h"}},
                      {"name": "plain", "address": f"127.0.0.1:{ports['clear']}", "timeouts": {"idle": "1h"}}],
        "admin": {"address": f"127.0.0.1:{ports['admin']}"},
        "issuers": [_issuer(algorithm) for algorithm in ALGORITHMS] + [_issuer("ES256", number) for number in range(1, issuers)],
        "upstreams": [{"name": "origin", "servers": [{"url": f"http://127.0.0.1:{origin}"}]}],
        "policies": [f"{name}.policies.*.yaml"],
        "log": {"level": "warning", "access": access_log, "audit": "off"},
    }
    served = [_route("public", "/public/**", "public"), _route("api", "/api/**"), *_more_routes(routes - 2)]
    if redis is not None:
        configuration["store"] = {"kind": "redis", "redis": {"url": f"redis://127.0.0.1:{redis}/0", "command_timeout": "5s"}}
        configuration["sessions"] = {"secret_file": "session.secret", "idle_timeout": "24h", "absolute_timeout": "24h"}
        if cache_entries is not None:
            configuration["sessions"]["cache_entries"] = cache_entries
        served.append(_route("session", "/session/**", credentials=["session"]))
    pathlib.Path(f"{name}.yaml").write_text(json.dumps(configuration, indent=1))
    for number in range(0, len(served), 2500):  # a file has 1 MiB at most
        pathlib.Path(f"{name}.policies.{number}.yaml").write_text(json.dumps({"version": 1, "routes": served[number:number + 2500]}, indent=1))
    return ["run", "--config", f"{name}.yaml"]
