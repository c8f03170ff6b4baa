#!/usr/bin/env bash
# Measures how one combined KRaft node starts in an image made by build.sh, with and
# without the class-data archive and the first compiler alone.
#
#   images/kafka/startup.sh [IMAGE [TIMES]]
#
# A line a start: time until "Kafka Server started" is logged (to 20 ms), processor
# time of the JVM until then, its resident memory. Where other work shares the
# processors, compare the processor time.

set -euo pipefail
image=${1:-starfall/kafka:3.9.1}
times=${2:-3}

# start NAME ARCHIVE OPTION…
start() {
  local name=$1 archive=$2
  shift 2
  docker run --rm --network none --interactive --env KAFKA_CDS="$archive" --env KAFKA_OPTS="$*" \
    --env KAFKA_HEAP_OPTS=-Xmx512m "$image" sh -s "$name" <<'EOF'
set -eu
mkdir -p /tmp/data
printf '%s\n' version=1 cluster.id=c3RhcmZhbGwtdHJhaW5pbmc node.id=1 directory.id=AAAAAAAAAAAAAAABAAAAAQ >/tmp/data/meta.properties
printf '%s\n' process.roles=broker,controller node.id=1 controller.quorum.voters=1@localhost:9093 \
  controller.listener.names=CONTROLLER listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093 \
  log.dirs=/tmp/data offsets.topic.replication.factor=1 >/tmp/server.properties
begin=$(date +%s%N)
/opt/kafka/bin/kafka-run-class.sh kafka.Kafka /tmp/server.properties >/tmp/log 2>&1 &
pid=$!
until grep -qs 'Kafka Server started' /tmp/log; do
  kill -0 $pid 2>/dev/null || { tail -15 /tmp/log >&2; exit 1; }
  sleep 0.02
done
end=$(date +%s%N)
ticks=$(sed 's/.*) //' /proc/$pid/stat | cut -d' ' -f12,13 | tr ' ' +)
rss=$(grep VmRSS /proc/$pid/status | tr -dc 0-9)
printf '%-32s %5d ms  %5d ms of processor  %4d MB\n' "$1" $(((end - begin) / 1000000)) $((($ticks) * 10)) $((rss / 1000))
kill -9 $pid
EOF
}

for _ in $(seq "$times"); do
  start 'plain' off
  start 'first compiler alone' off -XX:TieredStopAtLevel=1
  start 'archive' on
  start 'archive, first compiler alone' on -XX:TieredStopAtLevel=1
done
