#!/bin/sh
# redis.sh FOLDER PORT: a Redis of its own. It says `ready`, and is gone, with its folder, when this script's input
# ends: however the test that holds the other end did.
set -eu
. "$(dirname "$0")/common.sh"
folder=$1 port=$2
need redis-server redis-server

start() {
    redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save '' --appendonly no --daemonize no \
        >"$folder/log" 2>&1 </dev/null &
    server=$!
    until redis-cli -p "$port" ping >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
        sleep 0.05
    done
}
stop() {
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
}
flush() {
    redis-cli -p "$port" flushall >/dev/null
}
trap 'stop; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

start
echo ready
# A test may ask for more: `flush`, `stop`, and `start` again.
while read -r line; do
    $line && echo done || echo failed
done
