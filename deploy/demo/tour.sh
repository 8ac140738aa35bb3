# The tour of the demo: one list of requests, which quickstart.sh either prints for pasting or runs and checks.
# shellcheck shell=bash
#
#   ask TITLE STATUS EXPECT... -- COMMAND
#
# COMMAND is a line of shell that works as pasted in the repository's folder. STATUS is the answer's. EXPECT is `+PATTERN`, which a line of
# the answer (fields and body) must match, or `-PATTERN`, which none may; extended regular expressions, letter case aside.

tour() {
  local https="https://localhost:8443" curl="curl --cacert demo/tls/ca.crt"
  as() { echo "-H \"Authorization: Bearer \$(cat demo/tokens/$1.jwt)\""; }

  chapter "Who are you?"
  ask "A public page needs no token, and the service is told so" 200 '+X-Auth-Method: anonymous' '-X-Auth-Subject' -- \
    "$curl $https/public/hello"
  ask "A valid ES256 token: the service sees who it is, and never the token" 200 \
    '+X-Auth-Subject: alice' '+X-Auth-Issuer: https://issuer\.demo\.example' '+X-Auth-Method: jwt' '+X-Auth-Roles: reader,writer' \
    '+X-Auth-Scopes: orders:read,orders:write' '-"Authorization' -- \
    "$curl $(as alice) $https/api/orders"
  ask "The same by RS256" 200 '+X-Auth-Subject: alice' -- \
    "$curl $(as alice-rs256) $https/api/orders"
  ask "A body goes along, whatever its size" 200 '+X-Auth-Subject: alice' '+"bytes": 11' -- \
    "$curl $(as alice) --data 'hello there' $https/api/orders"
  ask "No token" 401 '+WWW-Authenticate: Bearer' '+application/problem\+json' -- \
    "$curl $https/api/orders"

  chapter "Tokens that are no good"
  ask "Expired" 401 '+error="invalid_token"' -- \
    "$curl $(as expired) $https/api/orders"
  ask "Meant for another service (aud)" 401 '+error="invalid_token"' -- \
    "$curl $(as wrong-audience) $https/api/orders"
  ask "alg: none" 401 '+error="invalid_token"' -- \
    "$curl $(as alg-none) $https/api/orders"
  ask "HS256, signed with the public key as if it were a secret" 401 '+error="invalid_token"' -- \
    "$curl $(as public-key-as-secret) $https/api/orders"

  chapter "May you?"
  ask "Alice is no admin" 403 '-X-Auth-Subject' -- \
    "$curl $(as alice) $https/admin/users"
  ask "An admin is" 200 '+X-Auth-Subject: root' '+X-Auth-Roles: admin' -- \
    "$curl $(as admin) $https/admin/users"
  ask "Alice reads her own profile" 200 '+X-Auth-Subject: alice' -- \
    "$curl $(as alice) $https/users/alice/profile"
  ask "But not Bob's" 403 '-X-Auth-Subject' -- \
    "$curl $(as alice) $https/users/bob/profile"
  ask "A missing scope is named" 403 '+error="insufficient_scope".*scope="reports:read"' -- \
    "$curl $(as alice) $https/reports/2026"
  ask "With the scope" 200 '+X-Auth-Subject: root' -- \
    "$curl $(as admin) $https/reports/2026"

  chapter "Pretending"
  ask "Identity headers of the caller's own never arrive, in no spelling, not even on a public page" 200 \
    '-mallory' '+X-Auth-Method: anonymous' -- \
    "$curl -H 'X-Auth-Subject: mallory' -H 'x_auth_subject: mallory' $https/public/hello"
  ask "Nor beside a token: the verified name is the only one" 200 '-mallory' '+X-Auth-Subject: alice' -- \
    "$curl $(as alice) -H 'X-Auth-Subject: mallory' -H 'X_Auth_Subject: mallory' $https/api/orders"
  not_forwarded "A path that climbs out of the public pages never reaches the service" 400 -- \
    "$curl --path-as-is $https/public/../admin"
  not_forwarded "Nor when the dots are disguised" 400 -- \
    "$curl --path-as-is $https/public/%2e%2e/admin"
  not_forwarded "What no route names is not there" 404 -- \
    "$curl $https/secret"
}

# ---- printing ----------------------------------------------------------------------------------------------------------------------

print_tour() {
  chapter() { printf '\n\033[1m# %s\033[0m\n' "$1"; }
  ask() {
    local title=$1 status=$2
    printf '# %s: %s\n%s\n' "$title" "$status" "${*: -1}"
  }
  not_forwarded() { ask "$@"; }
  say "A tour to paste into another terminal:"
  echo "cd $PWD"
  tour
}

# ---- running -----------------------------------------------------------------------------------------------------------------------

run_tour() {
  tour_answer=$(mktemp -d)
  tour_steps=0
  tour_failures=0
  chapter() { say "$1"; }
  ask() { run_step "$@"; }
  not_forwarded() {
    local before after
    before=$(forwarded_count)
    run_step "$@"
    after=$(forwarded_count)
    if [[ $before == "$after" ]]; then
      echo "   the service saw nothing: its counter stays at $after"
    else
      wrong "the service's counter went from $before to $after"
    fi
  }
  tour
  rm -rf "$tour_answer"
  say "$tour_steps requests, $tour_failures not as promised."
  [[ $tour_failures -eq 0 && $tour_steps -gt 0 ]]
}

forwarded_count() { curl --silent --show-error --fail http://127.0.0.1:9001/-/count | tr -dc 0-9; }

wrong() {
  printf '   \033[31mNOT AS PROMISED: %s\033[0m\n' "$1"
  tour_failures=$((tour_failures + 1))
}

run_step() {
  local title=$1 expected=$2 expect=() command status pattern
  shift 2
  while [[ $1 != -- ]]; do expect+=("$1"); shift; done
  command=$2
  tour_steps=$((tour_steps + 1))
  printf '\n%2d. %s\n   $ %s\n' "$tour_steps" "$title" "$command"
  : >"$tour_answer/head"; : >"$tour_answer/body"
  status=$(bash -c "$command --silent --show-error --max-time 10 --dump-header $tour_answer/head --output $tour_answer/body \
    --write-out '%{http_code}'") || true
  show_answer
  cat "$tour_answer/head" "$tour_answer/body" >"$tour_answer/all"
  [[ $status == "$expected" ]] || wrong "expected $expected, and it was $status"
  for pattern in "${expect[@]}"; do
    case $pattern in
      +*) grep -qiE -e "${pattern#+}" "$tour_answer/all" || wrong "nothing in the answer matches: ${pattern#+}" ;;
      -*) ! grep -qiE -e "${pattern#-}" "$tour_answer/all" || wrong "this must not be in the answer: ${pattern#-}" ;;
    esac
  done
}

# The status line, the challenge where there is one, and the body.
show_answer() {
  head -1 "$tour_answer/head" | tr -d '\r' | sed 's/^/   → /'
  grep -i '^www-authenticate:' "$tour_answer/head" | tr -d '\r' | sed 's/^/     /' || true
  head -c 3000 "$tour_answer/body" | sed 's/^/     /'
  [[ -z $(tail -c 1 "$tour_answer/body") ]] || echo
}
