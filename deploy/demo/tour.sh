# The tour of the demo: one list of requests, which quickstart.sh either prints for pasting or runs and checks.
# shellcheck shell=bash
#
#   ask TITLE STATUS EXPECT... -- COMMAND
#
# COMMAND is a line of shell that works as pasted in the repository's folder. STATUS is the answer's. EXPECT is `+PATTERN`, which a line of
# the answer (fields and body) must match, or `-PATTERN`, which none may; extended regular expressions, letter case aside; or `=NAME FILE`:
# this field of the answer's JSON must be the one in that file.
#
#   not_forwarded …               the same, and the service must not have been asked
#   keep FILE …                   the same, and the answer's body becomes that file
#   pause SECONDS WHY
#   operate TITLE -- COMMAND      a command that must succeed

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

  tour_of_sessions
  tour_of_tokens
  tour_of_revocation
}

tour_of_sessions() {
  local session="$curl -b demo/tokens/cookies"

  chapter "Signing in: a session"
  ask "The form is the accounts service's" 200 '+<form' -- \
    "$curl $https/login"
  ask "A wrong password makes nobody" 401 '-set-cookie' -- \
    "$curl -d user=bob -d password=guessed $https/login"
  ask "The right one makes a session: the service said who it is, and the gateway keeps that for itself" 200 \
    '+set-cookie: __Host-session=[A-Za-z0-9_-]{64};.*HttpOnly' '-x-auth-establish' -- \
    "$curl -c demo/tokens/cookies -d user=bob -d password=builder $https/login"
  ask "The cookie is enough, and no service sees it" 200 '+X-Auth-Subject: bob' '+X-Auth-Method: session' '-__Host-session' -- \
    "$session $https/api/orders"
  not_forwarded "A page of another site makes the browser post: refused" 403 -- \
    "$session -H 'Origin: https://evil.example' -d amount=1000 $https/api/orders"
  ask "A page of our own may" 200 '+X-Auth-Subject: bob' -- \
    "$session -H 'Origin: https://localhost:8443' -d amount=10 $https/api/orders"
  not_forwarded "A made-up cookie of the right form costs the store nothing" 401 -- \
    "$curl -H 'Cookie: __Host-session=$(printf 'A%.0s' {1..64})' $https/api/orders"
}

tour_of_tokens() {
  local first=demo/tokens/first.json second=demo/tokens/second.json
  bearer() { echo "-H \"Authorization: Bearer \$(deploy/demo/field.py $1 access_token)\""; }
  refresh() {
    echo "$curl -d grant_type=refresh_token -d \"refresh_token=\$(deploy/demo/field.py $1 refresh_token)\" $https/.gateway/refresh"
  }

  chapter "Signing in: a token pair"
  keep $first "An app that is no browser gets tokens" 200 '+"access_token"' '+"refresh_token"' '+"token_type": ?"Bearer"' -- \
    "$curl -d user=bob -d password=builder $https/token"
  ask "Signed by the gateway, verified like any issuer's" 200 '+X-Auth-Subject: bob' '+X-Auth-Issuer: https://gateway\.demo\.example' \
    '+X-Auth-Method: jwt' -- \
    "$curl $(bearer $first) $https/api/orders"
  ask "Everybody may check the signature" 200 '+"keys"' '-"d"' -- \
    "$curl $https/.gateway/jwks.json"
  keep $second "A refresh token is spent once, and gives the next pair" 200 '+"refresh_token"' -- \
    "$(refresh $first)"
  ask "Again at once, because the answer may have been lost: the same successor" 200 "=refresh_token $second" -- \
    "$(refresh $first)"
  pause 5.5 "the window in which a lost answer may be asked for again is five seconds here"
  ask "After that it is theft" 400 '+invalid_grant' -- \
    "$(refresh $first)"
  ask "So the thief's and the owner's tokens end alike" 400 '+invalid_grant' -- \
    "$(refresh $second)"
  not_forwarded "Access tokens included, although they have not expired" 401 '+error="invalid_token"' -- \
    "$curl $(bearer $second) $https/api/orders"
}

tour_of_revocation() {
  local session="$curl -b demo/tokens/cookies"

  chapter "Signing out"
  operate "An operator ends everything that bob has" -- \
    "build/release/sallyport revoke --config config/demo.yaml --subject bob"
  not_forwarded "His session is over, from this moment" 401 -- \
    "$session $https/api/orders"
  not_forwarded "And so is a token that another issuer signed, and that nobody could call back before" 401 '+error="invalid_token"' -- \
    "$curl $(as bob) $https/api/orders"
  ask "Alice is not concerned" 200 '+X-Auth-Subject: alice' -- \
    "$curl $(as alice) $https/api/orders"
  ask "Bob may sign in again" 200 '+set-cookie: __Host-session=' -- \
    "$curl -c demo/tokens/cookies -d user=bob -d password=builder $https/login"
  ask "And out, by himself" 204 '+clear-site-data' '+set-cookie: __Host-session=;.*Max-Age=0' -- \
    "$session -X POST -H 'Origin: https://localhost:8443' $https/.gateway/logout"
  not_forwarded "A copy of the cookie is worth nothing then" 401 -- \
    "$session $https/api/orders"
}

# ---- printing ----------------------------------------------------------------------------------------------------------------------

print_tour() {
  chapter() { printf '\n\033[1m# %s\033[0m\n' "$1"; }
  ask() {
    local title=$1 status=$2
    printf '# %s: %s\n%s\n' "$title" "$status" "${*: -1}"
  }
  not_forwarded() { ask "$@"; }
  keep() { ask "${@:2:$#-2}" "${*: -1} -o $1"; }
  pause() { printf '# (%s)\nsleep %s\n' "$2" "$1"; }
  operate() { printf '# %s\n%s\n' "$1" "${*: -1}"; }
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
  keep() {
    run_step "${@:2}"
    ( umask 077; cp "$tour_answer/body" "$1" )
  }
  pause() {
    printf '\n    (%s)\n' "$2"
    sleep "$1"
  }
  operate() {
    tour_steps=$((tour_steps + 1))
    printf '\n%2d. %s\n   $ %s\n' "$tour_steps" "$1" "$3"
    bash -c "$3" >"$tour_answer/all" 2>&1 || wrong "the command failed"
    sed 's/^/   → /' "$tour_answer/all"
  }
  tour
  rm -rf "$tour_answer"
  say "$tour_steps steps, $tour_failures not as promised."
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
      =*) [[ $(field "${pattern##* }" "$pattern") == $(field "$tour_answer/body" "$pattern") ]] || wrong "this differs: ${pattern#=}" ;;
    esac
  done
}

# field FILE "=NAME FILE": the field of that file.
field() {
  local name=${2#=}
  deploy/demo/field.py "$1" "${name%% *}" 2>/dev/null || echo "no ${name%% *} in $1"
}

# The status line, what it says of credentials, and the body.
show_answer() {
  head -1 "$tour_answer/head" | tr -d '\r' | sed 's/^/   → /'
  grep -iE '^(www-authenticate|set-cookie|clear-site-data):' "$tour_answer/head" | tr -d '\r' | sed 's/^/     /' || true
  head -c 3000 "$tour_answer/body" | sed 's/^/     /'
  [[ -z $(tail -c 1 "$tour_answer/body") ]] || echo
}
