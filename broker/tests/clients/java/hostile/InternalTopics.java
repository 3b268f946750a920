import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource.Type;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Attempts on the topics that Kafka and the platform keep their state in. */
final class InternalTopics {
    static Map<String, Case.Scenario> attempts() {
        Map<String, Case.Scenario> attempts = new LinkedHashMap<>();
        for (String topic : List.of("__consumer_offsets", "__transaction_state")) {
            attempts.put("delete-" + topic, Refused.attempt(admin -> admin.deleteTopics(List.of(topic)).all()));
            attempts.put("configure-" + topic, Refused.attempt(admin -> Cluster.alter(admin, Type.TOPIC, topic, "cleanup.policy", "delete")));
            attempts.put("extend-" + topic, Refused.attempt(admin -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(99))).all()));
            attempts.put("trim-" + topic, Refused.attempt(admin -> admin.deleteRecords(Map.of(new TopicPartition(topic, 0), RecordsToDelete.beforeOffset(-1))).all()));
            attempts.put("move-replicas-" + topic, Refused.attempt(admin -> admin.alterPartitionReassignments(
                    Map.of(new TopicPartition(topic, 0), Optional.of(new NewPartitionReassignment(List.of(1))))).all()));
            attempts.put("abort-transaction-" + topic, Refused.attempt(admin -> admin.abortTransaction(
                    new AbortTransactionSpec(new TopicPartition(topic, 0), 1, (short) 0, 0)).all()));
            attempts.put("write-" + topic, c -> write(c, topic, "a-client"));
            attempts.put("write-as-admin-client-" + topic, c -> write(c, topic, "__admin_client"));
            attempts.put("write-in-transaction-" + topic, c -> writeInTransaction(c, topic));
        }
        // Made by a tenant before its first use, it would have too few partitions for ever.
        for (String topic : List.of("__share_group_state", "__sluice_admission", "__cluster_metadata")) {
            attempts.put("create-" + topic, Refused.attempt(admin -> admin.createTopics(List.of(new NewTopic(topic, 1, (short) -1))).all()));
        }
        return attempts;
    }

    private static void write(Case c, String topic, String clientId) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(c, clientId, null)) {
            producer.send(new ProducerRecord<>(topic, 0, new byte[] {0, 1}, new byte[] {0, 1})).get();
        } catch (ExecutionException refused) {
            c.trace(Refused.name(refused.getCause()));
            return;
        }
        throw new AssertionError("was accepted");
    }

    private static void writeInTransaction(Case c, String topic) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(c, "__admin_client", c.topic())) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, new byte[] {0, 1}, new byte[] {0, 1})).get();
        } catch (ExecutionException refused) {
            c.trace(Refused.name(refused.getCause()));
            return;
        }
        throw new AssertionError("was accepted");
    }

    private static KafkaProducer<byte[], byte[]> producer(Case c, String clientId, String transactionalId) {
        Properties settings = c.connection();
        settings.put("client.id", clientId);
        settings.put("max.block.ms", "10000");
        settings.put("delivery.timeout.ms", "10000");
        settings.put("request.timeout.ms", "5000");
        settings.put("enable.idempotence", transactionalId == null ? "false" : "true");
        if (transactionalId != null) {
            settings.put("transactional.id", transactionalId);
        }
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }
}
