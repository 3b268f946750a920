import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** What a tenant's administrator does, and the addresses that he is given. */
final class Administration {
    private static final long WAIT_NANOS = 20_000_000_000L;

    static void run(Case c) throws Exception {
        try (Admin admin = Admin.create(c.connection())) {
            addresses(c, admin.describeCluster().nodes().get(), "describe cluster");
            admin.createTopics(List.of(new NewTopic(c.topic(), Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "3600000")))).all().get();
            TopicDescription topic = eventually(() -> describe(admin, c), 2);
            c.trace("created a topic of " + topic.partitions().size() + " partitions");
            for (var partition : topic.partitions()) {
                subset(c, partition.replicas(), "replicas");
            }
            c.trace("retention.ms " + setting(admin, c, "retention.ms"));
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
            AlterConfigOp longer = new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(longer))).all().get();
            eventually(() -> setting(admin, c, "retention.ms").equals("7200000") ? true : null, null);
            c.trace("retention.ms 7200000");
            admin.createPartitions(Map.of(c.topic(), NewPartitions.increaseTo(3))).all().get();
            c.trace("now " + eventually(() -> describe(admin, c), 3).partitions().size() + " partitions");
            long end = admin.listOffsets(Map.of(new TopicPartition(c.topic(), 0), OffsetSpec.latest())).all().get().values().iterator().next().offset();
            c.equal(0L, end, "end offset");
            c.check(admin.listTopics().names().get().contains(c.topic()), "the new topic is not listed");
            admin.listGroups().all().get();
            admin.deleteTopics(List.of(c.topic())).all().get();
            eventually(() -> admin.listTopics().names().get().contains(c.topic()) ? null : true, null);
            c.trace("deleted");
        }
    }

    private static TopicDescription describe(Admin admin, Case c) throws Exception {
        return admin.describeTopics(List.of(c.topic())).allTopicNames().get().get(c.topic());
    }

    private static String setting(Admin admin, Case c, String name) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, c.topic());
        return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name).value();
    }

    /** Every broker answers with the address by which this way in reaches it, and none is missing. */
    private static void addresses(Case c, Collection<Node> nodes, String where) {
        Set<String> advertised = new TreeSet<>(Arrays.asList(c.get("bootstrap").split(",")));
        Set<String> found = nodes.stream().map(n -> n.host() + ":" + n.port()).collect(Collectors.toCollection(TreeSet::new));
        c.equal(advertised, found, where);
        c.trace(where + ": every broker, at its address on this path");
    }

    private static void subset(Case c, Collection<Node> nodes, String where) {
        List<String> advertised = Arrays.asList(c.get("bootstrap").split(","));
        for (Node node : nodes) {
            c.check(advertised.contains(node.host() + ":" + node.port()), where + ": " + node + " is not an address of this path");
        }
    }

    /** Metadata reaches each broker in its own time: asks until there is an answer of the wanted shape. */
    private static <T> T eventually(Callable<T> ask, Integer partitions) throws Exception {
        long deadline = System.nanoTime() + WAIT_NANOS;
        while (true) {
            try {
                T answer = ask.call();
                boolean shaped = partitions == null || answer instanceof TopicDescription t && t.partitions().size() == partitions;
                if (answer != null && shaped) {
                    return answer;
                }
            } catch (ExecutionException notYet) {
                if (System.nanoTime() > deadline) {
                    throw notYet;
                }
            }
            if (System.nanoTime() > deadline) {
                throw new AssertionError("the change was not seen in time");
            }
        }
    }
}
