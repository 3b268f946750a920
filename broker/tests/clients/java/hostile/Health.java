import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Before all attempts, so that there is something to ruin, and after them: does the instance do its work? */
final class Health {
    static Map<String, Case.Scenario> before() {
        return Map.of("serves-beforehand", Health::serve);
    }

    static Map<String, Case.Scenario> checks() {
        Map<String, Case.Scenario> checks = new LinkedHashMap<>();
        checks.put("still-serves", Health::serve);
        checks.put("still-has-all-brokers-and-replicas", Health::brokersAndReplicas);
        return checks;
    }

    /** With a group and a transaction: what Kafka keeps its own topics for. */
    private static void serve(Case c) throws Exception {
        try (Admin admin = Refused.admin(c)) {
            admin.createTopics(List.of(new NewTopic(c.topic(), 1, (short) -1))).all().get();
            Properties settings = c.connection();
            settings.put("transactional.id", c.topic());
            try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
                producer.initTransactions();
                producer.beginTransaction();
                producer.send(new ProducerRecord<>(c.topic(), "here")).get();
                producer.commitTransaction();
            }
            settings = c.connection();
            settings.put("isolation.level", "read_committed");
            settings.put("group.id", c.topic());
            settings.put("auto.offset.reset", "earliest");
            try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(c.topic()));
                long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
                while (consumer.poll(Duration.ofMillis(200)).isEmpty()) {
                    c.check(System.nanoTime() < deadline, "the record did not come back");
                }
                consumer.commitSync();
            }
            admin.deleteTopics(List.of(c.topic())).all().get();
        }
        c.trace("a record was written in a transaction, read by a group and committed");
    }

    private static void brokersAndReplicas(Case c) throws Exception {
        int brokers = c.get("bootstrap").split(",").length;
        try (Admin admin = Refused.admin(c)) {
            c.equal(brokers, admin.describeCluster().nodes().get().size(), "brokers");
            c.equal(brokers, admin.describeMetadataQuorum().quorumInfo().get().voters().size(), "voters");
            TopicDescription offsets = admin.describeTopics(List.of("__consumer_offsets")).allTopicNames().get().get("__consumer_offsets");
            c.equal(50, offsets.partitions().size(), "partitions of __consumer_offsets");
            for (var partition : offsets.partitions()) {
                c.check(partition.leader() != null && partition.isr().size() == partition.replicas().size(), "not in sync: " + partition);
            }
        }
        c.trace("all brokers, voters and replicas of __consumer_offsets are there");
    }
}
