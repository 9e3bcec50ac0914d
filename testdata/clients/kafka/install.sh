#!/usr/bin/env bash
# Installs Kafka clients into DIR, each as far as it can be had here; what can't
# is said, and its checks are skipped.
#
#   install.sh DIR
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:?usage: install.sh DIR}
mkdir -p "$dir"

missing() { echo "not to be had here: $*"; }

if ! command -v kcat >/dev/null; then
  { apt-get update -qq && apt-get install -y -qq kcat; } >"$dir/apt.log" 2>&1 || missing kcat
fi

[ -x "$dir/python/bin/python" ] || python3 -m venv "$dir/python" || missing python
python() { # MODULE PACKAGE…
  local module=$1
  shift
  "$dir/python/bin/python" -c "import $module" 2>/dev/null || "$dir/python/bin/pip" install -q "$@" >"$dir/pip.log" 2>&1 || missing "$@"
}
python confluent_kafka confluent-kafka==2.16.1
python aiokafka 'aiokafka[snappy,lz4,zstd]==0.14.0'

if [ ! -d "$dir/go" ]; then
  (cd "$here/go" && go build -o "$dir/go/" ./...) >"$dir/go.log" 2>&1 || missing sarama, kafka-go
fi

if [ ! -d "$dir/node/node_modules/kafkajs" ]; then
  mkdir -p "$dir/node"
  (cd "$dir/node" && npm install --silent --no-audit --no-fund kafkajs@2 kafkajs-snappy kafkajs-lz4) >"$dir/npm.log" 2>&1 || missing kafkajs
  # Node has zstd itself from 22.15 on; the codec packages for kafkajs want to be compiled.
  (cd "$dir/node" && npm install --silent --no-audit --no-fund @mongodb-js/zstd@1.2.2) >>"$dir/npm.log" 2>&1 || missing @mongodb-js/zstd
fi

if [ ! -d "$dir/java" ]; then
  if ! mvn -q -B -f "$here/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$dir/java.tmp" >"$dir/mvn.log" 2>&1; then
    missing kafka-clients, kafka-tools, connect, streams
  else
    mv "$dir/java.tmp" "$dir/java"
  fi
fi
exit 0
