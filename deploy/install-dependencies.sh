#!/usr/bin/env bash
# Installs from Debian 12 what a job needs, and only what is missing.
#
#   deploy/install-dependencies.sh [build] [test] [load] [clang]      # without a group: build and test
#
#   build   compiler, CMake and the libraries that the gateway is made of
#   test    what the tests and the quick start use besides: Python, curl, the openssl command, valgrind
#   load    HAProxy, nginx with Lua and Apache, which load-tests/ compares with, wrk, gnuplot, slowhttptest and testssl.sh; none is left running
#   clang   clang 19 with its sanitizers, fuzzer, clang-tidy and clang-format
set -euo pipefail

build=(
  "g++: the compiler (GCC 12)"
  "cmake: configures the build"
  "ninja-build: runs the build"
  "ccache: makes a second build quick"
  "mold: links quickly"
  "libboost1.81-dev: Asio, the sockets below ours; Beast, which tests ask for a second opinion"
  "libssl-dev: TLS and signatures"
  "libsimdjson-dev: JSON of tokens and keys"
  "libyaml-cpp-dev: configuration files"
  "libfmt-dev: formatting"
  "libcli11-dev: the command line"
  "libgoogle-perftools-dev: the allocator, tcmalloc"
  "libhiredis-dev: the codec of the Redis protocol"
  "libsqlite3-dev: the embedded store's file"
  "prometheus-cpp-dev: the metrics' text form"
  "libgtest-dev: unit tests"
  "libgmock-dev: unit tests"
  "libbenchmark-dev: micro-benchmarks"
)
test=(
  "python3: journey and wire tests, and the demo's echo service"
  "python3-yaml: reads the published desync cases"
  "curl: the tour"
  "redis-server: the shared store; started by the tests on ports of their own"
  "nodejs: the express application of the journey over foreign sessions"
  "npm: its packages"
  "openssl: test certificates and independently signed tokens"
  "valgrind: counts the instructions that load-tests/budgets.yaml bounds"
)
load=(
  "haproxy: the proxy that we compare ourselves with"
  "nginx-light: another one, and the origin of the load tests"
  "libnginx-mod-http-lua: nginx with scripts, which look sessions up"
  "lua-nginx-redis: in Redis"
  "lua-cjson: and read them"
  "apache2-bin: Apache, for its OAuth 2.0 module"
  "libapache2-mod-oauth2: verifies tokens and remembers them"
  "wrk: makes the load"
  "slowhttptest: makes slow clients"
  "testssl.sh: looks at the TLS of a listener"
  "python3: computes the table"
  "gnuplot-nox: draws it"
)
clang=(
  "clang-19: the second compiler, for sanitizers and fuzzing"
  "libclang-rt-19-dev: the sanitizers and libFuzzer"
  "llvm-19: readable stacks in their reports"
  "clang-tidy-19: static checks"
  "clang-format-19: layout"
)

usage() { sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# Node.js comes from elsewhere on many machines, and Debian's packages of it would not fit beside that one.
is_installed() {
  case $1 in
    nodejs) command -v node >/dev/null && return ;;
    npm) command -v npm >/dev/null && return ;;
  esac
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

groups=("$@")
[[ $# -gt 0 ]] || groups=(build test)
missing=()
for group in "${groups[@]}"; do
  case $group in
    build | test | load | clang) declare -n entries=$group ;;
    -h | --help) usage; exit 0 ;;
    *) echo "$0: unknown group '$group'" >&2; usage >&2; exit 2 ;;
  esac
  for entry in "${entries[@]}"; do
    package=${entry%%:*}
    if ! is_installed "$package" && [[ " ${missing[*]-} " != *" $package "* ]]; then
      [[ ${#missing[@]} -gt 0 ]] || echo "These Debian packages are missing and will be installed:"
      printf '  %-22s %s\n' "$package" "${entry#*: }"
      missing+=("$package")
    fi
  done
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "$0: apt-get is not here; install the packages above in this system's way" >&2
  exit 1
fi
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "$0: not root, and there is no sudo; as root run: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "(through sudo, because you are not root)"
fi

# Debian starts a service when its package is installed. HAProxy, nginx and Redis are only wanted as programs, so for the time of the
# installation a policy says no; an administrator's own policy stays as it is.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'as_root rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
fi

log=$(mktemp)
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
if ! { apt update && apt install --no-install-recommends "${missing[@]}"; }; then
  tail -30 "$log" >&2
  echo "$0: apt-get failed; its whole output is in $log" >&2
  exit 1
fi
rm -f "$log"

# Nor at the next boot.
for service in haproxy nginx redis-server; do
  if [[ " ${missing[*]} " == *" $service"* && -d /run/systemd/system ]]; then
    as_root systemctl disable --quiet "$service" || true
  fi
done
echo "Installed: ${missing[*]}"
