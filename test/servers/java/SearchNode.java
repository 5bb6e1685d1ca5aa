import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Starts one node of OpenSearch 2, 3 or of Elasticsearch 7, 8, 9 from their published jars: HOME PACKAGE MODULE,MODULE...
 *
 * Reflection only: the constructors that take module classes are protected, and one source then serves every version
 * and compiles without any of their jars.
 */
public class SearchNode {
  public static void main(String[] args) throws Exception {
    Path home = Path.of(args[0]);
    String root = args[1];
    try { // Elasticsearch 8: the server's own logging front has to be connected to log4j first.
      Class.forName(root + ".common.logging.LogConfigurator").getMethod("configureESLogging").invoke(null);
    } catch (NoSuchMethodException absentInOthers) {
    }
    Class<?> settingsType = Class.forName(root + ".common.settings.Settings");
    Object builder = settingsType.getMethod("builder").invoke(null);
    builder.getClass().getMethod("put", String.class, String.class).invoke(builder, "path.home", home.toString());
    Object settings = builder.getClass().getMethod("build").invoke(builder);
    Supplier<String> name = () -> "n1";
    Object environment =
        Class.forName(root + ".node.InternalSettingsPreparer")
            .getMethod("prepareEnvironment", settingsType, Map.class, Path.class, Supplier.class)
            .invoke(null, settings, Map.of(), home.resolve("config"), name);
    Class<?> nodeType = Class.forName(root + ".node.Node");
    Object node = null;
    for (Constructor<?> constructor : nodeType.getDeclaredConstructors()) {
      Class<?>[] types = constructor.getParameterTypes();
      constructor.setAccessible(true);
      if (types.length == 3 && types[1] == Collection.class) { // OpenSearch, Elasticsearch 7: module classes
        // OpenSearch 3 wants a description of each.
        boolean areDescribed = constructor.getGenericParameterTypes()[1].getTypeName().contains("PluginInfo");
        List<Object> modules = new ArrayList<>();
        for (String module : args[2].split(",")) modules.add(areDescribed ? describe(root, module) : Class.forName(module));
        node = constructor.newInstance(environment, modules, true);
      } else if (types.length == 2 && types[1].getSimpleName().equals("PluginsLoader")) { // Elasticsearch 8.18+: module folders
        Object modules = bundles(types[1], "loadModulesBundles", home.resolve("modules"));
        Object plugins = bundles(types[1], "loadPluginsBundles", home.resolve("plugins"));
        // false: the server runs from the class path here, not as a Java module
        Object loader =
            types[1].getMethod("createPluginsLoader", Set.class, Set.class, Map.class, boolean.class).invoke(null, modules, plugins, Map.of(), false);
        node = constructor.newInstance(environment, loader);
      }
      if (node != null) break;
    }
    nodeType.getMethod("start").invoke(node);
    AutoCloseable running = (AutoCloseable) node;
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  try {
                    running.close();
                  } catch (Exception tooLateToMatter) {
                  }
                }));
    Thread.currentThread().join();
  }

  static Object describe(String root, String module) throws Exception {
    Object version = Class.forName(root + ".Version").getField("CURRENT").get(null);
    return Class.forName(root + ".plugins.PluginInfo")
        .getConstructor(
            String.class, String.class, String.class, version.getClass(), String.class, String.class, String.class, List.class, boolean.class)
        .newInstance(module, "module on the class path", "NA", version, "21", module, null, List.of(), false);
  }

  static Object bundles(Class<?> loader, String name, Path folder) throws Exception {
    try {
      return loader.getMethod(name, Path.class).invoke(null, folder);
    } catch (NoSuchMethodException laterSignature) {
      Method method = loader.getMethod(name, Path.class, boolean.class);
      return method.invoke(null, folder, true);
    }
  }
}
