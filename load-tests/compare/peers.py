"""The peers' configurations. All have one worker, the same certificate, TLS 1.2 and 1.3, kept connections to the same origin, no access log
unless it says so, and room for 10,000 connections."""
import json
import os
import pathlib

from compare.material import AUDIENCE, issuer_of

SMALL = "hello from the origin, in a small answer of some bytes\\n"
SIZES = {"4k": 4096, "64k": 65536, "1m": 1024 * 1024}


def _nginx_head(name: str, modules: str = "") -> str:
    user = "user root;\n" if os.getuid() == 0 else ""
    temporary = " ".join(f"{kind}_temp_path {name}.{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return f"""{user}{modules}daemon off; worker_processes 1; pid {name}.pid; error_log stderr error; worker_rlimit_nofile 60000;
events {{ worker_connections 30000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; client_max_body_size 20m; {temporary}
"""


_LUA = "load_module /usr/lib/nginx/modules/ndk_http_module.so;\nload_module /usr/lib/nginx/modules/ngx_http_lua_module.so;\n"
_PROXY = """proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;"""


def _upstream(origin: int) -> str:
    return f"upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}\n"


def _tls(port: int) -> str:
    return (f"listen 127.0.0.1:{port} ssl backlog=1024; ssl_certificate tls.crt; ssl_certificate_key tls.key; ssl_protocols TLSv1.2 TLSv1.3;\n"
            "ssl_session_tickets on; ssl_session_cache none;\n")


def origin(port: int) -> str:
    pathlib.Path("www").mkdir(exist_ok=True)
    for name, size in SIZES.items():
        pathlib.Path(f"www/{name}").write_text("x" * size)
    files = "\n".join(f"location = /api/{name} {{ root www; rewrite .* /{name} break; }}" for name in SIZES)
    return _nginx_head("origin") + f"""default_type text/plain; sendfile on; tcp_nopush on;
server {{ listen 127.0.0.1:{port} backlog=1024;
location / {{ return 200 "{SMALL}"; }}
{files}
location = /api/post {{ proxy_pass http://127.0.0.1:{port}/; }} }} }}
"""


def nginx(port: int, origin_port: int) -> str:
    return _nginx_head("nginx") + _upstream(origin_port) + f"server {{ {_tls(port)} location / {{ {_PROXY} }} }} }}\n"


_LOOK_UP = """
local redis = require "nginx.redis":new()
redis:set_timeout(5000)
local ok = redis:connect("127.0.0.1", %d)
if not ok then return ngx.exit(503) end
local record, trouble = redis:get("sallyport:session:{" .. (ngx.var.cookie_sid or "") .. "}")
if trouble then return ngx.exit(503) end
redis:set_keepalive(60000, 256)
if record == ngx.null then return ngx.exit(401) end
"""
# The least that a script can do: whose it is, and whether it is still good.
_SUBJECT = """
local subject = string.match(record, '"subject":"([^"]*)"')
local idle = tonumber(string.match(record, '"idle":(%d+)'))
if not subject or not idle or idle <= ngx.now() * 1000 then return ngx.exit(401) end
"""


# What the gateway tells of it: the record is read as JSON, both ends count, and each identity header is set.
_IDENTITY = """
local session = require "cjson.safe".decode(record)
local now = ngx.now() * 1000
if type(session) ~= "table" or type(session.subject) ~= "string" or type(session.idle) ~= "number" or type(session.ends) ~= "number" or
   session.idle <= now or session.ends <= now then return ngx.exit(401) end
local claims = type(session.claims) == "table" and session.claims or {}
local set = ngx.req.set_header
set("X-Auth-Subject", session.subject)
set("X-Auth-Issuer", "https://gateway.load.example")
set("X-Auth-Method", "session")
set("X-Auth-Roles", type(claims.roles) == "table" and table.concat(claims.roles, ",") or nil)
set("X-Auth-Scopes", type(claims.scope) == "string" and string.gsub(claims.scope, " ", ",") or nil)
"""


def nginx_lua(port: int, identity_port: int, service_port: int, origin_port: int, redis_port: int) -> str:
    """Looks the session up in Redis for each request, as scripts do: for the subject alone, on `identity_port` for all that the gateway tells,
    on `service_port` as a service that another nginx asks."""
    look_up = _LOOK_UP % redis_port
    subject = look_up + _SUBJECT
    return _nginx_head("nginx-lua", _LUA) + _upstream(origin_port) + f"""
lua_package_path "/usr/share/lua/5.1/?.lua;;"; lua_socket_log_errors off;
server {{ {_tls(port)} location / {{
access_by_lua_block {{ {subject} ngx.req.set_header("X-Auth-Subject", subject) }}
{_PROXY} }} }}
server {{ {_tls(identity_port)} location / {{
access_by_lua_block {{ {look_up} {_IDENTITY} }}
{_PROXY} }} }}
server {{ listen 127.0.0.1:{service_port} backlog=1024;
location / {{ content_by_lua_block {{ {subject} ngx.header["X-Auth-Subject"] = subject; ngx.exit(200) }} }} }} }}
"""


def nginx_auth_request(port: int, origin_port: int, service_port: int) -> str:
    return _nginx_head("nginx-auth") + _upstream(origin_port) + f"""
upstream sessions {{ server 127.0.0.1:{service_port}; keepalive 256; keepalive_requests 1000000000; }}
server {{ {_tls(port)}
location / {{ auth_request /-/session; auth_request_set $subject $upstream_http_x_auth_subject; proxy_set_header X-Auth-Subject $subject; {_PROXY} }}
location = /-/session {{ internal; proxy_pass http://sessions; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_pass_request_body off; proxy_set_header Content-Length ""; }} }} }}
"""


def _haproxy_verifying(algorithm: str, port: int) -> str:
    key = pathlib.Path("hs256.secret").read_text() if algorithm == "HS256" else f"{algorithm.lower()}.pub.pem"
    return f"""frontend {algorithm}
  bind 127.0.0.1:{port} ssl crt tls.pem ssl-min-ver TLSv1.2
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer_of(algorithm)} }}
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.exp),sub(txn.now) -m int gt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("{algorithm}","{key}") 1 }}
  http-request set-header X-Auth-Subject %[var(txn.bearer),jwt_payload_query('$.sub')]
  http-request del-header Authorization
  default_backend origin
"""


def haproxy(ports: dict[str, int], origin_port: int) -> str:
    """`ports`: clear, tls, log, HS256, RS256, ES256. The lines of `log` go to its standard output, which is a file."""
    return f"""global
  nbthread 1
  maxconn 12000
  no strict-limits
  tune.ssl.default-dh-param 2048
  log stdout format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option forwardfor
backend origin
  http-reuse always
  server o 127.0.0.1:{origin_port}
frontend clear
  bind 127.0.0.1:{ports["clear"]}
  default_backend origin
frontend pass
  bind 127.0.0.1:{ports["tls"]} ssl crt tls.pem ssl-min-ver TLSv1.2
  default_backend origin
frontend log
  bind 127.0.0.1:{ports["log"]} ssl crt tls.pem ssl-min-ver TLSv1.2
  log global
  option httplog
  default_backend origin
""" + "".join(_haproxy_verifying(algorithm, ports[algorithm]) for algorithm in ("HS256", "RS256", "ES256"))


def apache(port: int, origin_port: int, algorithm: str) -> str:
    """mod_oauth2 with its cache of verified tokens."""
    modules = {name: f"mod_{name}" for name in ("mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "ssl",
                                                "socache_shmcb", "headers")}
    loads = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/{file}.so\n" for name, file in modules.items())
    user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
    folder = os.getcwd()
    key = json.dumps(json.loads(pathlib.Path(f"{algorithm.lower()}.public.jwks").read_text())["keys"][0], separators=(",", ":")).replace('"', '\\"')
    return f"""ServerRoot "{folder}"
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ServerName localhost
Listen 127.0.0.1:{port}
{loads}LoadModule oauth2_module /usr/lib/apache2/modules/mod_oauth2.so
{user}ErrorLog /dev/stderr
LogLevel error
StartServers 1
ServerLimit 1
ThreadsPerChild 128
ThreadLimit 128
MaxRequestWorkers 128
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
SSLEngine on
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLCertificateFile {folder}/tls.crt
SSLCertificateKeyFile {folder}/tls.key
OAuth2TokenVerify jwk "{key}" verify.exp=required
ProxyPass / http://127.0.0.1:{origin_port}/ keepalive=On
<Location />
  AuthType oauth2
  Require valid-user
  OAuth2TargetPass "prefix=X-Auth-&headers=true"
</Location>
"""
