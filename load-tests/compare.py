"""CPU per request of the gateway and its peers on the same job, in one interleaved run.

Each proxy has one worker pinned to one core; wrk and the origin have the other. A round visits every target once, so that
whatever else the machine does meets all of them alike. What is compared is CPU time from the kernel's accounting
(/proc/PID/task/*/schedstat), not throughput: it hardly moves when the machine is noisy.
"""
import argparse
import base64
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONNECTIONS = 64
ISSUER = "https://issuer.load.example"
AUDIENCE = "load"
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Process:
    """A process we started: pinned, waited for, measured and ended by its pid."""

    def __init__(self, name, command, core, port):
        self.name = name
        self.log = open(f"{name}.log", "w")
        self.child = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 15
        while True:
            if self.child.poll() is not None:
                sys.exit(f"{name} ended at once:\n{pathlib.Path(self.log.name).read_text()}")
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    sys.exit(f"{name} does not listen on port {port}")
                time.sleep(0.05)

    def pids(self):
        found, todo = [], [self.child.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                todo += [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            except FileNotFoundError:
                pass
        return found

    def cpu_nanoseconds(self):
        total = 0
        for pid in self.pids():
            for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(stat.read_text().split()[0])
        return total

    def resident_kib(self):
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.log.close()


def der(tag, *parts):
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else (lambda n: bytes([0x80 | len(n)]) + n)(len(body).to_bytes((len(body).bit_length() + 7) // 8, "big"))
    return bytes([tag]) + size + body


def public_pem(jwk):
    """SubjectPublicKeyInfo (RFC 5280) of an RSA or P-256 key."""
    number = lambda name: base64.urlsafe_b64decode(jwk[name] + "=" * (-len(jwk[name]) % 4))
    if jwk["kty"] == "RSA":
        algorithm = der(0x30, bytes.fromhex("06092a864886f70d010101"), der(0x05))
        key = der(0x30, *[der(0x02, b"\0" * (n[0] >> 7) + n) for n in (number("n"), number("e"))])
    else:
        algorithm = der(0x30, bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06082a8648ce3d030107"))
        key = b"\x04" + number("x") + number("y")
    text = base64.encodebytes(der(0x30, algorithm, der(0x03, b"\0", key))).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n"


def make_material(binary, tokens_new):
    """Keys, tokens and one certificate that every proxy uses."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "tls.key", "-out", "tls.crt")
    os.chmod("tls.key", 0o600)
    pathlib.Path("tls.pem").write_text(pathlib.Path("tls.crt").read_text() + pathlib.Path("tls.key").read_text())
    os.chmod("tls.pem", 0o600)
    for algorithm in ALGORITHMS:
        name = algorithm.lower()
        if algorithm == "HS256":
            # HAProxy takes the secret as a word of its configuration, so it is made of hex digits, for everybody alike.
            secret = secrets.token_hex(32)
            pathlib.Path("hs256.secret").write_text(secret)
            os.chmod("hs256.secret", 0o600)
            encoded = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
            private = json.dumps({"keys": [{"kty": "oct", "kid": name, "alg": "HS256", "use": "sig", "k": encoded}]})
        else:
            private = run(binary, "keys", "generate", "--algorithm", algorithm, "--kid", name)
        pathlib.Path(f"{name}.jwks").write_text(private)
        os.chmod(f"{name}.jwks", 0o600)
        claims = {"iss": ISSUER, "aud": AUDIENCE, "roles": ["reader"], "scope": "orders:read orders:write", "email": "user@load.example"}
        for kind, count in (("warm", 100), ("new", tokens_new)):
            text = run(binary, "token", "sign", "--keys", f"{name}.jwks", "--ttl", "2h", "--count", str(count), "--claims",
                       json.dumps(claims | {"sub": "user-0001"}))
            pathlib.Path(f"{name}.{kind}.tokens").write_text(text)
    # jwt_verify of HAProxy wants PEM.
    for algorithm in ("RS256", "ES256"):
        jwk = json.loads(pathlib.Path(f"{algorithm.lower()}.jwks").read_text())["keys"][0]
        pathlib.Path(f"{algorithm.lower()}.pub.pem").write_text(public_pem(jwk))
    for algorithm in ("RS256", "ES256", "EdDSA"):
        public = run(binary, "keys", "public", "--keys", f"{algorithm.lower()}.jwks")
        pathlib.Path(f"{algorithm.lower()}.public.jwks").write_text(public)


def origin_config(port):
    big = "x" * 65536
    pathlib.Path("www").mkdir(exist_ok=True)
    pathlib.Path("www/big").write_text(big)
    return f"""daemon off; worker_processes 1; pid origin.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path o1; proxy_temp_path o2; fastcgi_temp_path o3; uwsgi_temp_path o4;
scgi_temp_path o5; client_max_body_size 20m; default_type text/plain; sendfile on; tcp_nopush on;
server {{ listen 127.0.0.1:{port} backlog=1024;
location / {{ return 200 "hello from the origin, in a small answer of some bytes\\n"; }}
location = /api/big {{ root www; rewrite .* /big break; }}
location = /api/post {{ proxy_pass http://127.0.0.1:{port}/; }} }} }}
"""


def nginx_config(port, origin):
    return f"""daemon off; worker_processes 1; pid nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path n1; proxy_temp_path n2; fastcgi_temp_path n3; uwsgi_temp_path n4;
scgi_temp_path n5; client_max_body_size 20m;
upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 100000000; }}
server {{ listen 127.0.0.1:{port} ssl backlog=1024; ssl_certificate tls.crt; ssl_certificate_key tls.key; ssl_protocols TLSv1.2 TLSv1.3;
location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; }} }} }}
"""


def haproxy_config(ports, origin):
    sections = [f"""global
  nbthread 1
  maxconn 4000
  tune.ssl.default-dh-param 2048
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
backend origin
  http-reuse always
  server o 127.0.0.1:{origin}
frontend clear
  bind 127.0.0.1:{ports["haproxy"]}
  default_backend origin
frontend pass
  bind 127.0.0.1:{ports["haproxy-tls"]} ssl crt tls.pem ssl-min-ver TLSv1.2
  default_backend origin
"""]
    secret = pathlib.Path("hs256.secret").read_text()
    for algorithm, key in (("HS256", secret), ("RS256", "rs256.pub.pem"), ("ES256", "es256.pub.pem")):
        sections.append(f"""frontend {algorithm}
  bind 127.0.0.1:{ports["haproxy-tls-" + algorithm.lower()]} ssl crt tls.pem ssl-min-ver TLSv1.2
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {ISSUER} }}
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("{algorithm}","{key}") 1 }}
  http-request set-header X-Auth-Subject %[var(txn.bearer),jwt_payload_query('$.sub')]
  http-request del-header Authorization
  default_backend origin
""")
    return "".join(sections)


def issuer_sections():
    issuers = []
    for algorithm in ALGORITHMS:
        name = algorithm.lower()
        keys = "secret_file: hs256.secret" if algorithm == "HS256" else f"jwks_file: {name}.public.jwks"
        issuers.append(f"""  - name: {name}
    issuer: "{ISSUER}"
    audiences: [{AUDIENCE}]
    algorithms: [{algorithm}]
    keys: {{ {keys} }}
""")
    return issuers


def write_gateway_configs(ports, origin):
    """One configuration per algorithm: an issuer is found by its exact name, so each has a gateway of its own."""
    pathlib.Path("gateway.policies.yaml").write_text("""version: 1
routes:
  - { name: public, match: { path: /public/** }, access: public, upstream: origin }
  - { name: api, match: { path: /api/** }, access: authenticated, upstream: origin }
""")
    for algorithm, issuer in zip(ALGORITHMS, issuer_sections()):
        name = algorithm.lower()
        pathlib.Path(f"gateway.{name}.yaml").write_text(f"""version: 1
workers: 1
listeners:
  - name: tls
    address: 127.0.0.1:{ports["sallyport-tls-" + name]}
    tls: {{ certificates: [ {{ certificate_file: tls.crt, key_file: tls.key }} ] }}
  - {{ name: plain, address: "127.0.0.1:{ports["sallyport-" + name]}" }}
admin: {{ address: "127.0.0.1:{ports["sallyport-admin-" + name]}" }}
issuers:
{issuer}upstreams:
  - name: origin
    servers: [ {{ url: "http://127.0.0.1:{origin}" }} ]
policies: [ gateway.policies.yaml ]
log: {{ level: warning, access: off, audit: off }}
""")


class Target:
    def __init__(self, name, process, url, tokens=None, method="GET", body=0, expect_status=200):
        self.name, self.process, self.url, self.tokens = name, process, url, tokens
        self.method, self.body, self.expect_status = method, body, expect_status
        self.samples = []

    def visit(self, seconds, core):
        before = self.process.cpu_nanoseconds()
        command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(ROOT / "load-tests/wrk/requests.lua"),
                   self.url, "--", self.method, str(self.body)] + ([self.tokens] if self.tokens else [])
        output = run(*command)
        after = self.process.cpu_nanoseconds()
        result = json.loads(re.search(r"^\{.*\}$", output, re.M).group(0))
        failed = sum(result[k] for k in ("errors_connect", "errors_read", "errors_write", "errors_timeout"))
        wrong = result["errors_status"] if self.expect_status < 400 else result["requests"] - result["errors_status"]
        if failed or wrong or not result["requests"]:
            sys.exit(f"{self.name}: not every answer was {self.expect_status}: {result}")
        result["cpu_us"] = (after - before) / 1000 / result["requests"]
        result["rps"] = result["requests"] / (result["microseconds"] / 1e6)
        self.samples.append(result)
        return result

    def median(self, key="cpu_us"):
        return statistics.median(s[key] for s in self.samples)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default=".", help="a regular expression over the targets' names; the reference always runs")
    parser.add_argument("--binary", default=str(ROOT / "build/release/sallyport"))
    parser.add_argument("--new-tokens", type=int, default=60000)
    parser.add_argument("--json", default=str(ROOT / "load-tests/results/compare.json"))
    parser.add_argument("--keep", action="store_true", help="keep the working folder")
    options = parser.parse_args()
    binary = str(pathlib.Path(options.binary).resolve())
    json_path = pathlib.Path(options.json).resolve()
    proxy_core, load_core = 0, 1 if os.cpu_count() > 1 else 0

    folder = tempfile.mkdtemp(prefix="sallyport-compare-")
    os.chmod(folder, 0o755)
    os.chdir(folder)
    processes = []
    try:
        make_material(binary, options.new_tokens)
        names = ["origin", "nginx-tls", "haproxy", "haproxy-tls"] + [f"haproxy-tls-{a}" for a in ("hs256", "rs256", "es256")]
        for algorithm in ALGORITHMS:
            names += [f"{kind}-{algorithm.lower()}" for kind in ("sallyport-tls", "sallyport", "sallyport-admin")]
        ports = {name: free_port() for name in names}
        user = "user root;\n" if os.getuid() == 0 else ""
        pathlib.Path("origin.conf").write_text(user + origin_config(ports["origin"]))
        pathlib.Path("nginx.conf").write_text(user + nginx_config(ports["nginx-tls"], ports["origin"]))
        pathlib.Path("haproxy.cfg").write_text(haproxy_config(ports, ports["origin"]))
        write_gateway_configs(ports, ports["origin"])

        def start(name, command, core, port):
            processes.append(Process(name, command, core, port))
            return processes[-1]

        nginx_bin, haproxy_bin = shutil.which("nginx", path="/usr/sbin:/usr/bin"), shutil.which("haproxy", path="/usr/sbin:/usr/bin")
        start("origin", [nginx_bin, "-p", folder, "-c", "origin.conf"], load_core, ports["origin"])
        nginx = start("nginx", [nginx_bin, "-p", folder, "-c", "nginx.conf"], proxy_core, ports["nginx-tls"])
        haproxy = start("haproxy", [haproxy_bin, "-db", "-f", "haproxy.cfg"], proxy_core, ports["haproxy-tls"])
        gateways = {}
        for algorithm in ALGORITHMS:
            name = algorithm.lower()
            gateways[name] = start(f"sallyport-{name}", [binary, "run", "--config", f"gateway.{name}.yaml"], proxy_core,
                                   ports[f"sallyport-tls-{name}"])

        def tls(port_name, path="/api/small"):
            return f"https://127.0.0.1:{ports[port_name]}{path}"

        warm, new = "es256.warm.tokens", "es256.new.tokens"
        gateway = gateways["es256"]
        reference = Target("haproxy tls pass-through", haproxy, tls("haproxy-tls"), warm)
        targets = [
            reference,
            Target("nginx tls pass-through", nginx, tls("nginx-tls"), warm),
            Target("sallyport tls public route", gateway, tls("sallyport-tls-es256", "/public/small"), warm),
            *[Target(f"haproxy tls {a} verified", haproxy, tls(f"haproxy-tls-{a.lower()}"), f"{a.lower()}.warm.tokens")
              for a in ("HS256", "RS256", "ES256")],
            *[Target(f"sallyport tls {a} warm", gateways[a.lower()], tls(f"sallyport-tls-{a.lower()}"), f"{a.lower()}.warm.tokens")
              for a in ALGORITHMS],
            *[Target(f"sallyport tls {a} new token each", gateways[a.lower()], tls(f"sallyport-tls-{a.lower()}"), f"{a.lower()}.new.tokens")
              for a in ALGORITHMS],
            Target("sallyport tls 401 without token", gateway, tls("sallyport-tls-es256"), None, expect_status=401),
            Target("haproxy tls 64 KiB answer", haproxy, tls("haproxy-tls", "/api/big"), warm),
            Target("nginx tls 64 KiB answer", nginx, tls("nginx-tls", "/api/big"), warm),
            Target("sallyport tls 64 KiB answer, ES256 warm", gateway, tls("sallyport-tls-es256", "/api/big"), warm),
            Target("haproxy tls POST 4 KiB", haproxy, tls("haproxy-tls", "/api/post"), warm, "POST", 4096),
            Target("sallyport tls POST 4 KiB, ES256 warm", gateway, tls("sallyport-tls-es256", "/api/post"), warm, "POST", 4096),
            Target("haproxy clear pass-through", haproxy, f"http://127.0.0.1:{ports['haproxy']}/api/small", warm),
            Target("sallyport clear public route", gateway, f"http://127.0.0.1:{ports['sallyport-es256']}/public/small", warm),
        ]
        chosen = [t for t in targets if t is reference or re.search(options.only, t.name)]
        for target in chosen:  # connections, caches and branch predictors of everybody are warm before it counts
            target.visit(1, load_core)
            target.samples.clear()
        for round_number in range(options.rounds):
            for target in chosen:
                result = target.visit(options.seconds, load_core)
                print(f"round {round_number + 1}  {target.name:45} {result['cpu_us']:8.2f} us/request  {result['rps']:9.0f}/s", flush=True)

        versions = {
            "sallyport": run(binary, "--version").strip(),
            "haproxy": run(haproxy_bin, "-v").splitlines()[0],
            "nginx": subprocess.run([nginx_bin, "-v"], capture_output=True, text=True).stderr.strip(),
            "openssl": run("openssl", "version").strip(),
            "kernel": os.uname().release,
            "cpu": next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown"),
        }
        print(f"\n{'CPU per request, median of ' + str(options.rounds) + ' rounds':47} {'us':>8} {'ratio':>7} {'lowest':>8} {'highest':>8}")
        rows = []
        for target in chosen:
            values = [s["cpu_us"] for s in target.samples]
            ratio = statistics.median(s["cpu_us"] / r["cpu_us"] for s, r in zip(target.samples, reference.samples))
            rows.append({"name": target.name, "cpu_us": target.median(), "ratio": ratio, "lowest": min(values), "highest": max(values),
                         "requests_per_second": target.median("rps"), "samples": target.samples})
            print(f"{target.name:47} {target.median():8.2f} {ratio:7.2f} {min(values):8.2f} {max(values):8.2f}")
        print("every answer had the status it should have")
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps({"reference": reference.name, "connections": CONNECTIONS, "rounds": options.rounds,
                                         "seconds": options.seconds, "versions": versions, "targets": rows}, indent=2) + "\n")
        print(f"written to {os.path.relpath(json_path, ROOT)}")
    finally:
        for process in reversed(processes):
            process.stop()
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
