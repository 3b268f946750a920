import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.Stores;

/**
 * An application of Kafka Streams that counts words: one repartition topic, one changelog, each with as many partitions as the topic it reads. What ends it
 * fails the case, in the words that its user would see. `keep` leaves its topics.
 */
final class Application {
    private static final Duration WAIT = Duration.ofSeconds(90);
    private static final int TIMES = 5;
    private static final List<String> WORDS = List.of("alpha", "beta", "gamma", "delta");

    public static void main(String[] arguments) throws Exception {
        Case.runPlan(Map.of(
                "streams-classic", c -> count(c, "classic"),
                "streams-new", c -> count(c, "streams")), Case.AT_A_TIME);
    }

    private static void count(Case c, String protocol) throws Exception {
        Map<String, Long> counts = new ConcurrentHashMap<>();
        AtomicReference<Throwable> ended = new AtomicReference<>();
        Path state = Files.createTempDirectory("streams");
        Properties settings = c.connection();
        settings.put("application.id", c.topic());
        settings.put("group.protocol", protocol);
        settings.put("auto.offset.reset", "earliest");
        settings.put("commit.interval.ms", "200");
        settings.put("statestore.cache.max.bytes", "0");
        settings.put("state.dir", state.toString());
        produce(c);
        try (KafkaStreams streams = new KafkaStreams(topology(c, counts), settings)) {
            streams.setUncaughtExceptionHandler(why -> {
                ended.compareAndSet(null, why);
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            long deadline = System.nanoTime() + WAIT.toNanos();
            while (!(counts.size() == WORDS.size() && counts.values().stream().allMatch(n -> n == TIMES))) {
                if (ended.get() != null) {
                    throw new AssertionError("the application ended", ended.get());
                }
                c.check(System.nanoTime() < deadline, "counted " + counts + " in state " + streams.state());
                Thread.sleep(50);
            }
        }
        c.trace("counted " + new TreeMap<>(counts));
        try (Admin admin = Admin.create(c.connection())) {
            List<String> internal = admin.listTopics().names().get().stream().filter(name -> name.startsWith(c.topic() + "-")).sorted().toList();
            Collection<TopicDescription> described = admin.describeTopics(internal).allTopicNames().get().values();
            c.trace("made " + described.size() + " topics with " + described.stream().mapToInt(t -> t.partitions().size()).sum() + " partitions");
            if (c.get("keep").isEmpty()) {
                admin.deleteTopics(internal).all().get();
            }
        }
    }

    private static Topology topology(Case c, Map<String, Long> counts) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(c.topic(), Consumed.with(Serdes.String(), Serdes.String()))
                .groupBy((key, word) -> word, Grouped.with("by-word", Serdes.String(), Serdes.String()))
                .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts")).withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()))
                .toStream()
                .foreach(counts::put);
        return builder.build();
    }

    private static void produce(Case c) {
        Properties settings = c.connection();
        settings.put("acks", "all");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < TIMES; i++) {
                WORDS.forEach(word -> producer.send(new ProducerRecord<>(c.topic(), word)));
            }
        }
    }
}
