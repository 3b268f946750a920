import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** What came with 0.11: exactly-once delivery. Compiled and loaded with newer clients only. */
final class Since011 {
    static Map<String, Case.Scenario> scenarios() {
        return Map.of("idempotent", Since011::idempotent, "transaction", Since011::transaction);
    }

    private static void idempotent(Case c) {
        try (KafkaProducer<byte[], byte[]> producer = Legacy.producer(c, "enable.idempotence", "true", "batch.size", "1000")) {
            for (int i = 0; i < 200; i++) {
                producer.send(new ProducerRecord<>(c.topic(), Legacy.bytes("key-" + i), Legacy.bytes("value-" + i)));
            }
            producer.flush(); // 2.1.1 can wait forever in close() when it has no producer id yet
        }
        List<ConsumerRecord<byte[], byte[]>> records = Legacy.readAll(c, "read_uncommitted");
        c.equal(200, records.size(), "records");
        for (int i = 0; i < 200; i++) {
            c.equal("value-" + i, new String(records.get(i).value()), "value");
        }
        c.trace("200 records, each once and in order");
    }

    private static void transaction(Case c) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = Legacy.producer(c, "transactional.id", c.topic())) {
            producer.initTransactions();
            for (boolean commit : new boolean[] {true, false, true}) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    producer.send(new ProducerRecord<byte[], byte[]>(c.topic(), Legacy.bytes(commit ? "kept" : "aborted"))).get();
                }
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> committed = Legacy.readAll(c, "read_committed");
        c.equal(20, committed.size(), "committed records");
        c.check(committed.stream().allMatch(r -> new String(r.value()).equals("kept")), "a record of the aborted transaction was seen");
        c.equal(30, Legacy.readAll(c, "read_uncommitted").size(), "all records");
        c.trace("read_committed saw 20 records, read_uncommitted 30");
    }
}
