# Shared by the scripts beside it: where things are, and how they speak. Source it; it changes nothing.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export SLUICE_HOME=${SLUICE_HOME:-$ROOT/.sluice}
# Programs fetched once for all checkouts' use: Kafka, and Postgres where the system has none.
export SLUICE_TOOLS=${SLUICE_TOOLS:-$ROOT/.tools}
export SLUICE_LISTEN=${SLUICE_LISTEN:-127.0.0.1:8080}
# `dev` builds faster, `release` runs faster.
PROFILE=${PROFILE:-release}
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}/$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE")

say() { printf '%s\n' "$*" >&2; }
step() { printf '  %-34s' "$*" >&2; }
done_() { printf '%s\n' "${1:-done}" >&2; }
die() {
    printf 'sluice: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Alive, and the process that the file meant: "pid start-ticks".
alive() {
    local pid ticks
    [ -r "$1" ] && read -r pid ticks <"$1" && [ -r "/proc/$pid/stat" ] &&
        [ "$(start_ticks "$pid")" = "$ticks" ]
}
# Field 22 of /proc/PID/stat; the name in field 2 may hold spaces.
start_ticks() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
remember() { printf '%s %s\n' "$1" "$(start_ticks "$1")" >"$2"; }
pid_of() { cut -d' ' -f1 "$1"; }

# wait_for SECONDS WHAT COMMAND…
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "$what did not happen in time"
        sleep 0.05
    done
}
