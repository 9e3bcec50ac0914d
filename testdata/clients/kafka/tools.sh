#!/usr/bin/env bash
# The checks of README.md by Kafka's command line tools. JARS is the directory of
# the jars. The console producer sets no timestamps and has one header for all
# records here; only the performance tool writes transactions, whose records are
# the numbers from 0 on, and only by its death is one not committed.
set -euo pipefail
[ -d "${JARS:?}" ] || exit 77
b=$1 command=$2
shift 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

client=$tmp/client.properties
touch "$client"
if [ -n "${KAFKA_SASL:-}" ]; then
  login=scram.ScramLoginModule
  [ "$KAFKA_SASL" != PLAIN ] || login=plain.PlainLoginModule
  cat >"$client" <<P
security.protocol=SASL_PLAINTEXT
sasl.mechanism=$KAFKA_SASL
sasl.jaas.config=org.apache.kafka.common.security.$login required username="$KAFKA_USER" password="$KAFKA_PASSWORD";
P
fi

java=(java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$JARS/*")
tool() { "${java[@]}" "$@" --bootstrap-server "$b" --command-config "$client"; }
transactions() { "${java[@]}" org.apache.kafka.tools.TransactionsCommand --bootstrap-server "$b" --command-config "$client" "$@"; }
topics() { tool org.apache.kafka.tools.TopicCommand "$@"; }
configs() { tool kafka.admin.ConfigCommand --entity-type "$@"; }
groups() { tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "$@"; }
offset() { tool org.apache.kafka.tools.GetOffsetShell --topic-partitions "$1:0" --time "$2" | cut -d: -f3; } # TOPIC TIME
produce() { tool org.apache.kafka.tools.ConsoleProducer "$@"; }
consumer=(org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$b" --command-config "$client"
  --formatter-property print.partition=true --formatter-property print.offset=true --formatter-property print.timestamp=true
  --formatter-property print.key=true --formatter-property print.headers=true --formatter-property null.literal=)
# What the consumer prints, as README.md has it.
show='s/^[A-Za-z]+:([^\t]*)\tPartition:([0-9]*)\tOffset:([0-9]*)\t(h:([^\t]*)|NO_HEADERS)\t([^\t]*)\t(.*)$/\2\t\3\t\1\t\6\t\7\t\5/'

fail() { echo "$*"; exit 1; }
must() { # PATTERN COMMAND…: its output has the pattern
  local want=$1 out
  shift
  out=$("$@" 2>&1) || fail "$* failed: $out"
  grep -qE "$want" <<<"$out" || fail "$*: no '$want' in: $out"
}
refused() { # PATTERN COMMAND…: it fails, or says so at least, with the pattern
  local want=$1 out
  shift
  out=$("$@" 2>&1) || true
  grep -qE "$want" <<<"$out" || fail "$*: no '$want' in: $out"
}
is() { [ "$1" = "$2" ] || fail "$3 is $1, not $2"; }

admin() { # TOPIC
  local t=$1 group="g-$1" half reset
  topics --create --topic "$t" --partitions 2 --config retention.ms=86400000 >/dev/null
  must 'PartitionCount: 2.*retention.ms=86400000' topics --describe --topic "$t"
  refused 'already exists' topics --create --topic "$t"
  must "^$t\$" topics --list
  topics --alter --topic "$t" --partitions 3 >/dev/null
  must 'PartitionCount: 3' topics --describe --topic "$t"

  configs topics --entity-name "$t" --alter --add-config retention.ms=3600000,cleanup.policy=[compact,delete] >/dev/null
  must 'retention.ms=3600000' configs topics --entity-name "$t" --describe
  configs topics --entity-name "$t" --alter --delete-config retention.ms,cleanup.policy >/dev/null
  refused 'Dynamic configs for topic .* are:$' configs topics --entity-name "$t" --describe
  refused 'Unknown topic config|InvalidConfiguration' configs topics --entity-name "$t" --alter --add-config no.such=1
  must 'num.partitions=[0-9]' configs brokers --entity-name 1 --describe --all

  must 'Produce\(0\): 0 to ' tool org.apache.kafka.tools.BrokerApiVersionsCommand
  must '^ *1 .*broker' "${java[@]}" org.apache.kafka.tools.ClusterTool list-endpoints --bootstrap-server "$b" --config "$client"

  seq 1 5 | produce --topic "$t"
  half=$(date -u +%Y-%m-%dT%H:%M:%S.%3N)
  seq 6 10 | produce --topic "$t"
  must "\"partition\":\"$t-0\"" tool org.apache.kafka.tools.LogDirsCommand --describe --topic-list "$t"
  is "$(tool org.apache.kafka.tools.GetOffsetShell --topic "$t" | awk -F: '{n += $3} END {print n}')" 10 "the sum of the offsets"

  "${java[@]}" "${consumer[@]}" --topic "$t" --group "$group" --from-beginning --max-messages 10 >/dev/null 2>&1
  must "$group" groups --list
  must "$group +Empty" groups --list --state
  must "$group +$t +0 .* 0 " groups --describe --group "$group"
  must '\(1\) .* Empty' groups --describe --group "$group" --state
  must "$group +$t +0 +0\$" groups --group "$group" --topic "$t" --reset-offsets --to-earliest --dry-run
  reset=$(groups --group "$group" --topic "$t" --reset-offsets --to-datetime "$half" --execute | awk -v t="$t" '$2 == t {n += $4} END {print n}')
  is "$reset" 5 "the sum of the offsets at $half"
  is "$(groups --describe --group "$group" | awk -v t="$t" '$2 == t {n += $6} END {print n}')" 5 "the group's lag"
  must 'Successful' groups --delete-offsets --group "$group" --topic "$t:0"
  must 'successful' groups --delete --group "$group"
  refused 'GroupIdNotFound|does not exist' groups --describe --group "$group"

  must '^3000 records sent' tool org.apache.kafka.tools.ProducerPerformance --topic "$t" --num-records 3000 --record-size 100 --throughput -1
  must '[0-9]' tool org.apache.kafka.tools.ConsumerPerformance --topic "$t" --num-records 3000
  printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":-1}]}' "$t" >"$tmp/delete"
  must "partition: $t-0.*low_watermark: [0-9]+" tool org.apache.kafka.tools.DeleteRecordsCommand --offset-json-file "$tmp/delete"
  is "$(offset "$t" earliest)" "$(offset "$t" latest)" "the first offset after deletion"

  topics --delete --topic "$t" >/dev/null
  refused 'does not exist' topics --describe --topic "$t"
  echo ok
}

txn() { # TOPIC N
  local t=$1 n=$2 id=tx-$1 pid
  "${java[@]}" org.apache.kafka.tools.ProducerPerformance --bootstrap-server "$b" --command-config "$client" --topic "$t" --num-records $((1000 * n)) \
    --throughput "$n" --payload-monotonic --transactional-id "$id" --transaction-duration-ms 900000 \
    --command-property transaction.timeout.ms=900000 >/dev/null 2>&1 &
  pid=$!
  until [ "$(offset "$t" latest 2>/dev/null || echo 0)" -ge "$n" ]; do kill -0 "$pid" || fail "the producer has ended"; done
  kill -9 "$pid"
  wait "$pid" 2>/dev/null || true
  must "$id\s.*Ongoing" transactions list
  must "$id\s.*Ongoing\s.*$t-0" transactions describe --transactional-id "$id"
  must '\s0\s*$' transactions describe-producers --topic "$t" --partition 0
  must '' transactions forceTerminateTransaction --transactionalId "$id"
  must "$id\s.*(Empty|CompleteAbort)" transactions describe --transactional-id "$id"
  must "^$n records sent" tool org.apache.kafka.tools.ProducerPerformance --topic "$t" --num-records "$n" --throughput -1 --payload-monotonic \
    --transactional-id "$id" --transaction-duration-ms 600000
}

case $command in
  produce)
    seq 0 $(($3 - 1)) | awk '{print "h:all\tk" $1 "\tv" $1}' |
      produce --topic "$1" --compression-codec "$2" --reader-property parse.headers=true --reader-property parse.key=true
    ;;
  consume)
    from=$2
    [ "${from#t}" = "$from" ] || from=$(offset "$1" "${from#t}")
    "${java[@]}" "${consumer[@]}" --topic "$1" --partition 0 --offset "$from" --max-messages "$3" --isolation-level read_committed 2>/dev/null | sed -E "$show"
    ;;
  group) # it is this process that will be killed
    exec "${java[@]}" "${consumer[@]}" --topic "$1" --group "$2" --from-beginning --command-property session.timeout.ms=6000 \
      --command-property heartbeat.interval.ms=500 --command-property auto.commit.interval.ms=200 > >(sed -uE "$show")
    ;;
  txn) txn "$@" ;;
  admin) admin "$1" ;;
  *) exit 77 ;;
esac
