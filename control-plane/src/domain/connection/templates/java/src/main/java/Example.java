import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Writes one message to the topic and reads it back. The password is read from KAFKA_PASSWORD. */
public class Example {
    private static final String TOPIC = "{{topic}}";

    private static Properties connection() {
        String password = System.getenv("KAFKA_PASSWORD");
        if (password == null) {
            throw new IllegalStateException("set KAFKA_PASSWORD to the password of the Kafka user {{user}}");
        }
        // Within the quotes of a JAAS entry, a backslash and a quote are written with a backslash before them.
        String quoted = password.replace("\\", "\\\\").replace("\"", "\\\"");
        Properties settings = new Properties();
        settings.put("bootstrap.servers", "{{bootstrap}}");
        settings.put("security.protocol", "SASL_SSL");
        settings.put("sasl.mechanism", "{{mechanism}}");
        settings.put("sasl.jaas.config",
            "org.apache.kafka.common.security.{{java_module}} required username=\"{{user}}\" password=\"" + quoted + "\";");
        settings.put("ssl.truststore.type", "PEM");
        settings.put("ssl.truststore.location", "{{ca_file}}");
        // Host names are verified: ssl.endpoint.identification.algorithm stays at its default, https.
        return settings;
    }

    private static void createTopic() throws InterruptedException, ExecutionException {
        try (Admin admin = Admin.create(connection())) {
            // Partitions and replicas as the instance has them by default.
            admin.createTopics(List.of(new NewTopic(TOPIC, Optional.empty(), Optional.empty()))).all().get();
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof TopicExistsException)) {
                throw e;
            }
        }
    }

    private static void produce(String message) throws InterruptedException, ExecutionException {
        Properties settings = connection();
        settings.put("acks", "all");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            var written = producer.send(new ProducerRecord<>(TOPIC, "example", message)).get();
            System.out.println("produced: " + message + " to " + written);
        }
    }

    private static void consume(String message) {
        Properties settings = connection();
        settings.put("group.id", "example-" + UUID.randomUUID());
        settings.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(TOPIC));
            long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
            while (System.nanoTime() < deadline) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    if (record.value().equals(message)) {
                        System.out.println("consumed: " + record.value());
                        return;
                    }
                }
            }
        }
        throw new IllegalStateException("the message was not read back within 60 seconds");
    }

    public static void main(String[] args) throws Exception {
        String message = "hello " + UUID.randomUUID();
        createTopic();
        produce(message);
        consume(message);
    }
}
