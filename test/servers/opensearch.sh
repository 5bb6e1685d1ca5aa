#!/bin/bash
# Real OpenSearch, one node on loopback, from Maven Central: opensearch.sh DIR [start|stop|status]
# OPENSEARCH_VERSION (2.19.6, or 3.8.0 with a JDK of 21 or later), PORT, TRANSPORT, HEAP, SETTINGS. No security plugin, no index state management (neither is on Maven Central).
. "$(dirname "$(readlink -f "$0")")/common.sh"
V=${OPENSEARCH_VERSION:-2.19.6} PORT=${PORT:-19200} TRANSPORT=${TRANSPORT:-19210}
case $VERB in
  stop) stop_process opensearch TERM; exit 0 ;;
  status) print_status opensearch; exit ;;
esac
MAJOR=${V%%.*}
line() { ready "OPENSEARCH${MAJOR#2}_URL=http://127.0.0.1:$PORT" "VERSION=$V"; }
if alive opensearch; then wait_until 60 opensearch search_up; line; exit 0; fi

need_apt curl
[ "$MAJOR" -lt 3 ] && need_java || need_java 21
ports_free "$PORT" "$TRANSPORT"
G=org.opensearch.plugin
# log4j-core is an optional dependency of the server and has to be asked for.
maven_cp "opensearch-$V" org.opensearch:opensearch:$V org.opensearch:opensearch-plugin-classloader:$V org.apache.logging.log4j:log4j-core:2.25.4 \
  $G:transport-netty4-client:$V $G:analysis-common:$V $G:ingest-common:$V $G:lang-painless:$V $G:mapper-extras-client:$V $G:reindex-client:$V $G:geo:$V
mkdir -p "$CACHE/opensearch-$V"
compile "opensearch-$V" "$HERE/java/SearchNode.java" ''
search_config opensearch.yml
P=org.opensearch
# The names of the modules' classes: Plugin in 2.x, ModulePlugin in 3.x.
X=$([ "$MAJOR" -lt 3 ] || echo Module)
MODULES=$P.transport.Netty4${X}Plugin,$P.analysis.common.CommonAnalysis${X}Plugin,$P.ingest.common.IngestCommon${X}Plugin,$P.painless.Painless${X}Plugin
MODULES=$MODULES,$P.index.mapper.MapperExtras${X}Plugin,$P.index.reindex.Reindex${X}Plugin,$P.geo.GeoModulePlugin
search_spawn opensearch $P "$MODULES" "$CLASSES:$CP"
wait_until 90 opensearch search_up
line
