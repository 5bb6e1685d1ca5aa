#!/bin/bash
# Real carbon-cache and graphite-web on loopback, from Debian's packages: graphite.sh DIR [start|stop|status]
# PLAIN (TCP and UDP), PICKLE, QUERY, WEB: ports. Retention 1s:1h, 10s:1d; nothing is averaged away (xFilesFactor 0, last); tags are on.
. "$(dirname "$(readlink -f "$0")")/common.sh"
PLAIN=${PLAIN:-12003} PICKLE=${PICKLE:-12004} QUERY=${QUERY:-17002} WEB=${WEB:-18085}
case $VERB in
  stop) stop_process carbon TERM; stop_process web TERM; exit 0 ;;
  status) print_status carbon web; exit ;;
esac
web_up() { port_open "$WEB" && curl -sf -m 5 -o /dev/null "http://127.0.0.1:$WEB/version"; }
carbon_up() { port_open "$PLAIN" && port_open "$QUERY"; }
line() {
  wait_until 40 carbon carbon_up
  wait_until 40 web web_up
  ready "GRAPHITE_WEB=http://127.0.0.1:$WEB" "CARBON=127.0.0.1:$PLAIN" "CARBON_PICKLE=127.0.0.1:$PICKLE" \
    "VERSION=$(dpkg-query -W -f '${Version}' graphite-web | sed 's/-.*//')"
}
if alive carbon && alive web; then line; exit 0; fi

need_apt graphite-carbon graphite-web gunicorn curl
stop_process carbon TERM
stop_process web TERM
ports_free "$PLAIN" "$PICKLE" "$QUERY" "$WEB"
mkdir -p "$D/conf" "$D/storage/whisper" "$D/storage/log" "$D/storage/run"
cat >"$D/conf/carbon.conf" <<C
[cache]
STORAGE_DIR = $D/storage/
LOCAL_DATA_DIR = $D/storage/whisper/
CONF_DIR = $D/conf/
LOG_DIR = $D/storage/log/
PID_DIR = $D/storage/run/
USER =
MAX_UPDATES_PER_SECOND = inf
MAX_CREATES_PER_MINUTE = inf
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = $PLAIN
ENABLE_UDP_LISTENER = True
UDP_RECEIVER_INTERFACE = 127.0.0.1
UDP_RECEIVER_PORT = $PLAIN
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = $PICKLE
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = $QUERY
ENABLE_TAGS = True
GRAPHITE_URL = http://127.0.0.1:$WEB
TAG_UPDATE_INTERVAL = 1
C
printf '[carbon]\npattern = ^carbon\\.\nretentions = 60s:1h\n[default]\npattern = .*\nretentions = 1s:1h,10s:1d\n' >"$D/conf/storage-schemas.conf"
printf '[default]\npattern = .*\nxFilesFactor = 0\naggregationMethod = last\n' >"$D/conf/storage-aggregation.conf"
cat >"$D/conf/local_settings.py" <<C
SECRET_KEY = 'loopback-test-only'
ALLOWED_HOSTS = ['127.0.0.1', 'localhost']
TIME_ZONE = 'UTC'
GRAPHITE_ROOT = '/usr/share/graphite-web'
STATIC_ROOT = '/usr/share/graphite-web/static'
CONF_DIR = '$D/conf'
STORAGE_DIR = '$D/storage'
WHISPER_DIR = '$D/storage/whisper'
LOG_DIR = '$D/storage/log'
INDEX_FILE = '$D/storage/index'
LOG_ROTATION = False
CARBONLINK_HOSTS = ['127.0.0.1:$QUERY']
DATABASES = {'default': {'NAME': '$D/storage/graphite.db', 'ENGINE': 'django.db.backends.sqlite3'}}
C
# These two make Debian's settings.py take our file instead of /etc/graphite/local_settings.py.
export GRAPHITE_SETTINGS_MODULE=local_settings PYTHONPATH="$D/conf" PYTHONDONTWRITEBYTECODE=1
[ -f "$D/storage/graphite.db" ] || graphite-manage migrate --run-syncdb --noinput >"$D/migrate.log" 2>&1 || {
  tail -n 5 "$D/migrate.log" >&2
  rm -f "$D/storage/graphite.db"
  die "migrate failed, see $D/migrate.log"
}
spawn web gunicorn --bind "127.0.0.1:$WEB" --workers 1 --threads 4 --chdir "$D" graphite.wsgi:application
# --nodaemon keeps it in the foreground, so that the pid is ours; a stale pid file makes it refuse to start.
rm -f "$D/storage/run/carbon.pid"
spawn carbon carbon-cache --nodaemon --config="$D/conf/carbon.conf" --pidfile="$D/storage/run/carbon.pid" start
line
