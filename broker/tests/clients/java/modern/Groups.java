import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Members of a group share partitions or records, and what was committed is not read again. */
final class Groups {
    private static final Duration WAIT = Duration.ofSeconds(40);
    private static final Duration POLL = Duration.ofMillis(100);

    /** Two members, a partition each; after their commit a third member reads only what is new. */
    static void shareAndResume(Case c, String protocol) throws Exception {
        Set<String> seen = new HashSet<>();
        try (KafkaConsumer<byte[], byte[]> first = member(c, protocol); KafkaConsumer<byte[], byte[]> second = member(c, protocol)) {
            until(c, "each member has a partition", List.of(first, second), seen,
                    () -> first.assignment().size() == 1 && second.assignment().size() == 1);
            c.check(!first.assignment().equals(second.assignment()), "both members have the same partition");
            c.trace("two members, a partition each");
            produce(c, 0, 20);
            until(c, "all records are read", List.of(first, second), seen, () -> seen.size() == 40);
            first.commitSync();
            second.commitSync();
        }
        produce(c, 20, 25);
        Set<String> after = new HashSet<>();
        try (KafkaConsumer<byte[], byte[]> third = member(c, protocol)) {
            until(c, "the new records are read", List.of(third), after, () -> after.size() >= 10);
        }
        c.equal(10, after.size(), "records after the commit");
        c.check(after.stream().noneMatch(seen::contains), "a committed record was read again");
        c.trace("a later member resumed after 40 committed records with 10 new ones");
    }

    private static KafkaConsumer<byte[], byte[]> member(Case c, String protocol) {
        KafkaConsumer<byte[], byte[]> consumer = Records.consumer(c, "group.id", c.topic(), "group.protocol", protocol);
        consumer.subscribe(List.of(c.topic()));
        return consumer;
    }

    private static void produce(Case c, int from, int to) {
        try (KafkaProducer<byte[], byte[]> producer = Records.producer(c)) {
            for (int partition = 0; partition < 2; partition++) {
                for (int i = from; i < to; i++) {
                    producer.send(new ProducerRecord<>(c.topic(), partition, null, Records.bytes(partition + "/" + i)));
                }
            }
        }
    }

    private static void until(Case c, String what, List<KafkaConsumer<byte[], byte[]>> members, Set<String> seen, BooleanSupplier holds) {
        long deadline = System.nanoTime() + WAIT.toNanos();
        while (!holds.getAsBoolean()) {
            c.check(System.nanoTime() < deadline, "not in time: " + what);
            for (KafkaConsumer<byte[], byte[]> member : members) {
                for (ConsumerRecord<byte[], byte[]> record : member.poll(POLL)) {
                    seen.add(new String(record.value()));
                }
            }
        }
    }

    /** A share consumer gets every record once, and acknowledges it (KIP-932). */
    static void shareGroup(Case c) throws Exception {
        try (Admin admin = Admin.create(c.connection())) {
            ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, c.topic());
            AlterConfigOp earliest = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(group, List.of(earliest))).all().get();
        }
        try (KafkaProducer<byte[], byte[]> producer = Records.producer(c)) {
            for (int i = 0; i < 30; i++) {
                producer.send(new ProducerRecord<>(c.topic(), Records.bytes("value-" + i)));
            }
        }
        Properties settings = c.connection();
        settings.put("group.id", c.topic());
        List<String> values = new ArrayList<>();
        try (KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(c.topic()));
            long deadline = System.nanoTime() + WAIT.toNanos();
            while (values.size() < 30) {
                c.check(System.nanoTime() < deadline, "a share consumer got " + values.size() + " of 30 records");
                consumer.poll(POLL).forEach(record -> values.add(new String(record.value())));
            }
            consumer.commitSync();
        }
        c.equal(30, new HashSet<>(values).size(), "distinct records");
        c.trace("a share consumer got 30 records, each once");
    }
}
