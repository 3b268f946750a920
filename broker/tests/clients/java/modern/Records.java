import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What producers write comes back to consumers, or does not, as it should. */
final class Records {
    private static final Duration WAIT = Duration.ofSeconds(30);

    static KafkaProducer<byte[], byte[]> producer(Case c, String... settings) {
        Properties p = c.connection();
        p.put("acks", "all");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Case c, String... settings) {
        Properties p = c.connection();
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /**
     * Everything in partition 0 that this isolation level shows, up to the end of the log. The end is not the one that the level
     * sees: a commit is acknowledged before its markers are written, and until then a reader of committed records ends before it.
     */
    static List<ConsumerRecord<byte[], byte[]>> readAll(Case c, String isolation) {
        TopicPartition partition = new TopicPartition(c.topic(), 0);
        long end = endOfLog(c, partition);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(c, "isolation.level", isolation, "max.partition.fetch.bytes", "16000000")) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
            long deadline = System.nanoTime() + WAIT.toNanos();
            while (consumer.position(partition) < end) {
                c.check(System.nanoTime() < deadline, "read " + records.size() + " records, not up to offset " + end);
                consumer.poll(Duration.ofMillis(200)).forEach(records::add);
            }
            return records;
        }
    }

    private static long endOfLog(Case c, TopicPartition partition) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(c, "isolation.level", "read_uncommitted")) {
            return consumer.endOffsets(List.of(partition)).get(partition);
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static ProducerRecord<byte[], byte[]> record(Case c, int i) {
        return new ProducerRecord<>(c.topic(), bytes("key-" + i), bytes("value-" + i));
    }

    static void roundTrip(Case c) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(c)) {
            for (int i = 0; i < 100; i++) {
                ProducerRecord<byte[], byte[]> record = record(c, i);
                record.headers().add("number", bytes(Integer.toString(i)));
                producer.send(record);
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        c.equal(100, records.size(), "records");
        for (int i = 0; i < 100; i++) {
            ConsumerRecord<byte[], byte[]> record = records.get(i);
            c.equal("key-" + i, new String(record.key()), "key");
            c.equal("value-" + i, new String(record.value()), "value");
            c.equal(Integer.toString(i), new String(record.headers().lastHeader("number").value()), "header");
        }
        c.trace("100 records came back in order with keys, values and headers");
    }

    static void compression(Case c) throws Exception {
        String value = "compressible ".repeat(80);
        List<String> codecs = List.of("none", "gzip", "snappy", "lz4", "zstd");
        for (String codec : codecs) {
            try (KafkaProducer<byte[], byte[]> producer = producer(c, "compression.type", codec, "linger.ms", "20")) {
                for (int i = 0; i < 20; i++) {
                    producer.send(new ProducerRecord<>(c.topic(), bytes(codec), bytes(value)));
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        for (String codec : codecs) {
            long count = records.stream().filter(r -> new String(r.key()).equals(codec) && new String(r.value()).equals(value)).count();
            c.trace(codec + ": " + count + " records");
            c.equal(20L, count, codec);
        }
    }

    static void idempotent(Case c) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(c, "enable.idempotence", "true", "batch.size", "1000")) {
            for (int i = 0; i < 200; i++) {
                producer.send(record(c, i));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        c.equal(200, records.size(), "records");
        for (int i = 0; i < 200; i++) {
            c.equal("value-" + i, new String(records.get(i).value()), "value");
        }
        c.trace("200 records, each once and in order");
    }

    static void transaction(Case c) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(c, "transactional.id", c.topic())) {
            producer.initTransactions();
            int next = 0;
            for (boolean commit : new boolean[] {true, false, true}) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    producer.send(record(c, next++)).get();
                }
                if (commit) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
        List<String> committed = readAll(c, "read_committed").stream().map(r -> new String(r.value())).toList();
        c.equal(20, committed.size(), "committed records");
        c.check(!committed.contains("value-15"), "a record of the aborted transaction was seen");
        c.equal(30, readAll(c, "read_uncommitted").size(), "all records");
        c.trace("read_committed saw 20 records, read_uncommitted 30");
    }

    static void compaction(Case c) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(c)) {
            producer.send(new ProducerRecord<>(c.topic(), bytes("a"), bytes("1")));
            producer.send(new ProducerRecord<>(c.topic(), bytes("b"), bytes("2")));
            producer.send(new ProducerRecord<>(c.topic(), bytes("a"), null)).get();
            c.trace("keyless record: " + refusal(c, producer.send(new ProducerRecord<>(c.topic(), null, bytes("3")))));
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        c.equal(3, records.size(), "records");
        c.check(records.get(2).value() == null, "the tombstone has a value");
        c.trace("3 keyed records, the last a tombstone");
    }

    static void large(Case c) throws Exception {
        byte[] value = new byte[9_900_000];
        new Random(1).nextBytes(value);
        try (KafkaProducer<byte[], byte[]> producer = producer(c, "max.request.size", "20000000", "buffer.memory", "40000000")) {
            producer.send(new ProducerRecord<>(c.topic(), value)).get();
            Future<RecordMetadata> tooLarge = producer.send(new ProducerRecord<>(c.topic(), new byte[10_700_000]));
            String refusal = refusal(c, tooLarge);
            c.equal(RecordTooLargeException.class.getSimpleName(), refusal, "a message over the limit");
            c.trace("10.7 MB: " + refusal);
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        c.equal(1, records.size(), "records");
        c.check(Arrays.equals(value, records.get(0).value()), "the large message came back changed");
        c.trace("9.9 MB: came back whole");
    }

    private static String refusal(Case c, Future<RecordMetadata> sent) throws InterruptedException {
        try {
            sent.get();
        } catch (ExecutionException refused) {
            return refused.getCause().getClass().getSimpleName();
        }
        throw new AssertionError("accepted, but should have been refused");
    }
}
