#!/usr/bin/env bash
# The checks of README.md by Kafka's command line tools, as far as those go. JARS
# is the directory of the jars.
set -euo pipefail
[ -d "${JARS:?}" ] || exit 77
b=$1 command=$2
shift 2

run() { java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$JARS/*" "$@"; }
topics() { run org.apache.kafka.tools.TopicCommand --bootstrap-server "$b" "$@"; }
configs() { run kafka.admin.ConfigCommand --bootstrap-server "$b" "$@"; }
groups() { run org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$b" "$@"; }
must() { # PATTERN COMMAND…: its output has the pattern
  local want=$1 out
  shift
  out=$("$@" 2>&1) || { echo "$* failed: $out"; exit 1; }
  grep -qE "$want" <<<"$out" || { echo "$*: no '$want' in: $out"; exit 1; }
}

case $command in
  produce)
    seq 0 $(($3 - 1)) | awk '{print "h:all\tk" $1 "\tv" $1}' |
      run org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$b" --topic "$1" --compression-codec "$2" \
        --reader-property parse.headers=true --reader-property parse.key=true
    ;;
  consume)
    [ "${2#t}" = "$2" ] || exit 77
    run org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$b" --topic "$1" --partition 0 --offset "$2" --max-messages "$3" \
      --isolation-level read_committed --formatter-property print.partition=true --formatter-property print.offset=true --formatter-property print.timestamp=true \
      --formatter-property print.key=true --formatter-property print.headers=true 2>/dev/null |
      awk -F'\t' '{t = $1; sub(/^[A-Za-z]*:/, "", t); p = $2; sub(/^Partition:/, "", p); o = $3; sub(/^Offset:/, "", o); h = $4; sub(/^h:/, "", h);
        print p "\t" o "\t" t "\t" $5 "\t" $6 "\t" h}'
    ;;
  admin)
    topics --create --topic "$1" --partitions 2 --config retention.ms=86400000 >/dev/null
    must 'PartitionCount: 2.*retention.ms=86400000' topics --describe --topic "$1"
    must 'already exists' bash -c "java -cp '$JARS/*' org.apache.kafka.tools.TopicCommand --bootstrap-server '$b' --create --topic '$1' || true"
    configs --alter --entity-type topics --entity-name "$1" --add-config retention.ms=3600000 >/dev/null
    must 'retention.ms=3600000' configs --describe --entity-type topics --entity-name "$1"
    configs --describe --entity-type brokers --entity-name 1 --all >/dev/null
    topics --alter --topic "$1" --partitions 3 >/dev/null
    must 'PartitionCount: 3' topics --describe --topic "$1"
    seq 1 10 | run org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$b" --topic "$1"
    run org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$b" --topic "$1" --group "g-$1" --from-beginning --max-messages 10 >/dev/null 2>&1
    must "g-$1" groups --list
    must "g-$1 +$1" groups --describe --group "g-$1"
    must 'Empty' groups --describe --group "g-$1" --state
    must "$1" groups --group "g-$1" --topic "$1" --reset-offsets --to-earliest --execute
    must ' 0 +[0-9]+ +[1-9]' groups --describe --group "g-$1"
    must 'successful' groups --delete --group "g-$1"
    must "$1:0:" run org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$b" --topic "$1"
    must 'records sent' run org.apache.kafka.tools.ProducerPerformance --topic "$1" --num-records 1000 --record-size 100 --throughput -1 --producer-props "bootstrap.servers=$b"
    topics --delete --topic "$1" >/dev/null
    echo ok
    ;;
  *)
    exit 77
    ;;
esac
