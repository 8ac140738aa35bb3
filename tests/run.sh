#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test; ends with ctest's summary and exits with its status.
#
#   tests/run.sh [--preset release|dev|asan|tsan|release-clang|fuzz|coverage] [--jobs N] [--no-install] [-- CTEST-ARGUMENTS...]
#
#   tests/run.sh                            the release preset, everything
#   tests/run.sh --preset asan              the same under the address and undefined-behaviour sanitizers
#   tests/run.sh -- -L journey              one label: unit, vectors, corpus, journey, wire
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
jobs=$(nproc)
install=yes
while [[ $# -gt 0 ]]; do
  case $1 in
    --preset) preset=${2:?"--preset needs a name"}; shift 2 ;;
    --jobs) jobs=${2:?"--jobs needs a number"}; shift 2 ;;
    --no-install) install=no; shift ;;
    --) shift; break ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [[ $1 == -h || $1 == --help ]] && exit 0; exit 2 ;;
  esac
done

began=$SECONDS
took() { printf '== %s: %d s\n' "$1" $((SECONDS - began)); began=$SECONDS; }

if [[ $install == yes ]]; then
  groups=(build test)
  case $preset in asan | tsan | fuzz | release-clang) groups+=(clang) ;; esac
  deploy/install-dependencies.sh "${groups[@]}"
  took "dependencies"
fi

cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$jobs"
took "build ($preset)"

# A finding of a sanitizer ends the process with an error, so that the test which made it fails.
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1:halt_on_error=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS-halt_on_error=1:second_deadlock_stack=1}"

ctest --preset "$preset" --parallel "$jobs" --no-tests=error "$@"
