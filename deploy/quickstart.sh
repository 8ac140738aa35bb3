#!/usr/bin/env bash
# From a bare Debian 12 to a running gateway.
#
#   deploy/quickstart.sh          builds, makes demo keys, starts two small services and the gateway, prints a tour, runs until Ctrl-C
#   deploy/quickstart.sh --tour   takes the tour itself and exits 0 only if every answer was the one promised
#
# Everything it makes stands under build/ and demo/, both ignored by git; demo/ may be deleted at any time.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repository"
# shellcheck source=deploy/demo/tour.sh
source deploy/demo/tour.sh
sallyport=build/release/sallyport
children=()

case ${1-} in
  '') take_tour=no ;;
  --tour) take_tour=yes ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [[ $1 == -h || $1 == --help ]] && exit 0; exit 2 ;;
esac

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

stop_children() {
  local child
  trap - INT TERM
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  for child in "${children[@]}"; do wait "$child" 2>/dev/null || true; done
  children=()
}
trap stop_children EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

check_ports() {
  local port taken=()
  for port in 8443 8080 9901 9001 9002; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then taken+=("$port"); fi
  done
  [[ ${#taken[@]} -eq 0 ]] || fail "the demo needs the ports 8443, 8080, 9901, 9001 and 9002 of 127.0.0.1, and something already answers on: \
${taken[*]}. Stop it (\`ss -ltnp\` shows who it is) and start again."
}

build() {
  # What is slow says that it works; its output is only shown when it fails.
  local log=build/quickstart.log
  mkdir -p build
  echo "Building $sallyport (about five minutes the first time; the output goes to $log) …"
  if ! { cmake --preset release && cmake --build --preset release --target sallyport; } >"$log" 2>&1; then
    tail -40 "$log" >&2
    fail "the build failed; its whole output is in $log"
  fi
}

# A certificate authority for this demo alone, and a certificate of it for localhost.
make_certificates() {
  [[ -f demo/tls/localhost.crt ]] && openssl x509 -in demo/tls/localhost.crt -noout -checkend 86400 >/dev/null && return
  mkdir -p demo/tls
  ( umask 077
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out demo/tls/ca.key
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out demo/tls/localhost.key
  ) 2>/dev/null
  openssl req -x509 -new -key demo/tls/ca.key -sha256 -days 365 -subj "/CN=Sallyport demo CA" -out demo/tls/ca.crt \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"
  openssl req -new -key demo/tls/localhost.key -subj "/CN=localhost" -out demo/tls/localhost.csr
  openssl x509 -req -in demo/tls/localhost.csr -CA demo/tls/ca.crt -CAkey demo/tls/ca.key -CAcreateserial -sha256 -days 90 \
    -out demo/tls/localhost.crt -extfile <(printf '%s\n' "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" \
    "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" "extendedKeyUsage=serverAuth") 2>/dev/null
  rm -f demo/tls/localhost.csr
}

make_keys() {
  local name
  mkdir -p demo/keys
  for name in ES256 RS256 edge; do  # two of the demo's issuer, and the gateway's own
    [[ -s demo/keys/$name.private.jwks.json ]] ||
      ( umask 077; "$sallyport" keys generate --algorithm "${name/edge/ES256}" --kid "demo-$name" >"demo/keys/$name.private.jwks.json" )
  done
  python3 deploy/demo/public_keys.py demo/keys/{ES256,RS256}.private.jwks.json >demo/keys/demo.public.jwks.json
}

# token FILE CLAIMS [ALGORITHM]: one token of the demo's issuer.
token() {
  local now
  now=$(date +%s)
  python3 -c '
import json, sys
now = int(sys.argv[1])
claims = {"iss": "https://issuer.demo.example", "aud": "demo", "iat": now, "exp": now + 12 * 3600}
claims.update(json.loads(sys.argv[2]))
print(json.dumps(claims))' "$now" "$2" >demo/tokens/claims.json
  ( umask 077
    "$sallyport" token sign --keys "demo/keys/${3-ES256}.private.jwks.json" --claims "$(cat demo/tokens/claims.json)" >"demo/tokens/$1.jwt" )
  rm demo/tokens/claims.json
}

make_tokens() {
  mkdir -p demo/tokens
  token alice '{"sub": "alice", "roles": ["reader", "writer"], "scope": "orders:read orders:write"}'
  token alice-rs256 '{"sub": "alice", "roles": ["reader"], "scope": "orders:read"}' RS256
  token bob '{"sub": "bob", "roles": ["reader"], "scope": "orders:read"}'
  token admin '{"sub": "root", "roles": ["admin"], "scope": "reports:read"}'
  token expired "{\"sub\": \"alice\", \"iat\": $(($(date +%s) - 7200)), \"exp\": $(($(date +%s) - 3600))}"
  token wrong-audience '{"sub": "alice", "aud": "another-service"}'
  python3 deploy/demo/forge_tokens.py demo/tokens/alice.jwt demo/keys/demo.public.jwks.json demo/tokens
}

# wait_for NAME PID URL
wait_for() {
  local attempt
  for attempt in {1..100}; do
    curl --silent --fail --output /dev/null --max-time 1 "$3" && return
    kill -0 "$2" 2>/dev/null || break
    sleep 0.1
  done
  tail -20 "demo/$1.log" >&2
  fail "the $1 did not start; its output is in demo/$1.log"
}

start() {
  mkdir -p demo/state
  python3 deploy/demo/echo_service.py --port 9001 >demo/echo.log 2>&1 &
  children+=($!)
  python3 deploy/demo/accounts_service.py --port 9002 >demo/accounts.log 2>&1 &
  children+=($!)
  "$sallyport" run --config config/demo.yaml >demo/gateway.log 2>&1 &
  children+=($!)
  wait_for echo "${children[0]}" http://127.0.0.1:9001/healthz
  wait_for accounts "${children[1]}" http://127.0.0.1:9002/healthz
  wait_for gateway "${children[2]}" http://127.0.0.1:9901/readyz
}

deploy/install-dependencies.sh build test
check_ports
build
make_certificates
make_keys
make_tokens
start
say "Sallyport listens on https://localhost:8443 and http://localhost:8080, in front of an echo service (9001) and
the accounts service (9002), where alice signs in with the password wonderland and bob with builder."
echo "Its log is demo/gateway.log; its configuration config/demo.yaml and policies/demo.yaml."

if [[ $take_tour == yes ]]; then
  run_tour
else
  print_tour
  say "Running until Ctrl-C."
  status=0
  wait -n "${children[@]}" || status=$?
  fail "one of the processes ended with status $status; see demo/*.log"
fi
