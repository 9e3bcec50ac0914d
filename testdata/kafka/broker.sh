#!/usr/bin/env bash
# A real Apache Kafka 4.x broker (KRaft, one node) from its Maven jars, for tests and benchmarks.
#
#   broker.sh jars                            gather the jars once; print their directory
#   broker.sh run DIR PORT CONTROLLER_PORT [KEY=VALUE…] [--OPTION=VALUE…]    run a broker in the foreground until SIGTERM
#   broker.sh start DIR PORT [CONTROLLER_PORT] [KEY=VALUE…]  run one in the background, return once it is up
#   broker.sh stop DIR                        stop it, wait until it has ended
#   broker.sh tool CLASS ARG…                 run a class of kafka-tools
#
# DIR keeps the broker's files and is formatted if it is new; both ports are on 127.0.0.1 (CONTROLLER_PORT is PORT+1
# unless given); KEY=VALUE are broker settings, --OPTION=VALUE options of formatting, such as
# --feature=transaction.version=1. A broker that was killed comes up again once the one before is taken for dead, which a
# small broker.session.timeout.ms makes soon. Needs Java 17 or later, and Maven the first time. Exit code 77: Java,
# Maven or the jars cannot be had here.
#
#   KSH_KAFKA_JARS       where the jars are kept; ~/.cache/karst/kafka-VERSION
#   KSH_KAFKA_MISSING    if set, why jars that are not there are not to be gathered
#   KSH_KAFKA_STDIN      if set, run ends at the end of its standard input, too
#   KSH_KAFKA_JVM        options of the broker's Java; "-Xmx512m -XX:TieredStopAtLevel=1" starts fast and is small
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
jars=${KSH_KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/karst/kafka-$version}

missing() { echo "no Apache Kafka here: $*" >&2; exit 77; }

# modern says whether Java is one that can run the jars.
modern() {
  local major
  major=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.specification\.version = \([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge 17 ]
}

gather() {
  command -v java >/dev/null || missing "java is not installed"
  modern || missing "java is older than 17"
  [ ! -f "$jars/.complete" ] || return 0
  [ -z "${KSH_KAFKA_MISSING:-}" ] || missing "$KSH_KAFKA_MISSING"
  command -v mvn >/dev/null || missing "mvn is not installed, which gathers the jars"
  mkdir -p "$(dirname "$jars")"
  # One at a time: Maven's own repository does not stand several that download the same.
  if command -v flock >/dev/null; then
    exec 9>"$jars.lock"; flock 9
    [ ! -f "$jars/.complete" ] || { exec 9>&-; return 0; }
    rm -rf "$jars".?????? # of those that were stopped
  fi
  local new out; new=$(mktemp -d "$jars.XXXXXX")
  # -U: what could not be had the last time is looked for again.
  if ! out=$(mvn -q -B -ntp -U -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$new" 2>&1); then
    rm -rf "$new"; missing "mvn could not gather the jars: $out"
  fi
  touch "$new/.complete"
  # Where there is no flock another one may have been faster.
  mv -T "$new" "$jars" 2>/dev/null || rm -rf "$new"
  { exec 9>&-; } 2>/dev/null
  [ -f "$jars/.complete" ] || missing "the jars are not in $jars"
}

java_() { java -cp "$jars/*" "-Dlog4j2.configurationFile=$here/log4j2.properties" "$@"; }

properties() { # DIR PORT CONTROLLER_PORT KEY=VALUE…
  local dir=$1 port=$2 controller=$3; shift 3
  cat <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=60000
initial.broker.registration.timeout.ms=600000
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
P
  local setting; for setting in "$@"; do case $setting in --*) ;; *) echo "$setting" ;; esac; done
}

run() {
  local dir; mkdir -p "$1"; dir=$(cd "$1" && pwd)
  gather
  properties "$dir" "${@:2}" > "$dir/server.properties"
  local option format=(); for option in "${@:4}"; do case $option in --*) format+=("$option") ;; esac; done
  local jvm=${KSH_KAFKA_JVM--Xmx512m -XX:TieredStopAtLevel=1}
  [ -f "$dir/data/meta.properties" ] ||
    java_ -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format -t karstkarstkarstkarstkw -c "$dir/server.properties" "${format[@]}" >"$dir/format.log" 2>&1 ||
    { cat "$dir/format.log" >&2; exit 1; }
  if [ -n "${KSH_KAFKA_STDIN:-}" ]; then # whoever holds our standard input goes: so do we
    local self=$$; exec 3<&0
    (cat <&3 >/dev/null; kill -9 "$self") >/dev/null 2>&1 &
    exec 3<&-
  fi
  # shellcheck disable=SC2086
  exec java $jvm -cp "$jars/*" "-Dlog4j2.configurationFile=$here/log4j2.properties" kafka.Kafka "$dir/server.properties"
}

start() {
  local dir=$1 port=$2; shift 2
  local controller=$((port + 1))
  case ${1:-} in [0-9]*) controller=$1; shift ;; esac
  mkdir -p "$dir"
  "$0" run "$dir" "$port" "$controller" "$@" >"$dir/broker.log" 2>&1 </dev/null &
  local pid=$!; echo "$pid" >"$dir/pid"
  while ! grep -q 'Kafka Server started' "$dir/broker.log"; do
    if ! kill -0 "$pid" 2>/dev/null; then cat "$dir/broker.log" >&2; wait "$pid"; exit $?; fi
    sleep 0.1
  done
}

stop() {
  local pid; pid=$(cat "$1/pid")
  kill "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$1/pid"
}

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 2; }

case ${1:-} in
  jars) gather; echo "$jars" ;;
  run) [ $# -ge 4 ] || usage; run "${@:2}" ;;
  start) [ $# -ge 3 ] || usage; start "${@:2}" ;;
  stop) [ $# -eq 2 ] || usage; stop "$2" ;;
  tool) [ $# -ge 2 ] || usage; gather; java_ "${@:2}" ;;
  *) usage ;;
esac
