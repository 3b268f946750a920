import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.DisconnectException;
import org.apache.kafka.common.errors.NetworkException;
import org.apache.kafka.common.errors.RetriableException;

/** An attempt that must be refused: by the protocol's error, in time, and not by a lost connection. */
final class Refused {
    private static final long SECONDS = 15;

    interface Attempt {
        KafkaFuture<?> make(Admin admin) throws Exception;
    }

    static Case.Scenario attempt(Attempt attempt) {
        return c -> {
            try (Admin admin = admin(c)) {
                c.trace(by(attempt.make(admin)));
            }
        };
    }

    static Admin admin(Case c) {
        Properties settings = c.connection();
        settings.put("request.timeout.ms", "5000");
        settings.put("default.api.timeout.ms", "10000");
        return Admin.create(settings);
    }

    /** Name of the error that an attempt ended with. */
    static String by(KafkaFuture<?> attempted) throws InterruptedException {
        try {
            attempted.get(SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException hangs) {
            throw new AssertionError("no answer in " + SECONDS + " s");
        } catch (ExecutionException refused) {
            return name(refused.getCause());
        }
        throw new AssertionError("was accepted");
    }

    static String name(Throwable refusal) {
        boolean lost = refusal instanceof DisconnectException || refusal instanceof NetworkException;
        boolean late = refusal instanceof org.apache.kafka.common.errors.TimeoutException || refusal instanceof RetriableException;
        if (!(refusal instanceof ApiException) && !(refusal instanceof java.lang.UnsupportedOperationException) || lost || late) {
            throw new AssertionError("not refused by the protocol's error but: " + refusal, refusal);
        }
        if (Set.of("UnknownServerException").contains(refusal.getClass().getSimpleName())) {
            throw new AssertionError("an accident instead of a refusal: " + refusal, refusal);
        }
        return refusal.getClass().getSimpleName();
    }
}
