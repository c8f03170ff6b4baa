#!/bin/sh
# Runs a class of Kafka or ZooKeeper with the class-data archive made for it.
#
#   kafka-run-class.sh CLASS [ARGUMENT…]
#
# KAFKA_HEAP_OPTS and KAFKA_OPTS are handed to the JVM, as Kafka's own script of
# this name does; KAFKA_CDS=off leaves the archive out.

set -eu
home=/opt/kafka
class=${1:?usage: kafka-run-class.sh CLASS [ARGUMENT…]}

case $class in
  kafka.Kafka) archive=broker log='' ;;
  org.apache.zookeeper.server.*) archive=zookeeper log='' ;;
  org.apache.kafka.connect.mirror.*) archive=mirror log='' ;;
  org.apache.kafka.connect.*) archive=none log='' ;;
  *) archive=tools log=tools- ;;
esac

if [ -e $home/config/log4j2.yaml ]; then
  logging=-Dlog4j2.configurationFile=file:$home/config/${log}log4j2.yaml
else
  logging=-Dlog4j.configuration=file:$home/config/${log}log4j.properties
fi

# Short-lived and small JVMs start sooner with the first compiler alone; a broker
# under load wants both, so that is left to the caller.
case $archive in
  tools) set -- -XX:TieredStopAtLevel=1 "$@" ;;
esac
cds=$home/cds/$archive.jsa
if [ "${KAFKA_CDS:-on}" != off ] && [ -e "$cds" ]; then
  set -- -XX:SharedArchiveFile="$cds" -Xshare:auto "$@"
fi
# shellcheck disable=SC2086 # options are words
exec java $logging ${KAFKA_HEAP_OPTS:-} ${KAFKA_OPTS:-} -cp "$(cat $home/cds/classpath)" "$@"
