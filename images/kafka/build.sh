#!/usr/bin/env bash
# Makes the image starfall/kafka:VERSION of real Kafka without an image registry:
# a small Debian root, a Java 17 runtime, Kafka's jars from Maven, and class-data
# archives made by really starting it.
#
#   images/kafka/build.sh [--cache DIR] [VERSION]
#
# VERSION is 3.9.1 unless given; 4.3.1 is the other one that is tried here. With
# --cache the finished image is kept in DIR too and loaded from there next time.
# Nothing is done when the engine has an image made from the same inputs.
# Needs Debian, root, Maven, debootstrap, and a Docker Engine that answers.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

suite=bookworm
java=17
limit_mb=450

# What the root is unpacked from. No maintainer script runs and nothing is left
# of dpkg: this is a place for a JVM and a shell, not a system to install into.
packages="base-files base-passwd libc6 libc-bin libgcc-s1 libstdc++6 zlib1g
  dash bash libtinfo6 coreutils libacl1 libattr1 libgmp10 libselinux1 libpcre2-8-0
  grep sed findutils gcc-12-base"
# What of the JDK is linked into the runtime: what the jars name, JMX, GSSAPI, and
# jcmd to look into a JVM. java.desktop is there for java.beans.
modules=java.base,java.datatransfer,java.desktop,java.instrument,java.logging,java.management
modules+=,java.management.rmi,java.naming,java.net.http,java.rmi,java.security.jgss,java.security.sasl
modules+=,java.sql,java.xml,jdk.attach,jdk.crypto.ec,jdk.jcmd,jdk.jfr,jdk.management
modules+=,jdk.management.agent,jdk.naming.dns,jdk.net,jdk.security.auth,jdk.security.jgss
modules+=,jdk.unsupported,jdk.zipfs

die() {
  printf 'build.sh: %s\n' "$@" >&2
  exit 4
}

cache=''
version=3.9.1
given=''
while [ $# -gt 0 ]; do
  case $1 in
    --cache)
      [ $# -ge 2 ] || die "--cache: for parameter DIR: got nothing, want a folder"
      mkdir -p "$2"
      cache=$(cd "$2" && pwd)
      shift 2
      ;;
    -h | --help)
      sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    -*) die "unknown flag $1, want --cache DIR" ;;
    *)
      [ -z "$given" ] || die "got a second version $1, want one"
      version=$1 given=yes
      shift
      ;;
  esac
done
[[ $version =~ ^(3\.9|4\.[0-9]+)\.[0-9]+$ ]] || die "version $version: want 3.9.x or 4.x.y"
major=${version%%.*}
image=starfall/kafka:$version

# The machine.

missing=()
[ "$(id -u)" = 0 ] || missing+=("root: run this with sudo")
[ "$(. /etc/os-release 2>/dev/null && echo "${ID:-}")" = debian ] ||
  missing+=("Debian: build the image on a Debian machine, or take one with: docker pull apache/kafka:$version")
need() {
  command -v "$1" >/dev/null || missing+=("$1: apt-get install $2")
}
need mvn maven
need debootstrap debootstrap
need docker docker.io
need dpkg-deb dpkg
if command -v docker >/dev/null && ! docker version >/dev/null 2>&1; then
  missing+=("a Docker Engine that answers: $(dirname "$here")/dockerd")
fi

# apt knows the mirror; STARFALL_DEBIAN_MIRROR overrides it.
mirror=${STARFALL_DEBIAN_MIRROR:-}
if [ -z "$mirror" ] && command -v apt-get >/dev/null; then
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk -v name="$codename" '($1 == name || $1 == "stable" || $1 == "testing" || $1 == "sid") && $2 == "main" { print $3; exit }')
fi
[ -n "$mirror" ] || missing+=("a Debian mirror in apt's sources: set STARFALL_DEBIAN_MIRROR to its address")
if [ ${#missing[@]} -gt 0 ]; then
  printf 'build.sh: missing %s\n' "${missing[@]}" >&2
  exit 4
fi

# The inputs.

inputs=$({
  echo "$version $(dpkg --print-architecture)"
  cd "$here"
  # shellcheck disable=SC2046 # names without blanks
  sha256sum build.sh pom.xml train.sh $(LC_ALL=C ls bin/* config/"$major"/*)
} | sha256sum | cut -c1-16)

made_from() {
  docker image inspect --format '{{index .Config.Labels "starfall.inputs"}}' "$1" 2>/dev/null || true
}
size_mb() {
  echo $(($(docker image inspect --format '{{.Size}}' "$1") / 1000000))
}

kept=${cache:+$cache/kafka-$version-$inputs.tar.gz}
keep() {
  [ -n "$kept" ] && [ ! -e "$kept" ] || return 0
  docker save "$image" | gzip -1 >"$kept.$$"
  mv "$kept.$$" "$kept"
  echo "kept in $kept"
}

if [ "$(made_from "$image")" = "$inputs" ]; then
  echo "$image is there, made from the same inputs ($inputs), $(size_mb "$image") MB"
  keep
  exit 0
fi
if [ -n "$kept" ] && [ -e "$kept" ]; then
  docker load --quiet --input "$kept" >/dev/null
  [ "$(made_from "$image")" = "$inputs" ] || die "$kept does not hold $image made from $inputs: remove it"
  echo "$image loaded from $kept, $(size_mb "$image") MB, $SECONDS s"
  exit 0
fi

# The build.

work=$(mktemp -d)
stage=starfall/kafka-stage:$inputs-$$
trainer=starfall-train-$$
cleanup() {
  docker rm --force "$trainer" >/dev/null 2>&1 || true
  # The finished image stands on this one: only its name goes.
  docker rmi --no-prune "$stage" >/dev/null 2>&1 || true
  rm -rf "$work"
  [ -z "$kept" ] || rm -f "$kept.$$"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() {
  printf '%4d s  %s\n' "$SECONDS" "$*"
}
# quietly NAME COMMAND…: shows what COMMAND printed only when it fails.
quietly() {
  local log=$work/$1.log
  shift
  "$@" >"$log" 2>&1 || {
    tail -40 "$log" >&2
    die "failed: $*"
  }
}

step "$image: jars"
mkdir -p "$work/root/opt/kafka/libs"
quietly maven mvn -B -f "$here/pom.xml" -P "kafka-$major" -Dkafka.version="$version" \
  dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$work/root/opt/kafka/libs" \
  -Dmdep.overWriteReleases=true

step "Debian $suite and its OpenJDK $java"
if [ -z "${http_proxy:-}" ]; then
  proxy=$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null | sed -n "s/^proxy='\(.*\)'$/\1/p")
  [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || export http_proxy=$proxy
fi
quietly debootstrap debootstrap --download-only --variant=minbase \
  --include="openjdk-$java-jdk-headless" "$suite" "$work/debs" "$mirror"

root=$work/root
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{proc,sys,dev,tmp,etc}
chmod 1777 "$root/tmp"
for dir in bin sbin lib lib64; do
  ln -s "usr/$dir" "$root/$dir"
done
# unpack NAME
unpack() {
  local deb
  deb=$(ls "$work/debs/var/cache/apt/archives/$1"_*.deb 2>/dev/null) || die "debootstrap did not fetch the package $1"
  dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
}
for name in $packages "openjdk-$java-jre-headless" "openjdk-$java-jdk-headless"; do
  unpack "$name"
done
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
# Names are looked up in /etc/hosts first: that is where a cluster's names stand.
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$root/etc/nsswitch.conf"
ldconfig -r "$root"

step "Java runtime"
jdk=$(cd "$root" && ls -d usr/lib/jvm/java-$java-openjdk-*)
# Without /proc the launcher does not find its own libraries.
quietly jlink chroot "$root" env LD_LIBRARY_PATH="/$jdk/lib" "/$jdk/bin/jlink" --add-modules "$modules" --strip-java-debug-attributes \
  --no-header-files --no-man-pages --output /opt/java
# Without the parts of java.desktop that draw and play, documentation, locales.
rm -rf "$root"/usr/lib/jvm "$root/etc/java-$java-openjdk" "$root"/opt/java/legal \
  "$root"/opt/java/lib/lib{awt,awt_headless,awt_xawt,mlib_image,fontmanager,javajpeg,jsound,lcms,splashscreen}.so \
  "$root"/usr/share/{doc,man,info,locale,lintian,applications,binfmts,gdb,bug} "$root"/usr/lib/*-linux-gnu/{gconv,perl-base} \
  "$root"/var/cache "$root"/var/lib/{apt,dpkg}
ln -s ../../opt/java/bin/java "$root/usr/bin/java"

mkdir -p "$root"/opt/kafka/{bin,config,cds} "$root"/var/lib/{kafka,zookeeper}
cp "$here"/bin/* "$root/opt/kafka/bin/"
cp "$here"/config/"$major"/* "$root/opt/kafka/config/"
while read -r tool _; do
  ln -s kafka-tool.sh "$root/opt/kafka/bin/$tool.sh"
done <"$root/opt/kafka/config/tools"
chown -R 0:0 "$root/opt"
# An archive is refused when a jar's time differs: let no copying move it.
find "$root/opt" -exec touch --no-dereference --date=@1700000000 {} +

step "image without archives"
tar -C "$root" --numeric-owner -c . |
  docker import --change 'ENV PATH=/opt/java/bin:/opt/kafka/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV JAVA_HOME=/opt/java' --change 'ENV LANG=C.UTF-8' --change 'WORKDIR /opt/kafka' - "$stage" >/dev/null

step "class-data archives"
quietly train docker run --name "$trainer" --network none --interactive "$stage" sh -s <"$here/train.sh"

size=$(docker inspect --size --format '{{.SizeRootFs}}' "$trainer")
[ $((size / 1000000)) -lt $limit_mb ] || die "the image would take $((size / 1000000)) MB, want less than $limit_mb"
docker commit --change 'CMD ["sh"]' --change "LABEL starfall.inputs=$inputs starfall.kafka=$version" "$trainer" "$image" >/dev/null

step "check"
"$here/check.sh" "$image"
keep
echo "$image: $(size_mb "$image") MB, $SECONDS s"
