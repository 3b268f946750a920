import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * A member of a group on a thread of its own: poll of these versions waits for the whole rebalance, so members that
 * share a thread would wait for each other. Commits what it read when it is closed.
 */
final class Member implements AutoCloseable, ConsumerRebalanceListener {
    private final Thread thread = new Thread(this::run);
    private final Case c;
    private final Set<String> seen;
    private volatile Set<TopicPartition> assigned = Set.of();
    private volatile boolean closing;
    private volatile RuntimeException failure;

    private Member(Case c, Set<String> seen) {
        this.c = c;
        this.seen = seen;
        thread.start();
    }

    static void shareAndResume(Case c) throws Exception {
        Set<String> seen = new ConcurrentSkipListSet<>();
        try (Member first = new Member(c, seen); Member second = new Member(c, seen)) {
            until(c, "each member has a partition", () -> first.assigned.size() == 1 && second.assigned.size() == 1
                    && !first.assigned.equals(second.assigned));
            c.trace("two members, a partition each");
            produce(c, 0, 20);
            until(c, "all records are read", () -> seen.size() == 40);
        }
        produce(c, 20, 25);
        Set<String> after = new ConcurrentSkipListSet<>();
        try (Member third = new Member(c, after)) {
            until(c, "the new records are read", () -> after.size() >= 10);
        }
        c.equal(10, after.size(), "records after the commit");
        c.check(after.stream().noneMatch(seen::contains), "a committed record was read again");
        c.trace("a later member resumed after 40 committed records with 10 new ones");
    }

    private static void until(Case c, String what, BooleanSupplier holds) {
        long deadline = System.nanoTime() + Legacy.WAIT_NANOS;
        while (!holds.getAsBoolean()) {
            c.check(System.nanoTime() < deadline, "not in time: " + what);
            LockSupport.parkNanos(20_000_000);
        }
    }

    private static void produce(Case c, int from, int to) {
        try (KafkaProducer<byte[], byte[]> producer = Legacy.producer(c)) {
            for (int partition = 0; partition < 2; partition++) {
                for (int i = from; i < to; i++) {
                    producer.send(new ProducerRecord<byte[], byte[]>(c.topic(), partition, null, Legacy.bytes(partition + "/" + i)));
                }
            }
        }
    }

    private void run() {
        try (KafkaConsumer<byte[], byte[]> consumer = Legacy.consumer(c, "group.id", c.topic())) {
            consumer.subscribe(List.of(c.topic()), this);
            while (!closing) {
                consumer.poll(100).forEach(record -> seen.add(new String(record.value())));
            }
            consumer.commitSync();
        } catch (RuntimeException failed) {
            failure = failed;
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        assigned = Set.copyOf(partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        assigned = Set.of();
    }

    @Override
    public void close() throws InterruptedException {
        closing = true;
        thread.join();
        if (failure != null) {
            throw failure;
        }
    }
}
