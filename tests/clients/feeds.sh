#!/usr/bin/env bash
# Every form of every feed as curl sees it, and what else is done with curl alone: bodies from stdin,
# HEAD, HTTP/1.0, requests behind a feed.
set -euo pipefail
node=$1
here=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$here"' EXIT

fail() {
    echo "line ${BASH_LINENO[1]}: $*" >&2
    exit 1
}

ask() {
    curl --silent --show-error --max-time 60 "$@"
}

status() {
    ask --output /dev/null --write-out '%{http_code}' "$@"
}

same() {
    [ "$1" = "$2" ] || fail "found '$1', expected '$2'"
}

has() {
    [[ $1 == *"$2"* ]] || fail "no '$2' in '$1'"
}

# Waits until a command succeeds.
until_() {
    local deadline=$((SECONDS + 30))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "waited 30 s in vain: $*"
        sleep 0.02
    done
}

counter() {
    ask "$node/debug/counters" | sed "s/.*\"$1\": \([0-9]*\).*/\1/"
}

counts() {
    [ "$(counter "$1")" = "$2" ]
}

written() {
    grep -q "$2" "$here/$1" 2>/dev/null
}

# Begins to follow in the background, into a file, and waits until it does.
follow() {
    local name=$1
    shift
    local before
    before=$(counter feeds)
    # Not by way of `ask`, which would be a shell of its own, to be ended in its place.
    curl --silent --show-error --max-time 60 --no-buffer --dump-header "$here/$name.head" \
        --output "$here/$name" "$@" &
    eval "${name//-/_}=\$!"
    until_ counts feeds $((before + 1))
}

load() {
    ask --fail --data "$2" "$node/jobs/t?wait=running" >"$here/load" || fail "$1 was not loaded"
    ask "$node/jobs/t/$1/pids" | tr -dc 0-9
}

# --- events ---------------------------------------------------------------------------------------
follow first "$node/watch/load"
follow all "$node/watch?feed=continuous"
follow old --http1.0 "$node/watch?feed=continuous"
follow sse "$node/watch/job/t/cat?feed=eventsource"
cat_=$(load cat '{"name": "cat", "cmd": "cat", "redirect_input": true, "redirect_output": ["out"]}')
# The first event ends it.
wait "$first"
has "$(cat "$here/first")" '"event": "load"'
same "$(wc -l <"$here/first")" 1
has "$(cat "$here/first.head")" 'Transfer-Encoding: chunked'
for name in all old; do
    until_ written $name '"event": "job.t.cat.spawn"'
    has "$(head -n 1 "$here/$name")" '"event": "load"'
done
has "$(cat "$here/all.head")" 'Trailer: Gaffer-Lost'
# A client of before has no chunks, no trailers and no further requests.
has "$(cat "$here/old.head")" 'Connection: close'
[[ $(cat "$here/old.head") != *chunked* ]] || fail "chunks for HTTP/1.0"
until_ written sse '"event": "job.t.cat.spawn"'
has "$(cat "$here/sse.head")" 'Content-Type: text/event-stream'
[[ $(cat "$here/sse") != *'"event": "load"'* ]] || fail "an event of another name"
id=$(sed -n 's/^id: //p' "$here/sse" | head -n 1)
last=$(sed -n 's/^id: //p' "$here/sse" | tail -n 1)

# What a client has seen it does not get again, whichever way it says so.
for since in "?feed=longpoll&since=$id" "?since=$id"; do
    has "$(ask "$node/watch/job/t$since")" "\"seq\": $last"
done
has "$(ask --header "Last-Event-ID: $id" "$node/watch/job/t")" "\"seq\": $last"
has "$(ask --header "Last-Event-ID: 1" "$node/watch/job/t?since=$id")" "\"seq\": $last"
# What is no number was not from here.
follow strange --header 'Last-Event-ID: x' "$node/watch/load?feed=eventsource"
follow beating "$node/watch/load?feed=continuous&heartbeat=1"
follow beating-sse "$node/watch/load?feed=eventsource&heartbeat=1"
until_ written beating '^$'
until_ written beating-sse '^:$'
[ ! -s "$here/strange" ] || fail "an event for nobody"
kill "$all" "$old" "$sse" "$strange" "$beating" "$beating_sse"
until_ counts feeds 0

# --- output ---------------------------------------------------------------------------------------
out="$node/streams/$cat_/out"
follow raw "$out?feed=continuous"
follow poll "$out"
follow sse "$out?feed=eventsource"
same "$(echo hello | ask --data-binary @- "$node/streams/$cat_/stdin")" '{"ok": true}'
wait "$poll"
same "$(cat "$here/poll")" hello
printf 'two\nlines' | ask --data-binary @- "$node/streams/$cat_/stdin" >/dev/null
until_ written raw lines
until_ written sse lines
same "$(cat "$here/raw")" $'hello\ntwo\nlines'
same "$(cat "$here/sse")" $'event: out\nid: 6\ndata: hello\ndata: \n\nevent: out\nid: 15\ndata: two\ndata: lines'
same "$(ask --header 'Last-Event-ID: 6' "$out")" $'two\nlines'
same "$(ask "$out?since=10")" lines
# Bytes go through as they are, also those of a body whose length is not told before.
head -c 300000 /dev/urandom >"$here/bytes"
follow bytes-out "$out?feed=continuous&since=15"
ask --header 'Transfer-Encoding: chunked' --header 'Expect: 100-continue' --data-binary "@$here/bytes" \
    "$node/streams/$cat_/stdin" >/dev/null
until_ cmp --silent "$here/bytes" "$here/bytes-out"
# The end of its input is the end of the process, and of what follows it.
ask --data '' "$node/streams/$cat_/stdin?close=1" >/dev/null
wait "$raw" "$sse" "$bytes_out"
has "$(tail -n 3 "$here/sse")" 'event: exit'
has "$(tail -n 3 "$here/sse")" '"exit_status": 0'
has "$(tr -d '\r' <"$here/raw.head" | tail -n 2)" 'Gaffer-Lost: 0'
same "$(status "$out")" 404

# --- statistics -----------------------------------------------------------------------------------
has "$(ask "$node/stats")" '"stats": ['
has "$(ask "$node/stats/t/cat?feed=normal")" '"name": "t.cat"'
has "$(ask "$node/stats/t/cat?feed=longpoll&interval=0.05")" '"name": "t.cat"'
follow stats "$node/stats?feed=continuous&interval=0.05"
follow stats-sse "$node/stats/t/cat?feed=eventsource&interval=0.1"
enough() {
    [ "$(grep -c '"name": "t.cat"' "$here/$1")" -ge 5 ]
}
until_ enough stats
until_ enough stats-sse
kill "$stats" "$stats_sse"
until_ counts stats_watches 0

# --- heads, refusals, and one behind the other ----------------------------------------------------
for path in / /ping /jobs /watch '/watch?feed=eventsource' /stats '/stats?feed=continuous' /pids; do
    same "$(status --head "$node$path")" 200
    same "$(ask --head --http1.0 --write-out '%{size_download}' --output /dev/null "$node$path")" 0
done
while read -r expected path; do
    same "$(status "$node$path") $path" "$expected $path"
done <<END
400 /watch?feed=nope
400 /watch?feed=normal
400 /watch?feed=continuous&since=x
400 /watch?feed=continuous&since=-1
400 /watch?heartbeat=0.5
400 /watch?heartbeat=3601
404 /watch/nothing
404 /watch/a/b/c/d/e
404 /streams/999/out
404 /streams/99999999999999999999999/out
400 /stats?feed=continuous&interval=0.04
400 /stats?feed=continuous&interval=NaN
400 /stats?feed=continuous&interval=inf
404 /stats/t/nobody
404 /stats/t/nobody?feed=continuous
400 /channel/websocket
405 /channel/a/b/xhr_send
END
same "$(status --request POST "$node/watch")" 405
same "$(status --data x "$node/streams/999/stdin")" 404
same "$(status --header 'Origin: http://elsewhere.example' "$node/watch?feed=eventsource")" 403
same "$(status --header 'Host: elsewhere.example' "$node/watch?feed=eventsource")" 421
quiet=$(load quiet '{"name": "quiet", "cmd": "sleep 1000"}')
same "$(status "$node/streams/$quiet/out")" 400
same "$(status --data x "$node/streams/$quiet/stdin")" 403
# Requests on one connection: those behind a poll are answered when it is over.
port=${node##*:}
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' /watch/unload /ping >&3
until_ counts feeds 1
ask --request DELETE "$node/jobs/t/quiet?wait=stopped" >/dev/null
printf 'GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
answers=$(cat <&3)
has "$answers" '"event": "unload"'
has "${answers#*unload}" OK
has "${answers#*OK}" '"name": "gaffer"'
exec 3>&-
