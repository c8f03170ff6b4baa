#!/usr/bin/env bash
# Looks into an image of Kafka: java and Kafka must start in it without network and
# say their versions, with the class-data archives where there are some.
#
#   images/kafka/check.sh IMAGE

set -euo pipefail
image=${1:?usage: check.sh IMAGE}
want=${image##*:}

docker run --rm --network none --interactive "$image" sh -s "$want" <<'EOF'
set -eu
fail() {
  echo "check: $*" >&2
  exit 1
}
java=$(java -version 2>&1) || fail "java does not start: $java"
echo "$java" | head -1

[ -e /opt/kafka/cds/classpath ] || fail "no /opt/kafka/cds/classpath"
classpath=$(cat /opt/kafka/cds/classpath)
for name in broker tools mirror zookeeper; do
  archive=/opt/kafka/cds/$name.jsa
  if [ ! -e $archive ]; then
    [ $name = zookeeper ] && ! ls /opt/kafka/libs/zookeeper-[0-9]*.jar >/dev/null 2>&1 && continue
    fail "no $archive"
  fi
  # on: end with an error where the archive cannot be used.
  java -Xshare:on -XX:SharedArchiveFile=$archive -Xlog:class+load:file=/tmp/$name -cp "$classpath" \
    kafka.Kafka --version >/tmp/version 2>/tmp/error || fail "$archive cannot be used: $(cat /tmp/error)"
  shared=$(grep -c 'source: shared objects file' /tmp/$name) || fail "$archive serves no class"
  echo "$archive: $(($(stat -c %s $archive) / 1000000)) MB, serves $shared of $(wc -l </tmp/$name) classes of kafka.Kafka --version"
done

while read -r tool class; do
  [ -x /opt/kafka/bin/$tool.sh ] || fail "no /opt/kafka/bin/$tool.sh"
  file=$(echo "$class" | sed 's,[.],/,g').class
  grep -q -F "$file" /opt/kafka/libs/*.jar || fail "$tool: no class $class"
done </opt/kafka/config/tools

version=$(tail -1 /tmp/version)
case $version in
  "$1" | "$1 "*) echo "Kafka $version" ;;
  *) fail "Kafka says version $version, the tag says $1" ;;
esac
EOF
