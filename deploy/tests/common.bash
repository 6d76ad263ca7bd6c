# What the tests of this folder share; each sources it.

set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
deploy=$(dirname "$here")
binary=$KINGCDN_BINARY
dir=$(mktemp -d "$KINGCDN_TEST_DIR/XXXXXX")

fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*"; exit 0; }
has() { command -v "$1" > /dev/null; }

# within SECONDS COMMAND...: until the command succeeds.
within() {
    local until=$((SECONDS + $1)); shift
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || fail "not in time: $*"
        sleep 0.2
    done
}

# same WHAT EXPECTED FOUND
same() { [ "$2" = "$3" ] || fail "$1: expected $2, found $3"; echo "$1: $3"; }
