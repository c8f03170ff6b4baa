# Defines what the clients written in bash share: the lines that they print and
# the flow of records to survive. Sourced by kcat/client and java/client.

ok() { echo "ok $*"; }
none() { echo "none $*"; }
fail() {
  echo "FAILED $*"
  exit 1
}

# same NAME FILE WANT…: the lines of FILE, sorted, are those of the file WANT.
same() {
  cmp -s <(sort "$2") <(sort "$3") ||
    fail "$1: got $(wc -l <"$2") records, want $(wc -l <"$3"); first differences:" \
      "$(diff <(sort "$2") <(sort "$3") | head -5 | tr '\n' ' ')"
}

# numbers NAME COUNT
numbers() {
  seq -f "$1-%g" 1 "$2"
}

# trickle FILE: writes ten records a second to stdout and to FILE until the file
# FILE.stop is there, 90 seconds at most.
trickle() {
  local i
  for ((i = 1; i <= 900; i++)); do
    [ -e "$1.stop" ] && return
    printf 'survive-%d\n' "$i" | tee -a "$1"
    sleep 0.1
  done
}

# survive_with LEADER PRODUCER: feeds the command PRODUCER records until the
# command LEADER names another leader of survive, and two seconds longer. What
# was sent is in $work/survive.sent.
survive_with() {
  local before after="" end
  before=$($1) || fail "survive: no leader before the kill"
  [ "$SECONDS" -lt 10 ] || fail "survive: took $SECONDS s to find the leader, too late for the kill"
  (trickle "$work/survive.sent" | $2) >"$work/survive.out" 2>&1 &
  local producer=$!
  end=$((SECONDS + 60))
  while [ $SECONDS -lt $end ]; do
    sleep 1
    after=$($1 2>/dev/null) || continue
    [ -n "$after" ] && [ "$after" -ge 1 ] && [ "$after" != "$before" ] && break
  done
  sleep 2
  touch "$work/survive.sent.stop"
  wait $producer || fail "survive: the producer gave up: $(tail -3 "$work/survive.out" | tr '\n' ' ')"
  [ -n "$after" ] && [ "$after" -ge 1 ] && [ "$after" != "$before" ] ||
    fail "survive: leader was $before and is ${after:-unknown} after 60 s"
  moved="leader $before to $after"
}
