import io.kroxylicious.proxy.KafkaProxy;
import io.kroxylicious.proxy.config.ConfigParser;
import io.kroxylicious.proxy.config.ServiceBasedPluginFactoryRegistry;
import io.kroxylicious.proxy.internal.config.Features;
import java.nio.file.Files;
import java.nio.file.Path;

/** Serves what a configuration says until it is ended: {@code Proxy CONFIGURATION_YAML}. */
public class Proxy {
    public static void main(String[] args) throws Exception {
        var configuration = new ConfigParser().parseConfiguration(Files.readString(Path.of(args[0])));
        try (var proxy = new KafkaProxy(new ServiceBasedPluginFactoryRegistry(), configuration, Features.defaultFeatures())) {
            proxy.startup();
            proxy.block();
        }
    }
}
