#!/usr/bin/env bash
# CPU per request of the gateway beside HAProxy and nginx, on the same job, in one interleaved run. See load-tests/README.md.
#   load-tests/compare.sh [--rounds 3] [--seconds 4] [--only REGEX] [--binary build/release/sallyport]
set -euo pipefail
cd "$(dirname "$0")/.."
deploy/install-dependencies.sh load test
if [[ ! -x build/release/sallyport ]]; then
  cmake --preset release
  cmake --build --preset release --target sallyport
fi
exec python3 load-tests/compare.py "$@"
