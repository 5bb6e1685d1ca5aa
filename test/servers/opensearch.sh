#!/bin/bash
# Real OpenSearch 2.19, one node on loopback, from Maven Central: opensearch.sh DIR [start|stop|status]
# OPENSEARCH_VERSION, PORT, TRANSPORT, HEAP. No security plugin, no index state management (neither is on Maven Central).
. "$(dirname "$(readlink -f "$0")")/common.sh"
V=${OPENSEARCH_VERSION:-2.19.6} PORT=${PORT:-19200} TRANSPORT=${TRANSPORT:-19210}
case $VERB in
  stop) stop_process opensearch TERM; exit 0 ;;
  status) print_status opensearch; exit ;;
esac
line() { ready "OPENSEARCH_URL=http://127.0.0.1:$PORT" "VERSION=$V"; }
if alive opensearch; then wait_until 60 opensearch search_up; line; exit 0; fi

need_apt curl
need_java
ports_free "$PORT" "$TRANSPORT"
G=org.opensearch.plugin
# log4j-core is an optional dependency of the server and has to be asked for.
maven_cp "opensearch-$V" org.opensearch:opensearch:$V org.opensearch:opensearch-plugin-classloader:$V org.apache.logging.log4j:log4j-core:2.25.4 \
  $G:transport-netty4-client:$V $G:analysis-common:$V $G:ingest-common:$V $G:lang-painless:$V $G:mapper-extras-client:$V $G:reindex-client:$V $G:geo:$V
mkdir -p "$CACHE/opensearch-$V"
compile "opensearch-$V" "$HERE/java/SearchNode.java" ''
search_config opensearch.yml
P=org.opensearch
search_spawn opensearch $P "$P.transport.Netty4Plugin,$P.analysis.common.CommonAnalysisPlugin,$P.ingest.common.IngestCommonPlugin,$P.painless.PainlessPlugin,$P.index.mapper.MapperExtrasPlugin,$P.index.reindex.ReindexPlugin,$P.geo.GeoModulePlugin" \
  "$CLASSES:$CP"
wait_until 90 opensearch search_up
line
