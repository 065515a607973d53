# What both scripts need.

# need PROGRAM PACKAGE: installs Debian's package where the program is missing.
need() {
    PATH="$PATH:/usr/sbin:/sbin"
    [ -n "$(find_program "$1")" ] && return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo "$1 is not installed: apt-get install $2" >&2
        exit 1
    fi
    # The tests bring up servers of their own; the package needs none.
    if [ "$2" = postgresql ] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        $as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    install="apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $2"
    export DEBIAN_FRONTEND=noninteractive
    $as_root $install >&2 || { $as_root apt-get update >&2 && $as_root $install >&2; }
    if [ -z "$(find_program "$1")" ]; then
        echo "$1 is not there after installing $2" >&2
        exit 1
    fi
}

# Debian keeps PostgreSQL's programs by version, outside the path.
find_program() {
    for version in 18 17 16 15; do
        if [ -x "/usr/lib/postgresql/$version/bin/$1" ]; then
            echo "/usr/lib/postgresql/$version/bin/$1"
            return
        fi
    done
    command -v "$1" || true
}
