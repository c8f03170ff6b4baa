#!/bin/sh
# Runs inside a container of the unfinished image and makes the class-data
# archives in /opt/kafka/cds: it starts two real brokers, lets tools and clients
# talk to them, starts ZooKeeper where it is there, and archives the classes they
# loaded. Every step must succeed; the last lines of what failed are shown.

set -eu
cds=/opt/kafka/cds
work=/tmp/train
rm -rf $work
mkdir -p $cds $work
pids=''

fail() {
  echo "train: $*" >&2
  for log in $work/*.log; do
    echo "== $log" >&2
    tail -15 "$log" >&2
  done
  # shellcheck disable=SC2086 # a list of pids
  [ -z "$pids" ] || kill -9 $pids
  exit 1
}

# await FILE TEXT: until TEXT is in FILE, three minutes at most: builders are slow.
await() {
  tries=1800
  until grep -q "$2" "$1" 2>/dev/null; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "no \"$2\" in $1 within 180 s"
    sleep 0.1
  done
}

run=/opt/kafka/bin/kafka-run-class.sh
# A sorted, literal list: an archive is refused where the class path differs.
LC_ALL=C ls /opt/kafka/libs/*.jar | tr '\n' ':' | sed 's/:$//' >$cds/classpath

# The JDK's own archive, which jlink leaves out.
java -Xshare:dump >$work/base.log 2>&1 || fail "no archive of the JDK's classes"

cluster=c3RhcmZhbGwtdHJhaW5pbmc
voters=1@localhost:19091,2@localhost:19092
for id in 1 2; do
  mkdir -p $work/data-$id
  cat >$work/$id.properties <<EOF
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://localhost:909$id,CONTROLLER://localhost:1909$id
log.dirs=$work/data-$id
offsets.topic.replication.factor=2
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=2
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
EOF
  KAFKA_OPTS="-XX:TieredStopAtLevel=1" KAFKA_CDS=off $run kafka.tools.StorageTool format \
    -t $cluster -c $work/$id.properties >$work/format-$id.log 2>&1 || fail "format of node $id"
  KAFKA_HEAP_OPTS=-Xmx256m KAFKA_OPTS="-XX:DumpLoadedClassList=$work/broker-$id.classes" KAFKA_CDS=off \
    $run kafka.Kafka $work/$id.properties >$work/broker-$id.log 2>&1 &
  pids="$pids $!"
done
for id in 1 2; do
  await $work/broker-$id.log 'Kafka Server started'
done

bootstrap=localhost:9091,localhost:9092
# tool NAME CLASS ARGUMENT…: must succeed; its classes go into the tools' archive.
tool() {
  name=$1
  shift
  KAFKA_OPTS="-XX:DumpLoadedClassList=$work/tool-$name.classes" KAFKA_CDS=off \
    "$run" "$@" >$work/tool-$name.log 2>&1 || fail "tool $name"
}
tools=org.apache.kafka.tools
tool topics $tools.TopicCommand --bootstrap-server $bootstrap --create --topic train --partitions 2 --replication-factor 2
printf '1\n2\n3\n' >$work/input
tool perf $tools.ProducerPerformance --topic train --num-records 2000 --record-size 100 --throughput 2000 \
  --producer-props bootstrap.servers=$bootstrap
tool consumer $tools.consumer.ConsoleConsumer --bootstrap-server $bootstrap --topic train --group train \
  --from-beginning --max-messages 2000
tool groups $tools.consumer.group.ConsumerGroupCommand --bootstrap-server $bootstrap --describe --group train
tool quorum $tools.MetadataQuorumCommand --bootstrap-server $bootstrap describe --status
tool configs kafka.admin.ConfigCommand --bootstrap-server $bootstrap --describe --entity-type brokers --entity-name 1 --all
rm $work/input

# MirrorMaker, with the one cluster as both of its sides.
cat >$work/mirror.properties <<EOF
clusters=a,b
a.bootstrap.servers=$bootstrap
b.bootstrap.servers=$bootstrap
b.config.storage.replication.factor=1
b.offset.storage.replication.factor=1
b.offset.storage.partitions=1
b.status.storage.replication.factor=1
b.status.storage.partitions=1
a->b.enabled=true
a->b.topics=train
a->b.replication.factor=1
a->b.offset-syncs.topic.replication.factor=1
a->b.checkpoints.topic.replication.factor=1
a->b.heartbeats.topic.replication.factor=1
a->b.sync.group.offsets.enabled=true
EOF
KAFKA_HEAP_OPTS=-Xmx256m KAFKA_OPTS="-XX:DumpLoadedClassList=$work/mirror-1.classes" KAFKA_CDS=off \
  $run org.apache.kafka.connect.mirror.MirrorMaker $work/mirror.properties --clusters b >$work/mirror.log 2>&1 &
pids="$pids $!"
await $work/mirror.log 'topic-partitions a->b: .*train-1'
tool copied $tools.consumer.ConsoleConsumer --bootstrap-server $bootstrap --topic a.train --from-beginning --max-messages 2000

# Without a controller a broker waits five minutes to stop; killing is enough, the
# lists are written as classes are loaded.
# shellcheck disable=SC2086 # a list of pids
kill -9 $pids
# shellcheck disable=SC2086
wait $pids || true
pids=''

if ls /opt/kafka/libs/zookeeper-[0-9]*.jar >/dev/null 2>&1; then
  for id in 1 2 3; do
    mkdir -p $work/zookeeper-$id
    echo $id >$work/zookeeper-$id/myid
    cat >$work/zookeeper-$id.cfg <<EOF
tickTime=2000
initLimit=10
syncLimit=5
dataDir=$work/zookeeper-$id
clientPort=218$id
admin.enableServer=false
server.1=localhost:28881:38881
server.2=localhost:28882:38882
server.3=localhost:28883:38883
EOF
    KAFKA_HEAP_OPTS=-Xmx128m KAFKA_OPTS="-XX:DumpLoadedClassList=$work/zookeeper-$id.classes" KAFKA_CDS=off \
      $run org.apache.zookeeper.server.quorum.QuorumPeerMain $work/zookeeper-$id.cfg >$work/zookeeper-$id.log 2>&1 &
    pids="$pids $!"
  done
  for id in 1 2 3; do
    await $work/zookeeper-$id.log 'LEADER ELECTION TOOK'
  done
  # A broker in ZooKeeper mode loads classes that one in KRaft mode does not.
  mkdir -p $work/data-zk
  cat >$work/zk.properties <<EOF
broker.id=1
zookeeper.connect=localhost:2181,localhost:2182,localhost:2183
listeners=PLAINTEXT://localhost:9091
log.dirs=$work/data-zk
EOF
  KAFKA_HEAP_OPTS=-Xmx256m KAFKA_OPTS="-XX:DumpLoadedClassList=$work/broker-zk.classes" KAFKA_CDS=off \
    $run kafka.Kafka $work/zk.properties >$work/broker-zk.log 2>&1 &
  pids="$pids $!"
  await $work/broker-zk.log 'started (kafka.server.KafkaServer)'
  # shellcheck disable=SC2086
  kill -9 $pids
  # shellcheck disable=SC2086
  wait $pids || true
  pids=''
fi

# archive NAME: makes NAME.jsa of the classes in the lists NAME-*.classes.
archive() {
  sort -u "$work/$1"-*.classes >"$work/$1.list"
  # The heap size that brokers are likely to have: object addresses then fit as
  # they are.
  java -Xmx512m -Xshare:dump -XX:SharedClassListFile="$work/$1.list" -XX:SharedArchiveFile="$cds/$1.jsa" \
    -cp "$(cat $cds/classpath)" >"$work/dump-$1.log" 2>&1 || fail "no archive for $1"
  [ -s "$cds/$1.jsa" ] || fail "no archive for $1"
}
archive broker
archive mirror
archive tool
mv $cds/tool.jsa $cds/tools.jsa
[ ! -e $work/zookeeper-1.classes ] || archive zookeeper
rm -rf $work
ls -l $cds
