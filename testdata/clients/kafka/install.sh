#!/usr/bin/env bash
# Installs Kafka clients into DIR, each as far as it can be had here; what can't
# is said, and its checks are skipped. What is there already stays.
#
#   install.sh DIR
#
#   KARST_FETCH_SECONDS   how long one download may take; 600
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: install.sh DIR}
mkdir -p "$dir"

missing() { echo "not to be had here: $*"; }

# fetch runs a command that downloads something, and once more if it fails. After one that hung
# the others get little time: nothing answers here.
seconds=${KARST_FETCH_SECONDS:-600}
command -v timeout >/dev/null || timeout() { shift; "$@"; }
fetch() {
  local code=0
  timeout "$seconds" "$@" || code=$?
  [ $code -ne 0 ] || return 0
  if [ $code -eq 124 ]; then seconds=60; return 1; fi
  sleep 5
  timeout "$seconds" "$@"
}

if ! command -v kcat >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt() { fetch apt-get -o DPkg::Lock::Timeout=60 -qq "$@" </dev/null; }
  { apt update; apt install -y kcat; } >"$dir/apt.log" 2>&1 || missing kcat
fi

"$dir/python/bin/pip" --version >/dev/null 2>&1 || python3 -m venv "$dir/python" >"$dir/venv.log" 2>&1 || missing python
python() { # MODULE PACKAGE…
  local module=$1
  shift
  "$dir/python/bin/python" -c "import $module" 2>/dev/null || fetch "$dir/python/bin/pip" install -q "$@" >"$dir/pip.log" 2>&1 || missing "$@"
}
python confluent_kafka confluent-kafka==2.16.1
python aiokafka 'aiokafka[snappy,lz4,zstd]==0.14.0'

# What is made here is complete once it has its name.
made() { # COMMAND…: if it succeeds, what it puts into DIR/$part.tmp becomes DIR/$part
  [ ! -d "$dir/$part" ] || return 0
  rm -rf "$dir/$part.tmp"
  mkdir -p "$dir/$part.tmp"
  fetch "$@" >"$dir/$part.log" 2>&1 && mv "$dir/$part.tmp" "$dir/$part"
}

part=go
made go build -C "$here/go" -o "$dir/go.tmp/" ./... || missing sarama, kafka-go

part=node
if made npm install --prefix "$dir/node.tmp" --silent --no-audit --no-fund kafkajs@2 kafkajs-snappy kafkajs-lz4; then
  # Node has zstd itself from 22.15 on; the codec packages for kafkajs want to be compiled.
  [ -d "$dir/node/node_modules/@mongodb-js/zstd" ] ||
    fetch npm install --prefix "$dir/node" --silent --no-audit --no-fund @mongodb-js/zstd@1.2.2 >>"$dir/node.log" 2>&1 || missing @mongodb-js/zstd
else
  missing kafkajs
fi

# The programs here run from their source: that takes a compiler.
java=$(java --list-modules 2>/dev/null | sed -n 's/^jdk\.compiler@\([0-9]*\).*/\1/p')
part=java
if [ "${java:-0}" -lt 17 ]; then
  missing "kafka-clients, kafka-tools, connect, streams: they take a JDK, 17 or later"
elif ! made mvn -q -B -U -f "$here/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/java.tmp"; then
  missing kafka-clients, kafka-tools, connect, streams
fi
exit 0
