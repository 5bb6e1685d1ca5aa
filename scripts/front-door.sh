#!/usr/bin/env bash
# What a newcomer does, on a machine with an old Node.js, npm and nothing else: clone, npm ci && npm start, Ctrl-C, npm cit,
# and npx from the packed package. Prints one line per promise and `front door: N passed, N failed`.
#   scripts/front-door.sh [FOLDER]     FOLDER: where the clone is made (default: a new one, removed at the end)
set -u -o pipefail
set -m # every job a process group with default signals, as at a terminal

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -gt 0 ]; then
  mkdir -p "$1" && work=$(cd "$1" && pwd) && keep=yes
else
  work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-front-door-XXXXXX") && keep=no
fi
clone=$work/clone
home=$work/home
passed=0
failed=0
group=

cleanup() {
  [ -n "$group" ] && kill -KILL -- "-$group" 2>/dev/null
  [ "$keep" = yes ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

promise() { # promise TEXT COMMAND...: runs the command and counts
  local text=$1 from to
  shift
  from=$(date +%s%N)
  if "$@"; then
    to=$(date +%s%N)
    printf 'ok      %s (%d.%01d s)\n' "$text" $(((to - from) / 1000000000)) $(((to - from) / 100000000 % 10))
    passed=$((passed + 1))
  else
    printf 'NOT OK  %s\n' "$text"
    failed=$((failed + 1))
    return 1
  fi
}

# Node.js and npm of the machine, not the ones of a checkout that may stand first on PATH.
path=/usr/bin:/bin
for tool in node npm git; do
  found=$(PATH=$(printf %s "$PATH" | tr ':' '\n' | grep -v node_modules | paste -sd:) command -v "$tool") || {
    echo "front door: $tool is not on PATH" >&2
    exit 69
  }
  case :$path: in *:"$(dirname "$found")":*) ;; *) path=$path:$(dirname "$found") ;; esac
done
# in_folder FOLDER COMMAND...: in the environment of a newcomer. This shell itself stays outside the clone.
in_folder() { env -i -C "$1" PATH="$path" HOME="$home" "${@:2}"; }

listening() { # ports that something listens on, as `tcp 1F90`
  awk 'FNR > 1 && (FILENAME ~ /tcp/ ? $4 == "0A" : $4 == "07") {
    split($2, a, ":"); print (FILENAME ~ /tcp/ ? "tcp" : "udp"), a[length(a)]
  }' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null | sort -u
}

left_running() { # processes that work in the clone
  local process
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd" 2>/dev/null) in "$clone" | "$clone"/*) printf '%s ' "${process#/proc/}" ;; esac
  done
}

wait_for() { # wait_for SECONDS COMMAND...
  local tries=$(($1 * 10))
  shift
  while [ $tries -gt 0 ]; do
    "$@" && return 0
    sleep 0.1
    tries=$((tries - 1))
  done
  return 1
}

# The demo prints plain lines when its output is no terminal; one of them shows an event with where its address is.
has_enriched() { grep -qE 'source\.geo\.|"geo":\{"|enriched[^0-9]{1,3}[1-9]' "$work/start.log"; }
has_ended() { ! kill -0 "$group" 2>/dev/null; }
nothing_left() { [ -z "$(left_running)" ]; }
ports_closed() { [ -z "$(comm -12 <(listening) "$work/ports.demo")" ]; }

make_clone() {
  rm -rf "$clone" && git clone -q --no-hardlinks "$root" "$clone"
}
install() { in_folder "$clone" npm ci >"$work/ci.log" 2>&1 || { tail -n 20 "$work/ci.log"; return 1; }; }
start() {
  listening >"$work/ports.before"
  # Not through a function: the job must be npm itself, not a shell that a signal ends first.
  env -i -C "$clone" PATH="$path" HOME="$home" npm start >"$work/start.log" 2>&1 </dev/null &
  group=$!
  wait_for 10 has_enriched || { tail -n 20 "$work/start.log"; return 1; }
}
interrupt() {
  comm -13 "$work/ports.before" <(listening) >"$work/ports.demo"
  kill -INT -- "-$group" 2>/dev/null
  wait_for 5 has_ended || { echo "still running after 5 s"; kill -KILL -- "-$group"; return 1; }
  local code=0
  wait "$group" || code=$?
  group=
  [ $code -eq 0 ] || { echo "exit code $code"; tail -n 20 "$work/start.log"; return 1; }
}
cit() {
  timeout 420 env -i -C "$clone" PATH="$path" HOME="$home" npm cit >"$work/cit.log" 2>&1 </dev/null || { tail -n 60 "$work/cit.log"; return 1; }
  tail -n 1 "$work/cit.log"
}
packed() { # the package, installed into an empty folder
  mkdir -p "$work/packed" && in_folder "$clone" npm pack --silent --pack-destination "$work/packed" >"$work/pack.log" 2>&1 &&
    in_folder "$work/packed" npm install --silent "$work"/packed/*.tgz >>"$work/pack.log" 2>&1 &&
    in_folder "$work/packed" npx millrace --version </dev/null >>"$work/pack.log" 2>&1 || { tail -n 20 "$work/pack.log"; return 1; }
}

mkdir -p "$home"
echo "node $(in_folder / node --version), npm $(in_folder / npm --version), PATH=$path"
if promise 'clone at another path' make_clone && promise 'npm ci' install; then
  promise 'npm start shows enriched events within 10 s' start
  promise 'SIGINT ends it with exit 0 within 5 s' interrupt
  promise 'nothing is left running' wait_for 1 nothing_left || ps -o pid,args -p "$(left_running | tr ' ' ',' | sed 's/,$//')"
  promise 'no port is left open' wait_for 1 ports_closed
  promise 'npm cit passes within 7 minutes' cit
  promise 'the packed package runs through npx' packed
fi
echo "front door: $passed passed, $failed failed"
[ $failed -eq 0 ]
