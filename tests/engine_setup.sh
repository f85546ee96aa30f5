#!/usr/bin/env bash
# A Docker Engine and base images for the tests, on a fresh Debian machine as root.
#   tests/engine_setup.sh start   installs and starts what is missing; quick where everything is there
#   tests/engine_setup.sh stop    ends the engine that `start` started, and only that one
# Where it cannot be had, `start` says why and succeeds: the tests that need an engine are skipped with their reason.
set -uo pipefail
state=${STACKYARD_ENGINE_STATE:-/tmp/stackyard-engine.$(id -u)}

say() { echo "engine: $*"; }
give_up() { say "$*: tests that need a Docker Engine will be skipped"; exit 0; }

install() { # PACKAGE...
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  [ -e "$state/updated" ] || { apt-get update -qq >"$state/apt.log" 2>&1 && touch "$state/updated"; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$state/apt.log" 2>&1
}

engine() {
  docker version >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || give_up "no engine answers, and only root can start one"
  if ! command -v dockerd >/dev/null 2>&1; then
    say "installing docker.io"
    install docker.io iptables || give_up "docker.io could not be installed"
  fi
  # Never vfs: there a container takes 5 to 19 s to start.
  setsid nohup dockerd --storage-driver=overlay2 >"$state/dockerd.log" 2>&1 </dev/null &
  echo $! >"$state/dockerd.pid"
  for _ in $(seq 60); do
    docker version >/dev/null 2>&1 && return
    kill -0 "$(cat "$state/dockerd.pid")" 2>/dev/null || break
    sleep 0.5
  done
  say "$(tail -n 1 "$state/dockerd.log")"
  stop
  give_up "dockerd does not start here"
}

base() { # SUITE: Python 3.11 on bookworm, 3.9 on bullseye
  docker image inspect "stackyard-base:$1" >/dev/null 2>&1 && return
  command -v mmdebstrap >/dev/null 2>&1 || install mmdebstrap || { say "no mmdebstrap: no base image $1"; return; }
  say "making the base image $1 (20 to 80 s)"
  mmdebstrap --mode=root --variant=minbase --include=python3,python3-venv,python3-pip,git,ca-certificates \
    "$1" "$state/$1.tar" >"$state/$1.log" 2>&1 &&
    docker import "$state/$1.tar" "stackyard-base:$1" >/dev/null ||
    say "the base image $1 could not be made: $(grep -m 1 '^E:' "$state/$1.log")"
  rm -f "$state/$1.tar"
}

stop() {
  [ -e "$state/dockerd.pid" ] || return 0
  pid=$(cat "$state/dockerd.pid")
  rm -f "$state/dockerd.pid"
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 60); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.5; done
  kill -KILL "$pid" 2>/dev/null
}

mkdir -p "$state"
chmod 700 "$state"
case "${1:-}" in
  start) engine; base bookworm; base bullseye ;;
  stop) stop ;;
  *) echo "usage: $0 start|stop" >&2; exit 2 ;;
esac
exit 0
