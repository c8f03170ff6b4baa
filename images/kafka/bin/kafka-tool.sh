#!/bin/sh
# Runs the tool of Kafka whose name it is called by, as links to it do:
#
#   kafka-topics.sh --bootstrap-server HOST:PORT --list
#
# /opt/kafka/config/tools says which class each is. KAFKA_OPTS and KAFKA_HEAP_OPTS
# are handed to the JVM.

set -eu
name=$(basename "$0" .sh)
class=$(sed -n "s/^$name //p" /opt/kafka/config/tools)
if [ -z "$class" ]; then
  echo "$name: Kafka has no such tool; there are:" >&2
  sed 's/ .*//' /opt/kafka/config/tools >&2
  exit 2
fi
exec /opt/kafka/bin/kafka-run-class.sh "$class" "$@"
