#!/usr/bin/env bash
# Prints each id of hazards.txt that no test's name carries and that hazards_later.txt does not excuse; exits 0 when there is none.
#
# A name is that of a C++ TEST, TEST_F, TEST_P or TYPED_TEST, or of a Python test_ method; ids stand in it between underscores or at its
# ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

ids_of() { sed -nE 's/^([A-Z][0-9]{2}) .+/\1/p' "$1" | sort -u; }

# A name per line: `TEST(Suite, A07_Refuses…)` may be broken over two lines.
names() {
  find . -name '*.cpp' -exec cat {} + | tr '\n' ' ' | grep -oE '\b(TYPED_)?TEST(_[FP])?\([^)]*\)' || true
  find . -name 'test_*.py' -exec cat {} + | grep -oE 'def test_[A-Za-z0-9_]+' || true
}

named=$(names | grep -oE '(^|[^A-Za-z0-9])[A-Z][0-9]{2}(_[A-Z][0-9]{2})*($|[^0-9A-Za-z])' | grep -oE '[A-Z][0-9]{2}' | sort -u)
wanted=$(ids_of hazards.txt)
later=$(ids_of hazards_later.txt)
missing=$(comm -23 <(comm -23 <(echo "$wanted") <(echo "$named")) <(echo "$later"))
came=$(comm -12 <(echo "$named") <(echo "$later") | tr '\n' ' ')

held=$(comm -12 <(echo "$wanted") <(echo "$named"))
echo "$(wc -l <<<"$wanted") hazards: $(wc -l <<<"$held") named by tests, $(wc -l <<<"$later") left for later"
[[ -z $came ]] || echo "named by a test and still in hazards_later.txt: $came"
[[ -n $missing ]] || exit 0
echo "named by no test:"
while read -r id; do grep "^$id " hazards.txt | sed 's/^/  /'; done <<<"$missing"
exit 1
