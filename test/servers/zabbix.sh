#!/bin/bash
# Real Zabbix 6.0 server, frontend and PostgreSQL on loopback, from Debian 12's packages, as root: zabbix.sh DIR [start|stop|status]
# TRAPPER, WEB, DATABASE: ports. Log in as Admin / zabbix. The loaded database is kept as an image in the cache.
. "$(dirname "$(readlink -f "$0")")/common.sh"
TRAPPER=${TRAPPER:-20051} WEB=${WEB:-18080} DATABASE=${DATABASE:-15432}
case $VERB in
  # INT is PostgreSQL's fast shutdown; TERM would wait for the clients.
  stop) stop_process web TERM; stop_process server TERM; stop_process postgres INT; exit 0 ;;
  status) print_status postgres server web; exit ;;
esac
[ "$(id -u)" = 0 ] || die 'must run as root'
web_up() {
  port_open "$WEB" && curl -fsS -m 5 -H 'Content-Type: application/json-rpc' -d '{"jsonrpc":"2.0","method":"apiinfo.version","params":{},"id":1}' \
    "http://127.0.0.1:$WEB/api_jsonrpc.php" | grep -q '"result"'
}
server_up() { port_open "$TRAPPER"; }
line() {
  wait_until 40 server server_up
  wait_until 40 web web_up
  ready "ZABBIX_API=http://127.0.0.1:$WEB/api_jsonrpc.php" "ZABBIX_WEB=http://127.0.0.1:$WEB/" "ZABBIX_SENDER=127.0.0.1:$TRAPPER" \
    ZABBIX_USER=Admin ZABBIX_PASSWORD=zabbix "VERSION=$(dpkg-query -W -f '${Version}' zabbix-server-pgsql | sed 's/.*://; s/[+-].*//')"
}
if alive postgres && alive server && alive web; then line; exit 0; fi

# php-fpm is named only so that apt does not pull Apache in to satisfy "php".
need_apt zabbix-server-pgsql zabbix-frontend-php php-fpm php-cli php-pgsql postgresql curl locales
# Without this locale every page of the frontend carries a red banner (the API does not care).
locale -a 2>/dev/null | grep -qix 'en_US.utf-\?8' || localedef -i en_US -f UTF-8 en_US.UTF-8
stop_process web TERM
stop_process server TERM
stop_process postgres INT
ports_free "$TRAPPER" "$WEB" "$DATABASE"

# --- PostgreSQL ----------------------------------------------------------------------------------------------------
PG=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -1)
IMAGE=$CACHE/zabbix-$(dpkg-query -W -f '${Version}' zabbix-server-pgsql | tr -c 'A-Za-z0-9.\n' _).tar.gz
as() { setpriv --reuid "$1" --regid "$1" --init-groups "${@:2}"; }
sql() { as postgres psql -qAtX -h "$D/run" -p "$DATABASE" -v ON_ERROR_STOP=1 "$@"; }
postgres_up() { as postgres "$PG/pg_isready" -q -h "$D/run" -p "$DATABASE" -d postgres; }
postgres_start() {
  spawn postgres setpriv --reuid postgres --regid postgres --init-groups "$PG/postgres" -D "$D/pg" -p "$DATABASE" -k "$D/run" -c listen_addresses=127.0.0.1
  wait_until 60 postgres postgres_up
}
install -d -m 700 -o postgres -g postgres "$D/pg"
install -d -m 755 -o postgres -g postgres "$D/run"
install -d -m 777 "$D/log"
as postgres test -w "$D/pg" || die "user postgres cannot reach $D: choose another folder with --dir"
if [ ! -s "$D/pg/PG_VERSION" ] && [ -s "$IMAGE" ]; then
  tar -C "$D/pg" -xzf "$IMAGE"
elif [ ! -s "$D/pg/PG_VERSION" ]; then
  say 'loading the database (the first time on this machine)'
  as postgres "$PG/initdb" -N -A trust -E UTF8 --locale=C.UTF-8 -D "$D/pg" >"$D/log/initdb.log"
  printf '%s\n' 'fsync = off' 'synchronous_commit = off' 'full_page_writes = off' 'wal_level = minimal' 'max_wal_senders = 0' \
    'max_connections = 60' 'shared_buffers = 64MB' 'autovacuum = off' >>"$D/pg/postgresql.conf"
  postgres_start
  sql -d postgres -c 'create role zabbix login' -c 'create database zabbix owner zabbix template template0'
  for part in schema images data; do # in this order; only data.sql brings its own BEGIN and COMMIT
    zcat "/usr/share/zabbix-server-pgsql/$part.sql.gz" | as postgres psql -qX -o /dev/null $([ $part = data ] || echo -1) \
      -v ON_ERROR_STOP=1 -h "$D/run" -p "$DATABASE" -U zabbix -d zabbix >"$D/log/load-$part.log" 2>&1 || die "loading $part failed, see $D/log"
  done
  # The built-in host "Zabbix server" would poll an agent that is not there for ever.
  sql -U zabbix -d zabbix -c 'update hosts set status=1 where status=0'
  # Without statistics one template.delete takes the server 90 s instead of 0.1 s (autovacuum is off).
  sql -d zabbix -c 'vacuum (freeze, analyze)'
  stop_process postgres INT
  tar -C "$D/pg" -c . | gzip -1 >"$IMAGE.part"
  mv "$IMAGE.part" "$IMAGE"
fi
postgres_start

# --- server and frontend -------------------------------------------------------------------------------------------
# CacheUpdateFrequency: what the API makes is known to the trapper within three seconds (at 1 s it takes a third of a core for ever).
# The rest: as few processes as it accepts.
cat >"$D/server.conf" <<C
LogType=console
PidFile=$D/run/server.pid
SocketDir=$D
ListenIP=127.0.0.1
ListenPort=$TRAPPER
DBHost=$D/run
DBPort=$DATABASE
DBName=zabbix
DBUser=zabbix
AllowRoot=1
CacheUpdateFrequency=3
HousekeepingFrequency=0
CacheSize=32M
HistoryCacheSize=16M
TrendCacheSize=4M
ValueCacheSize=16M
StartPollers=1
StartPollersUnreachable=1
StartTrappers=3
StartPingers=0
StartDiscoverers=0
StartHTTPPollers=0
StartTimers=1
StartEscalators=1
StartAlerters=2
StartDBSyncers=1
StartPreprocessors=1
StartLLDProcessors=1
StartHistoryPollers=1
StartODBCPollers=0
StartReportWriters=0
FpingLocation=/bin/false
StatsAllowedIP=127.0.0.1
C
spawn server /usr/sbin/zabbix_server -f -c "$D/server.conf"
# The path of this file is compiled into Debian's frontend, so every copy shares it; what differs travels in PHP's environment.
CONF=/etc/zabbix/zabbix.conf.php
if [ -s $CONF ] && ! grep -q 'millrace test' $CONF; then die "$CONF belongs to somebody else"; fi
cat >$CONF <<'PHP'
<?php // millrace test
$DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '127.0.0.1', 'PORT' => getenv('ZBX_DB_PORT'), 'DATABASE' => 'zabbix', 'USER' => 'zabbix',
  'PASSWORD' => '', 'SCHEMA' => '', 'ENCRYPTION' => false, 'DOUBLE_IEEE754' => true];
$ZBX_SERVER = '127.0.0.1';
$ZBX_SERVER_PORT = getenv('ZBX_TRAPPER_PORT');
$ZBX_SERVER_NAME = 'millrace test';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
PHP
# php -S in a group of its own (spawn uses setsid), so that its workers go with it; error_reporting 22527 is E_ALL without deprecations.
spawn web env PHP_CLI_SERVER_WORKERS=4 ZBX_DB_PORT="$DATABASE" ZBX_TRAPPER_PORT="$TRAPPER" \
  setpriv --reuid zabbix --regid zabbix --init-groups php -q -d post_max_size=64M -d upload_max_filesize=64M -d max_execution_time=300 \
  -d max_input_time=300 -d memory_limit=512M -d display_errors=0 -d log_errors=1 -d error_reporting=22527 -d date.timezone=UTC \
  -d session.save_path=/tmp -d opcache.enable_cli=1 -S "127.0.0.1:$WEB" -t /usr/share/zabbix
line
