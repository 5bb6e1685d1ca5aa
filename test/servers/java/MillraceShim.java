
import java.io.IOException;
import java.util.*;
import java.util.function.*;
import org.elasticsearch.*;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.admin.indices.create.*;
import org.elasticsearch.action.support.master.AcknowledgedResponse;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.*;
import org.elasticsearch.cluster.metadata.*;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.common.settings.*;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.*;
import org.elasticsearch.plugins.*;
import org.elasticsearch.rest.*;
import org.elasticsearch.rest.action.RestToXContentListener;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * Stands in for the modules of Elasticsearch 8 that own `GET /` and `/_data_stream`, which Maven Central does not have: it answers
 * both by calling the server's own services. Its answers are no evidence of how the real modules word theirs.
 */
public class MillraceShim extends Plugin implements ActionPlugin {
  private ClusterService cluster;
  private Settings settings;
  @Override public Collection<?> createComponents(PluginServices services) {
    cluster = services.clusterService();
    settings = services.environment().settings();
    return List.of();
  }
  @Override public Collection<RestHandler> getRestHandlers(Settings s, NamedWriteableRegistry r, RestController c, ClusterSettings cs, IndexScopedSettings is, SettingsFilter f, IndexNameExpressionResolver x, Supplier<DiscoveryNodes> n, Predicate<NodeFeature> p) { return List.of(new Root(), new Streams()); }

  class Root extends BaseRestHandler {
    @Override public String getName() { return "millrace_root"; }
    @Override public List<Route> routes() { return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/")); }
    @Override protected RestChannelConsumer prepareRequest(RestRequest q, NodeClient client) {
      return channel -> {
        Build b = Build.current();
        XContentBuilder x = channel.newBuilder().prettyPrint();
        x.startObject().field("name", cluster.getNodeName()).field("cluster_name", cluster.getClusterName().value())
            .field("cluster_uuid", cluster.state().metadata().clusterUUID()).startObject("version")
            .field("number", b.version()).field("build_flavor", b.flavor()).field("build_type", b.type().displayName())
            .field("build_hash", b.hash()).field("build_date", b.date()).field("build_snapshot", b.isSnapshot())
            .field("lucene_version", IndexVersion.current().luceneVersion().toString())
            .field("minimum_wire_compatibility_version", b.minWireCompatVersion())
            .field("minimum_index_compatibility_version", b.minIndexCompatVersion())
            .endObject().field("tagline", "You Know, for Search").endObject();
        channel.sendResponse(new RestResponse(RestStatus.OK, x));
      };
    }
  }

  class Streams extends BaseRestHandler {
    @Override public String getName() { return "millrace_data_streams"; }
    @Override public List<Route> routes() {
      return List.of(new Route(RestRequest.Method.PUT, "/_data_stream/{name}"), new Route(RestRequest.Method.DELETE, "/_data_stream/{name}"),
          new Route(RestRequest.Method.GET, "/_data_stream"), new Route(RestRequest.Method.GET, "/_data_stream/{name}"));
    }
    @Override protected RestChannelConsumer prepareRequest(RestRequest q, NodeClient client) throws IOException {
      String name = q.param("name", "*");
      Map<String, DataStream> all = cluster.state().metadata().dataStreams();
      switch (q.method()) {
        case PUT: {
          MetadataCreateDataStreamService.lookupTemplateForDataStream(name, cluster.state().metadata());
          if (all.containsKey(name)) throw new ResourceAlreadyExistsException("data_stream [" + name + "] already exists");
          return channel -> client.execute(AutoCreateAction.INSTANCE, new CreateIndexRequest(name), new RestToXContentListener<CreateIndexResponse>(channel) {
            @Override public RestResponse buildResponse(CreateIndexResponse r, XContentBuilder x) throws Exception {
              return new RestResponse(RestStatus.OK, x.startObject().field("acknowledged", r.isAcknowledged()).endObject());
            }
          });
        }
        case DELETE: {
          DataStream d = all.get(name);
          if (d == null) throw new IndexNotFoundException(name);
          Set<Index> gone = new HashSet<>(d.getIndices());
          return channel -> cluster.submitUnbatchedStateUpdateTask("millrace-delete-data-stream", new ClusterStateUpdateTask() {
            @Override public ClusterState execute(ClusterState state) { ClusterState t = ClusterState.builder(state).metadata(Metadata.builder(state.metadata()).removeDataStream(name)).build(); return MetadataDeleteIndexService.deleteIndices(t, gone, settings); }
            @Override public void onFailure(Exception e) {
              try { channel.sendResponse(new RestResponse(channel, e)); } catch (IOException io) { throw new RuntimeException(io); }
            }
            @Override public void clusterStateProcessed(ClusterState was, ClusterState is) {
              try { channel.sendResponse(new RestResponse(RestStatus.OK, channel.newBuilder().startObject().field("acknowledged", true).endObject())); }
              catch (IOException io) { throw new RuntimeException(io); }
            }
          });
        }
        default: {
          List<DataStream> hit = new ArrayList<>();
          for (DataStream d : all.values()) if (Regex.simpleMatch(name.split(","), d.getName())) hit.add(d);
          if (hit.isEmpty() && !name.contains("*")) throw new IndexNotFoundException(name);
          return channel -> {
            XContentBuilder x = channel.newBuilder().startObject().startArray("data_streams");
            for (DataStream d : hit) {
              x.startObject().field("name", d.getName()).startObject("timestamp_field").field("name", "@timestamp").endObject().startArray("indices");
              for (Index i : d.getIndices()) x.startObject().field("index_name", i.getName()).field("index_uuid", i.getUUID()).endObject();
              x.endArray().field("generation", d.getGeneration()).field("hidden", d.isHidden()).field("system", d.isSystem()).field("replicated", d.isReplicated());
              x.field("template", MetadataIndexTemplateService.findV2Template(cluster.state().metadata(), d.getName(), d.isHidden())).endObject();
            }
            channel.sendResponse(new RestResponse(RestStatus.OK, x.endArray().endObject()));
          };
        }
      }
    }
  }
}
