import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RaftVoterEndpoint;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.ConfigResource.Type;

/** Attempts on brokers, the quorum, features and limits of the instance. */
final class Cluster {
    static Map<String, Case.Scenario> attempts() {
        Map<String, Case.Scenario> attempts = new LinkedHashMap<>();
        for (var setting : Map.of(
                "listeners", "PLAINTEXT://0.0.0.0:19092", "super.users", "User:ANONYMOUS", "log.dirs", "/tmp",
                "log.retention.ms", "1", "max.connections", "0", "sasl.enabled.mechanisms", "PLAIN",
                "ssl.keystore.location", "/dev/null", "message.max.bytes", "100000000").entrySet()) {
            attempts.put("broker-config-" + setting.getKey(), Refused.attempt(admin -> alter(admin, Type.BROKER, "1", setting.getKey(), setting.getValue())));
        }
        attempts.put("cluster-config", Refused.attempt(admin -> alter(admin, Type.BROKER, "", "log.retention.ms", "1")));
        attempts.put("broker-logger", Refused.attempt(admin -> alter(admin, Type.BROKER_LOGGER, "1", "org.apache.kafka", "TRACE")));
        attempts.put("client-metrics", Refused.attempt(admin -> alter(admin, Type.CLIENT_METRICS, "all", "interval.ms", "100")));
        attempts.put("config-shows-inside", Cluster::brokerConfigs);
        attempts.put("features", Refused.attempt(admin -> admin.updateFeatures(
                Map.of("metadata.version", new FeatureUpdate((short) 20, FeatureUpdate.UpgradeType.UNSAFE_DOWNGRADE)), new UpdateFeaturesOptions()).all()));
        attempts.put("unregister-broker", Refused.attempt(admin -> admin.unregisterBroker(1).all()));
        attempts.put("add-voter", Refused.attempt(admin -> admin.addRaftVoter(99, Uuid.randomUuid(), Set.of(new RaftVoterEndpoint("CTL", "127.0.0.1", 1))).all()));
        attempts.put("remove-voter", Refused.attempt(admin -> admin.removeRaftVoter(1, Uuid.randomUuid()).all()));
        attempts.put("quorum-shows-inside", Cluster::quorum);
        attempts.put("reassign-to-nobody", c -> onOwnTopic(c, (admin, partition) -> admin.alterPartitionReassignments(
                Map.of(partition, Optional.of(new NewPartitionReassignment(List.of(99))))).all()));
        attempts.put("move-log-directory", c -> onOwnTopic(c, (admin, partition) -> admin.alterReplicaLogDirs(
                Map.of(new TopicPartitionReplica(partition.topic(), 0, 1), "/tmp")).all()));
        attempts.put("elect-unclean", c -> onOwnTopic(c, (admin, partition) -> admin.electLeaders(ElectionType.UNCLEAN, Set.of(partition)).partitions()
                .thenApply(result -> {
                    result.get(partition).ifPresent(error -> {
                        throw (RuntimeException) error;
                    });
                    return null;
                })));
        attempts.put("topic-over-message-limit", c -> onOwnTopic(c, (admin, partition) -> alter(admin, Type.TOPIC, partition.topic(), "max.message.bytes", "100000000")));
        attempts.put("topic-created-over-message-limit", Refused.attempt(admin -> admin.createTopics(List.of(
                new NewTopic("too-large-messages", 1, (short) -1).configs(Map.of("max.message.bytes", "100000000")))).all()));
        return attempts;
    }

    static KafkaFuture<?> alter(Admin admin, Type type, String name, String setting, String value) {
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry(setting, value), AlterConfigOp.OpType.SET);
        return admin.incrementalAlterConfigs(Map.of(new ConfigResource(type, name), List.of(op))).all();
    }

    private interface OnTopic {
        KafkaFuture<?> make(Admin admin, TopicPartition partition);
    }

    private static void onOwnTopic(Case c, OnTopic attempt) throws Exception {
        try (Admin admin = Refused.admin(c)) {
            admin.createTopics(List.of(new NewTopic(c.topic(), 1, (short) -1))).all().get();
            try {
                c.trace(Refused.by(attempt.make(admin, new TopicPartition(c.topic(), 0))));
            } finally {
                admin.deleteTopics(List.of(c.topic())).all().get();
            }
        }
    }

    /** Settings of a broker may be looked at, but not its inside: addresses, files, principals. */
    private static void brokerConfigs(Case c) throws Exception {
        try (Admin admin = Refused.admin(c)) {
            ConfigResource broker = new ConfigResource(Type.BROKER, "1");
            var entries = admin.describeConfigs(List.of(broker)).all().get().get(broker).entries();
            for (ConfigEntry entry : entries) {
                String value = String.valueOf(entry.value());
                boolean inside = value.contains(":919") || value.contains("User:sluice") || value.startsWith("/") || value.contains("file:");
                c.check(!inside, entry.name() + " shows " + value);
            }
            c.trace("nothing of the inside is shown");
        } catch (java.util.concurrent.ExecutionException refused) {
            c.trace(Refused.name(refused.getCause()));
        }
    }

    private static void quorum(Case c) throws Exception {
        List<String> advertised = Arrays.asList(c.get("bootstrap").split(","));
        try (Admin admin = Refused.admin(c)) {
            for (var node : admin.describeMetadataQuorum().quorumInfo().get().nodes().values()) {
                for (var endpoint : node.endpoints()) {
                    c.check(advertised.contains(endpoint.host() + ":" + endpoint.port()), "shows " + endpoint);
                }
            }
            c.trace("no address of the inside is shown");
        } catch (java.util.concurrent.ExecutionException refused) {
            c.trace(Refused.name(refused.getCause()));
        }
    }
}
