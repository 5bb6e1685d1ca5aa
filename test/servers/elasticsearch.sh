#!/bin/bash
# Real Elasticsearch, one node on loopback, from Maven Central: elasticsearch.sh DIR [start|stop|status]
# ES_VERSION (8.19.21, or 7.17.29, or 9.5.3 with a JDK of 21 or later), PORT, TRANSPORT, HEAP, SETTINGS.
# Missing, because Maven Central does not have the modules: security, lifecycle, ingest processors, painless, the types match_only_text,
# constant_keyword and wildcard; on 7.17 data streams too. On 8.x and 9.x `GET /` and `/_data_stream` are answered by java/MillraceShim.java.
. "$(dirname "$(readlink -f "$0")")/common.sh"
V=${ES_VERSION:-8.19.21} PORT=${PORT:-19220} TRANSPORT=${TRANSPORT:-19230}
MAJOR=${V%%.*}
case $VERB in
  stop) stop_process elasticsearch TERM; exit 0 ;;
  status) print_status elasticsearch; exit ;;
esac
line() { ready "ELASTICSEARCH${MAJOR#8}_URL=http://127.0.0.1:$PORT" "VERSION=$V"; }
if alive elasticsearch; then wait_until 60 elasticsearch search_up; line; exit 0; fi

need_apt curl unzip
[ "$MAJOR" -lt 9 ] && need_java || need_java 21
ports_free "$PORT" "$TRANSPORT"
K=elasticsearch-$V G=org.elasticsearch.plugin P=org.elasticsearch
search_config elasticsearch.yml
if [ "$MAJOR" = 7 ]; then
  maven_cp "$K" $P:elasticsearch:$V $P:elasticsearch-plugin-classloader:$V $G:transport-netty4-client:$V $G:reindex-client:$V $G:mapper-extras-client:$V
else
  # The netty module must not share the server's class path (jar hell check), so it gets a module folder of its own.
  maven_cp "$K/netty" $G:transport-netty4:$V
  NETTY=$CP
  maven_cp "$K" $P:elasticsearch:$V
  M=$D/modules/transport-netty4
  rm -rf "$D/modules"
  mkdir -p "$M" "$D/modules/millrace-shim"
  for jar in ${NETTY//:/ }; do case :$CP: in *:"$jar":*) ;; *) ln -s "$jar" "$M/" ;; esac; done
  # Without modulename the server treats it as a plain class loader: this server runs from the class path, not as Java modules.
  unzip -p "$M/transport-netty4-$V.jar" META-INF/es-plugins/transport-netty4/plugin-descriptor.properties |
    sed '/^modulename/d' >"$M/plugin-descriptor.properties"
  mkdir -p "$CACHE/$K/shim"
  SHIM=$HERE/java/MillraceShim.java
  if [ "$MAJOR" = 9 ]; then
    # In 9.x what belongs to a project has moved one level down, and handlers get one bag of services.
    SHIM=$CACHE/$K/shim/MillraceShim.java
    sed -e 's/(Settings s, NamedWriteableRegistry r.*NodeFeature> p)/(ActionPlugin.RestHandlersServices s, Supplier<DiscoveryNodes> n, Predicate<NodeFeature> p)/' \
      -e 's/Metadata.builder(state.metadata()).removeDataStream(name)/Metadata.builder(state.metadata()).put(ProjectMetadata.builder(state.metadata().getProject()).removeDataStream(name))/' \
      -e 's/deleteIndices(t, gone/deleteIndices(t.projectState(), gone/' \
      -e '/clusterUUID/!s/cluster\.state()\.metadata()/cluster.state().metadata().getProject()/' "$HERE/java/MillraceShim.java" >"$SHIM"
  fi
  compile "$K/shim" "$SHIM" "$CP"
  "${JAVA%java}jar" cf "$D/modules/millrace-shim/millrace-shim.jar" -C "$CLASSES" .
  printf '%s\n' name=millrace-shim description=stand-in version=1 classname=MillraceShim "elasticsearch.version=$V" "java.version=$([ "$MAJOR" = 9 ] && echo 21 || echo 17)" \
    >"$D/modules/millrace-shim/plugin-descriptor.properties"
fi
compile "$K" "$HERE/java/SearchNode.java" ''
search_spawn elasticsearch $P "$P.transport.Netty4Plugin,$P.reindex.ReindexPlugin,$P.index.mapper.MapperExtrasPlugin" "$CLASSES:$CP" \
  -Dlog4j2.formatMsgNoLookups=true -Des.path.home="$D" -Des.path.conf="$D/config" -Des.distribution.type=tar
wait_until 90 elasticsearch search_up
line
