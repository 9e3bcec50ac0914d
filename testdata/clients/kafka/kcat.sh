#!/usr/bin/env bash
# The checks of README.md by kcat. It can't set timestamps, has one header for
# all records of a run, and does no administration. Its input is one transaction.
set -euo pipefail
command -v kcat >/dev/null || exit 77
b=$1 command=$2
shift 2
sasl=()
if [ -n "${KAFKA_SASL:-}" ]; then
  sasl=(-X security.protocol=SASL_PLAINTEXT -X "sasl.mechanism=$KAFKA_SASL" -X "sasl.username=$KAFKA_USER" -X "sasl.password=$KAFKA_PASSWORD")
fi
format='%p\t%o\t%T\t%k\t%s\t%h\n'

case $command in
  produce)
    seq 0 $(($3 - 1)) | awk '{print "k" $1 ":v" $1}' | kcat "${sasl[@]}" -b "$b" -P -t "$1" -p 0 -z "$2" -K: -H h=all -X linger.ms=5
    ;;
  consume)
    from=$2
    [ "${from#t}" = "$from" ] || from=s@${from#t}
    kcat "${sasl[@]}" -b "$b" -C -q -u -t "$1" -p 0 -o "$from" -c "$3" -f "$format" -X isolation.level=read_committed | sed -u 's/\th=/\t/'
    ;;
  group)
    exec kcat "${sasl[@]}" -b "$b" -G "$2" -q -u -X auto.offset.reset=earliest -X session.timeout.ms=6000 -X auto.commit.interval.ms=200 -f "$format" "$1"
    ;;
  txn) # the one that is killed is aborted by the next one with its id
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkfifo "$tmp/in"
    write=(kcat -b "$b" -P -q -t "$1" -p 0 -X "transactional.id=tx-$1" -X linger.ms=5)
    kcat -b "$b" -L -t "$1" >/dev/null # makes the topic
    "${write[@]}" <"$tmp/in" &
    exec 3>"$tmp/in"
    seq 0 $((2 * $2)) | sed 's/^/v/' >&3
    kcat -b "$b" -C -q -t "$1" -p 0 -o 0 -c "$2" -X isolation.level=read_uncommitted >/dev/null
    kill -9 $!
    wait $! 2>/dev/null || true
    seq 0 $(($2 - 1)) | sed 's/.*/k&:v&/' | "${write[@]}" -K:
    ;;
  *)
    exit 77
    ;;
esac
