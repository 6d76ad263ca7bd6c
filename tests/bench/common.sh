# What the benchmarks share. Sourced, not run.

# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
started=() # process ids that we end

server_core=0
load_core=1
ticks=$(getconf CLK_TCK)

finish() {
    local id
    for id in "${started[@]}"; do kill "$id" 2> /dev/null || true; done
    for id in "${started[@]}"; do wait "$id" 2> /dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Debian starts the service of a package that it installs, unless policy-rc.d forbids it.
need() { # program package
    command -v "$1" > /dev/null && return
    local sudo=() policy=/usr/sbin/policy-rc.d ours=no
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy > /dev/null
        "${sudo[@]}" chmod 755 $policy
    fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$2" > /dev/null
    [ $ours = no ] || "${sudo[@]}" rm -f $policy
}

build() {
    cargo build --release --locked --quiet --manifest-path "$root/Cargo.toml" --package kingcdn
    kingcdn=${CARGO_TARGET_DIR:-$root/target}/release/kingcdn
}

# Runs a command on a core of its own in the background; its id is in $last.
on_core() { # core log command...
    local core=$1 log=$2
    shift 2
    taskset -c "$core" "$@" > "$log" 2>&1 < /dev/null &
    last=$!
    started+=("$last")
}

# Waits until a command succeeds.
until_ready() { # what command...
    local what=$1 try
    shift
    for try in $(seq 600); do
        if "$@" > /dev/null 2>&1; then return; fi
        sleep 0.05
    done
    echo "$what doesn't answer after $try tries" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

# The process and its children, for servers with workers.
family() { # id
    echo "$1"
    local child
    for child in $(cat /proc/"$1"/task/*/children 2> /dev/null); do family "$child"; done
}

# Clock ticks of CPU time that a process and its children used: fields 14 and 15 of stat, counted
# behind the name in parentheses; all threads are in it.
cpu_ticks() { # id
    local id sum=0 stat
    for id in $(family "$1"); do
        stat=$(< "/proc/$id/stat")
        # shellcheck disable=SC2086
        set -- ${stat##*) }
        sum=$((sum + ${12} + ${13}))
    done
    echo "$sum"
}

median() { sort -g | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
