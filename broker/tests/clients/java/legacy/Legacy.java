import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Scenarios in the interface of kafka-clients 0.10.2, which 2.1 still has. Compiled once, against 2.1; with 0.10.2
 * no class of 0.11 may be loaded, so transactions and idempotence stand in {@link Since011}.
 */
final class Legacy {
    static final long WAIT_NANOS = 40_000_000_000L;

    public static void main(String[] arguments) throws Exception {
        Map<String, Case.Scenario> scenarios = new TreeMap<>(Map.of(
                "round-trip", Legacy::roundTrip,
                "compression", Legacy::compression,
                "large", Legacy::large,
                "group-classic", Member::shareAndResume,
                "wrong-password", Legacy::wrongPassword));
        if (arguments.length > 0) {
            scenarios.putAll(Since011.scenarios());
        }
        Case.runPlan(scenarios, Case.AT_A_TIME);
    }

    static KafkaProducer<byte[], byte[]> producer(Case c, String... settings) {
        return new KafkaProducer<>(with(c.connection(), "acks", "all", settings), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(Case c, String... settings) {
        Properties p = with(c.connection(), "auto.offset.reset", "earliest", settings);
        p.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Properties with(Properties p, String key, String value, String... settings) {
        p.put(key, value);
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return p;
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(Case c, String isolation) {
        TopicPartition partition = new TopicPartition(c.topic(), 0);
        // Not the end that this level sees: a commit is acknowledged before its markers are written.
        long end = endOfLog(c, partition);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(c, "isolation.level", isolation, "max.partition.fetch.bytes", "16000000")) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
            long deadline = System.nanoTime() + WAIT_NANOS;
            while (consumer.position(partition) < end) {
                c.check(System.nanoTime() < deadline, "read " + records.size() + " records, not up to offset " + end);
                consumer.poll(200).forEach(records::add);
            }
            return records;
        }
    }

    private static long endOfLog(Case c, TopicPartition partition) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(c, "isolation.level", "read_uncommitted")) {
            consumer.assign(List.of(partition));
            consumer.seekToEnd(List.of(partition));
            return consumer.position(partition);
        }
    }

    private static void roundTrip(Case c) {
        try (KafkaProducer<byte[], byte[]> producer = producer(c)) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(c.topic(), bytes("key-" + i), bytes("value-" + i)));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        c.equal(100, records.size(), "records");
        for (int i = 0; i < 100; i++) {
            c.equal("key-" + i, new String(records.get(i).key()), "key");
            c.equal("value-" + i, new String(records.get(i).value()), "value");
        }
        c.trace("100 records came back in order with keys and values");
    }

    private static void compression(Case c) {
        String value = "compressible ".repeat(80);
        for (String codec : List.of("none", "gzip", "snappy", "lz4")) {
            try (KafkaProducer<byte[], byte[]> producer = producer(c, "compression.type", codec, "linger.ms", "20")) {
                for (int i = 0; i < 20; i++) {
                    producer.send(new ProducerRecord<>(c.topic(), bytes(codec), bytes(value)));
                }
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        for (String codec : List.of("none", "gzip", "snappy", "lz4")) {
            long count = records.stream().filter(r -> new String(r.key()).equals(codec) && new String(r.value()).equals(value)).count();
            c.trace(codec + ": " + count + " records");
            c.equal(20L, count, codec);
        }
    }

    private static void large(Case c) throws Exception {
        byte[] value = new byte[9_900_000];
        new Random(1).nextBytes(value);
        try (KafkaProducer<byte[], byte[]> producer = producer(c, "max.request.size", "20000000", "buffer.memory", "40000000")) {
            producer.send(new ProducerRecord<byte[], byte[]>(c.topic(), value)).get();
            try {
                producer.send(new ProducerRecord<byte[], byte[]>(c.topic(), new byte[10_700_000])).get();
                throw new AssertionError("10.7 MB were accepted");
            } catch (ExecutionException refused) {
                String refusal = refused.getCause().getClass().getSimpleName();
                c.equal("RecordTooLargeException", refusal, "a message over the limit");
                c.trace("10.7 MB: " + refusal);
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = readAll(c, "read_uncommitted");
        c.equal(1, records.size(), "records");
        c.check(Arrays.equals(value, records.get(0).value()), "the large message came back changed");
        c.trace("9.9 MB: came back whole");
    }

    /** Before KIP-152 (1.0) a refused client is only disconnected, and asks again until its time is up. */
    private static void wrongPassword(Case c) throws Exception {
        Properties settings = with(c.connection("not-the-password"), "max.block.ms", "6000");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<byte[], byte[]>(c.topic(), bytes("x"))).get();
        } catch (ExecutionException refused) {
            c.trace("wrong password: " + refused.getCause().getClass().getSimpleName());
            return;
        }
        throw new AssertionError("was let in");
    }
}
