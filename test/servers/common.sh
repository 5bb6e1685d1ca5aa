# Shared by the recipes in this folder (sourced, not a command). Needs bash, Debian 12 or a relative, root for packages.
#
# Every recipe is called as  NAME.sh DIR [start|stop|status]  and keeps all it writes in DIR:
#   start   installs what is missing, starts, waits until the server answers, prints one line of KEY=VALUE pairs
#   stop    ends exactly the processes that start made (pid and start time are remembered) and waits for them
#   status  one line per process: up or down; exit 3 when one is down
# MILLRACE_SERVERS: the folder for jars, class paths and database images kept between runs.
set -euo pipefail
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
CACHE=${MILLRACE_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace-servers}
HERE=$(dirname "$(readlink -f "$0")")
NAME=${SERVER_NAME:-$(basename "$0" .sh)}
say() { printf '%s: %s\n' "$NAME" "$*" >&2; }
die() { say "$*"; exit 1; }
now_ms() { date +%s%3N; }
STARTED_MS=$(now_ms)

[ $# -ge 1 ] || die "usage: $(basename "$0") DIR [start|stop|status]"
VERB=${2:-start}
case $VERB in start | stop | status) ;; *) die "unknown verb $VERB: start, stop or status" ;; esac
mkdir -p "$1" "$CACHE"
D=$(cd "$1" && pwd -P)
case $D$CACHE in *[[:space:]:]*) die "folders with blanks or colons in their name do not work here: $D, $CACHE" ;; esac

# --- processes -----------------------------------------------------------------------------------------------------
# A pid alone may be somebody else's by now, so its start time (clock ticks since boot) is kept beside it.
ticks() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
pid_of() { [ -s "$D/$1.pid" ] && cat "$D/$1.pid"; }
alive() {
  local pid
  pid=$(pid_of "$1") || return 1
  [ -e "/proc/$pid/stat" ] && [ "$(ticks "$pid")" = "$(cat "$D/$1.ticks" 2>/dev/null)" ] &&
    ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
# spawn PROCESS command...: in a session of its own, so that stop reaches its children; output goes to DIR/PROCESS.log.
# Descriptors 8 and 9 are the locks below: a server must not inherit them.
spawn() {
  local process=$1
  shift
  setsid "$@" >"$D/$process.log" 2>&1 </dev/null 8>&- 9>&- &
  echo $! >"$D/$process.pid"
  ticks $! >"$D/$process.ticks"
  disown
}
# stop_process PROCESS SIGNAL: polite signal, at most 30 s of waiting, then KILL for that process group.
stop_process() {
  local process=$1 left=300 pid
  if alive "$process"; then
    pid=$(pid_of "$process")
    kill -s "$2" "$pid" 2>/dev/null || true
    while alive "$process" && [ $left -gt 0 ]; do
      sleep 0.1
      left=$((left - 1))
    done
    if alive "$process"; then
      say "$process did not end, killing it"
      kill -s KILL -- "-$pid" 2>/dev/null || kill -s KILL "$pid" 2>/dev/null || true
    fi
    kill -s TERM -- "-$pid" 2>/dev/null || true # children that outlived their leader
  fi
  rm -f "$D/$process.pid" "$D/$process.ticks"
}
print_status() {
  local process rc=0
  for process in "$@"; do
    if alive "$process"; then echo "up $process pid=$(pid_of "$process")"; else
      echo "down $process"
      rc=3
    fi
  done
  return $rc
}
# wait_until SECONDS PROCESS command...: fails at once when the process is gone.
wait_until() {
  local end process=$2
  end=$(($(now_ms) + $1 * 1000))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$process" || [ "$(now_ms)" -ge "$end" ]; then
      grep -m 5 -E '^Caused by|Exception|ERROR|FATAL|emerg' "$D/$process.log" >&2 || tail -n 8 "$D/$process.log" >&2
      stop_process "$process" TERM
      die "$process did not come up, see $D/$process.log"
    fi
    sleep 0.3 # every try costs a few processes, and the servers start on the same cores
  done
}
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
ports_free() {
  local port
  for port in "$@"; do ! port_open "$port" || die "port $port on 127.0.0.1 is taken"; done
}
ready() { echo "$* START_MS=$(($(now_ms) - STARTED_MS))"; }

# --- packages ------------------------------------------------------------------------------------------------------
# need_apt package...: asks nothing when all are installed; no maintainer script may start a daemon.
need_apt() {
  local package missing='' made='' rc=0 lists
  for package in "$@"; do
    dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || die "not root, so install these yourself:$missing"
  exec 8>"$CACHE/apt.lock"
  flock -w 600 8 || die 'another recipe has been installing for ten minutes'
  say "installing$missing"
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    made=1
  fi
  lists=$(find /var/lib/apt/lists -name '*Packages*' 2>/dev/null | head -1)
  # shellcheck disable=SC2086
  {
    [ -n "$lists" ] || apt-get -q -o DPkg::Lock::Timeout=300 update || true
    # dpkg's fsync after every file is a third of the time; a test machine that loses power starts over anyway.
    apt_install $missing || { apt-get -q -o DPkg::Lock::Timeout=300 update && apt_install $missing; }
  } >"$CACHE/apt.log" 2>&1 || rc=$?
  [ -z "$made" ] || rm -f /usr/sbin/policy-rc.d
  [ $rc = 0 ] || {
    tail -n 5 "$CACHE/apt.log" >&2
    die "apt-get failed, see $CACHE/apt.log"
  }
  exec 8>&-
}
apt_install() {
  timeout 600 apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-unsafe-io install --no-install-recommends "$@"
}

# need_java [MIN]: sets JAVA to the oldest `java` of version MIN (17) or later with `javac` beside it, and JAVA_MAJOR; Debian's package
# when there is none. Debian 12 has no later one: MILLRACE_JAVA_HOME names it, or it lies below /usr/lib/jvm; exit 69 without.
need_java() {
  local min=${1:-17} candidate major
  JAVA= JAVA_MAJOR=999
  for candidate in "${MILLRACE_JAVA_HOME:-}/bin/java" "${JAVA_HOME:-}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    [ -x "$candidate" ] || continue
    candidate=$(readlink -f "$candidate")
    major=$("$candidate" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
    [ -n "$major" ] && [ "$major" -ge "$min" ] && [ "$major" -lt "$JAVA_MAJOR" ] && [ -x "${candidate}c" ] || continue
    JAVA=$candidate JAVA_MAJOR=$major
  done
  [ -z "$JAVA" ] || return 0
  if [ "$min" -gt 17 ]; then
    say "needs a JDK $min or later: set MILLRACE_JAVA_HOME (Debian 12 has only 17)"
    exit 69
  fi
  need_apt openjdk-17-jdk-headless
  JAVA=$(ls /usr/lib/jvm/java-17-openjdk-*/bin/java | head -1) JAVA_MAJOR=17
}

# maven_cp KEY group:artifact:version...: sets CP. Jars stay in the cache; a second start does not run Maven at all.
maven_cp() {
  local dir=$CACHE/$1 coordinate jar group artifact version
  shift
  if [ "$*" = "$(cat "$dir/coordinates" 2>/dev/null)" ]; then
    CP=$(cat "$dir/classpath")
    for jar in ${CP//:/ }; do [ -s "$jar" ] || CP=; done
    [ -z "$CP" ] || return 0
  fi
  command -v mvn >/dev/null || need_apt maven
  mkdir -p "$dir"
  # Maven 3 does not guard its local repository against a second Maven.
  exec 9>"$CACHE/maven.lock"
  flock -w 600 9 || die 'another recipe has been fetching jars for ten minutes'
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>millrace</groupId><artifactId>servers</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    for coordinate in "$@"; do
      IFS=: read -r group artifact version <<<"$coordinate"
      echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$dir/pom.xml"
  say 'fetching jars with Maven'
  # Maven runs for seconds: the optimising compiler would not pay for itself.
  MAVEN_OPTS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m' timeout 600 mvn -q -B -f "$dir/pom.xml" -Dmaven.repo.local="$CACHE/m2" dependency:build-classpath \
    -Dmdep.outputFile="$dir/classpath" >"$dir/mvn.log" 2>&1 </dev/null || {
    grep -m 3 ERROR "$dir/mvn.log" >&2
    die "Maven failed, see $dir/mvn.log"
  }
  exec 9>&-
  echo "$*" >"$dir/coordinates"
  CP=$(cat "$dir/classpath")
}
# compile KEY FILE.java CLASSPATH: into CACHE/KEY/classes (set as CLASSES), again only when the source has changed.
compile() {
  local sum dir=$CACHE/$1
  CLASSES=$dir/classes
  sum=$(sha256sum <"$2")
  [ "$sum" != "$(cat "$CLASSES/.sum" 2>/dev/null)" ] || return 0
  # Built aside and renamed, so that two starts at once do not see half of it.
  rm -rf "$CLASSES.$$"
  mkdir -p "$CLASSES.$$"
  "${JAVA}c" -nowarn -proc:none -cp "$3" -d "$CLASSES.$$" "$2" >"$dir/javac.log" 2>&1 || {
    grep -m 5 error "$dir/javac.log" >&2
    die "javac failed, see $dir/javac.log"
  }
  echo "$sum" >"$CLASSES.$$/.sum"
  rm -rf "$CLASSES"
  mv -T "$CLASSES.$$" "$CLASSES" 2>/dev/null || rm -rf "$CLASSES.$$"
}

# --- search servers (OpenSearch and Elasticsearch share their ways) ------------------------------------------------
# search_config FILE: the settings of a one-node cluster on loopback; and log4j2.properties beside it.
search_config() {
  mkdir -p "$D/config" "$D/plugins" "$D/modules" "$D/tmp"
  cat >"$D/config/$1" <<C
cluster.name: millrace
node.name: n1
discovery.type: single-node
network.host: 127.0.0.1
http.port: $PORT
transport.port: $TRANSPORT
path.data: $D/data
path.logs: $D/logs
cluster.routing.allocation.disk.threshold_enabled: false
C
  # SETTINGS='a.b: c; d.e: f': lines beside these
  printf '%s\n' "${SETTINGS:-}" | tr ';' '\n' | sed 's/^ *//; /^$/d' >>"$D/config/$1"
  cat >"$D/config/log4j2.properties" <<'C'
status = error
appender.c.type = Console
appender.c.name = c
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.c.ref = c
C
}
# search_spawn PROCESS PACKAGE MODULES CLASSPATH flag...
search_spawn() {
  local process=$1 package=$2 modules=$3 classpath=$4 quiet=
  shift 4
  [ "$JAVA_MAJOR" -lt 23 ] || quiet='--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow'
  [ "$JAVA_MAJOR" -lt 20 ] || [ "$package" != org.elasticsearch ] || quiet="--add-modules=jdk.incubator.vector $quiet"
  # shellcheck disable=SC2086
  # C1 only and the serial collector: a test server lives for minutes on a shared core.
  spawn "$process" env -C "$D" "$JAVA" -Xms"${HEAP:-512m}" -Xmx"${HEAP:-512m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Djava.io.tmpdir="$D/tmp" -Dlog4j2.configurationFile="$D/config/log4j2.properties" -Dlog4j2.disable.jmx=true \
    -Dlog4j.shutdownHookEnabled=false -Dio.netty.noUnsafe=true -Dio.netty.allocator.type=unpooled -Dfile.encoding=UTF-8 \
    -Djava.awt.headless=true $quiet "$@" -cp "$classpath" SearchNode "$D" "$package" "$modules"
}
search_up() { port_open "$PORT" && curl -sf -m 5 -o /dev/null "http://127.0.0.1:$PORT/_cluster/health?wait_for_status=yellow&timeout=4s"; }
