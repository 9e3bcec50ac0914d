#!/usr/bin/env bash
# kafka-producer-perf-test, then kafka-consumer-perf-test over what that wrote, against ksh and a real Apache Kafka broker
# in turn: records a second, and the broker's CPU seconds for a gigabyte of record values. Client and broker share this machine.
#
#   bench.sh [RECORDS [SIZE [PARTITIONS]]]    5000000 records of 100 bytes to 8 partitions
#
# acks=all, and the client's defaults but for what is shown. Each server starts empty; a run of a tenth of the records
# comes first and is not counted. Printed are the medians of RUNS runs.
#
#   RUNS       3
#   SERVERS    "kafka ksh-os ksh-fsync"    ksh-os is --durability os: like Kafka it leaves it to the operating system
#              when what is acknowledged reaches the disk; ksh-fsync syncs before it acknowledges
#   PRODUCER   further settings of the client, "linger.ms=5 batch.size=65536 compression.type=none"
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
records=${1:-5000000} size=${2:-100} partitions=${3:-8}
runs=${RUNS:-3} servers=${SERVERS:-kafka ksh-os ksh-fsync} producer=${PRODUCER:-}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

"$here/broker.sh" jars >/dev/null || exit $?
(cd "$here/../.." && CGO_ENABLED=0 go build -o "$work/ksh" ./cmd/ksh)
tool() { "$here/broker.sh" tool "$@"; }

cpu() { # PID: seconds of user and system time so far
  awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$1/stat"
}

resident() { awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$1/status"; }

start() { # SERVER PORT
  local dir=$work/$1
  case $1 in
    kafka)
      # As its own start script has it, with half a gigabyte less.
      KSH_KAFKA_JVM="-Xms512m -Xmx512m -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20" "$here/broker.sh" start "$dir" "$2"
      server=$(cat "$dir/pid") ;;
    ksh-*)
      "$work/ksh" serve --data "$dir" --http 127.0.0.1:$(($2 + 2)) --kafka "127.0.0.1:$2" --durability "${1#ksh-}" >"$work/log" 2>&1 &
      server=$!
      until grep -q "listening.*http" "$work/log"; do sleep 0.05; done ;;
    *) echo "no server $1" >&2; exit 2 ;;
  esac
}

stop() { # SERVER
  kill "$server"
  while kill -0 "$server" 2>/dev/null; do sleep 0.1; done
  server=
  rm -rf "${work:?}/$1"
}

perf() { # RECORDS PORT: records a second
  # shellcheck disable=SC2086
  tool org.apache.kafka.tools.ProducerPerformance --topic bench --num-records "$1" --record-size "$size" --throughput -1 \
    --producer-props "bootstrap.servers=127.0.0.1:$2" acks=all $producer 2>"$work/perf.err" |
    tee "$work/perf" | sed -n 's/.* sent, \([0-9.]*\) records\/sec.*/\1/p' | tail -n 1
  grep -q "^$1 records sent" "$work/perf" || { cat "$work/perf" "$work/perf.err" >&2; return 1; }
}

consume() { # RECORDS PORT: records a second, fetching alone
  tool org.apache.kafka.tools.ConsumerPerformance --topic bench --num-records "$1" --bootstrap-server "127.0.0.1:$2" \
    --timeout 60000 2>"$work/perf.err" | tee "$work/perf" | awk -F', *' '$5 + 0 > 0 { print $10 }' | tail -n 1
  [ -s "$work/perf" ] || { cat "$work/perf.err" >&2; return 1; }
}

per_gb() { # BEFORE NOW BYTES: CPU seconds
  awk -v before="$1" -v now="$2" -v bytes="$3" 'BEGIN { print (now - before) / (bytes / 1e9) }'
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "$records records of $size bytes, $partitions partitions, acks=all${producer:+ $producer}; $(nproc) cores"
printf '%-10s %16s %14s %16s %14s %12s\n' server 'write records/s' 'CPU s/GB' 'read records/s' 'CPU s/GB' 'resident MB'
port=$((20000 + RANDOM % 20000))
for s in $servers; do
  start "$s" "$port"
  tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --topic bench --partitions "$partitions" --replication-factor 1 >/dev/null 2>&1
  perf $((records / 10)) "$port" >/dev/null
  : >"$work/rates"; : >"$work/cpus"; : >"$work/read"; : >"$work/readcpus"
  for _ in $(seq "$runs"); do
    before=$(cpu "$server")
    perf "$records" "$port" >>"$work/rates"
    per_gb "$before" "$(cpu "$server")" $((records * size)) >>"$work/cpus"
  done
  for _ in $(seq "$runs"); do
    before=$(cpu "$server")
    consume "$records" "$port" >>"$work/read"
    per_gb "$before" "$(cpu "$server")" $((records * size)) >>"$work/readcpus"
  done
  printf '%-10s %16.0f %14.1f %16.0f %14.1f %12d\n' "$s" "$(median <"$work/rates")" "$(median <"$work/cpus")" \
    "$(median <"$work/read")" "$(median <"$work/readcpus")" "$(resident "$server")"
  stop "$s"
  port=$((port + 10))
done
