#!/usr/bin/env bash
# System packages that some tests use. Installed where that is possible; otherwise their tests say so loudly.
set -u
if command -v mosquitto_sub >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mosquitto-clients; } >/dev/null 2>&1
fi
command -v mosquitto_sub >/dev/null || echo "!! mosquitto_sub is missing (Debian: mosquitto-clients): its tests will be SKIPPED" >&2
exit 0
