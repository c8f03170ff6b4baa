#!/usr/bin/env bash
# Measures how long three combined KRaft nodes with a topic take to be ready: the
# way starfall brings them up, the plain way, and, as a floor, one node alone.
#
#   images/kafka/ready.sh STARFALL [IMAGE [TIMES]]
#
# STARFALL is the program. The plain way formats each log dir with Kafka's tool,
# starts each JVM without an archive, one container after the other, and makes the
# topic with Kafka's tool. The floor is a JVM with the archive and the first compiler
# alone, in a container that is there, until it logs "Kafka Server started". The
# ways take turns; a line a start, in milliseconds. Let nothing else run meanwhile.

set -euo pipefail
starfall=${1:?usage: ready.sh STARFALL [IMAGE [TIMES]]}
image=${2:-starfall/kafka:3.9.1}
times=${3:-5}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
net=starfall-ready-$$
nodes="$net-1 $net-2 $net-3"

cleanup() {
  # shellcheck disable=SC2086 # names
  docker rm --force $nodes >/dev/null 2>&1 || true
  docker network rm $net >/dev/null 2>&1 || true
}
trap 'cleanup; rm -rf "$work"' EXIT

now() { date +%s%3N; }

cat >"$work/three.star" <<'EOF'
scenario(run_for = "4s", warmup = "1s")
kafka = cluster(brokers = 3)
orders = topic(kafka, partitions = 6, replicas = 3, min_insync = 2)
shop = producer(orders, rate = 10)
expect(orders.lost.none())
EOF

# ours prints the time from the start of the program until the brokers can be used,
# with the topic settled.
ours() {
  local begin pid
  : >"$work/up"
  begin=$(now)
  "$starfall" up "$work/three.star" --engine docker --image "$image" >"$work/up" 2>&1 &
  pid=$!
  until grep -q '127\.0\.0\.1:' "$work/up"; do
    kill -0 $pid 2>/dev/null || { cat "$work/up" >&2; exit 1; }
    sleep 0.01
  done
  printf 'starfall   %6d\n' $(($(now) - begin))
  kill -INT $pid
  wait $pid || true
}

plain() {
  local begin id
  begin=$(now)
  docker network create $net >/dev/null
  for id in 1 2 3; do
    docker run --detach --name $net-$id --network $net --env KAFKA_CDS=off --env KAFKA_HEAP_OPTS=-Xmx512m "$image" sh -c "
      mkdir -p /tmp/data
      cat >/tmp/server.properties <<EOF
process.roles=broker,controller
node.id=$id
controller.quorum.voters=1@$net-1:9093,2@$net-2:9093,3@$net-3:9093
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
advertised.listeners=PLAINTEXT://$net-$id:9092
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=/tmp/data
EOF
      run=/opt/kafka/bin/kafka-run-class.sh
      \$run kafka.tools.StorageTool format -t c3RhcmZhbGwtdHJhaW5pbmc -c /tmp/server.properties >/tmp/log 2>&1
      exec \$run kafka.Kafka /tmp/server.properties >>/tmp/log 2>&1" >/dev/null
    # Its log dir is formatted before the next one is started.
    until docker exec $net-$id test -e /tmp/data/meta.properties; do sleep 0.05; done
  done
  until docker exec $net-1 /opt/kafka/bin/kafka-run-class.sh org.apache.kafka.tools.TopicCommand --bootstrap-server $net-1:9092 \
    --create --if-not-exists --topic orders --partitions 6 --replication-factor 3 >"$work/topic" 2>&1; do
    sleep 0.05
  done
  printf 'plain      %6d\n' $(($(now) - begin))
  cleanup
}

floor() {
  "$here/startup.sh" "$image" 1 | sed -n 's/^archive, first compiler alone  *\([0-9]*\) ms.*/\1/p' |
    xargs printf 'one JVM    %6d\n'
}

for _ in $(seq "$times"); do
  ours
  plain
  floor
done
