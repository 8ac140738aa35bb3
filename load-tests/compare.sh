#!/usr/bin/env bash
# What the gateway costs beside HAProxy, nginx and Apache on the same job, in one interleaved run. See load-tests/README.md.
#   load-tests/compare.sh [--group jwt,sessions,…|all] [--only REGEX] [--rounds 3] [--seconds 4] [--binary build/release/sallyport]
set -euo pipefail
cd "$(dirname "$0")/.."
deploy/install-dependencies.sh build test load
if [[ ! -x build/release/sallyport || ! -x build/release/load-tests/client/load_client || ! -x build/release/load-tests/micro/micro_benchmarks ]]; then
  cmake --preset release
  cmake --build --preset release --target sallyport load_client micro_benchmarks
fi
PYTHONPATH=load-tests PYTHONDONTWRITEBYTECODE=1 exec python3 -m compare "$@"
