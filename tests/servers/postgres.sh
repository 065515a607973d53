#!/bin/sh
# postgres.sh FOLDER PORT: a PostgreSQL of its own in an empty folder. It says `ready`, and is gone, with its folder,
# when this script's input ends: however the test that holds the other end did.
set -eu
. "$(dirname "$0")/common.sh"
folder=$1 port=$2
need initdb postgresql
bin=$(dirname "$(find_program initdb)")

# It refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    as_owner='runuser -u postgres --'
    chown postgres "$folder"
else
    as_owner=
fi
cd "$folder"
stop() {
    $as_owner "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
    cd /
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

$as_owner "$bin/initdb" -D "$folder/data" -U bursar --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
cat >>"$folder/data/postgresql.conf" <<CONF
port = $port
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
CONF
$as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w start >/dev/null </dev/null || {
    cat "$folder/log" >&2
    exit 1
}
echo ready
# A test may ask for more: each line is a command of pg_ctl, or makes it a standby.
while read -r line; do
    if [ "$line" = standby ]; then
        $as_owner touch "$folder/data/standby.signal"
        line='-m fast restart'
    fi
    $as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w $line >/dev/null </dev/null && echo done || echo failed
done
