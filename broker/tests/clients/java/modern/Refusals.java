import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;

/** Clients that must not get in are told so, and soon. */
final class Refusals {
    static void wrongPassword(Case c) throws Exception {
        Throwable refusal = refusal(c, c.connection("not-the-password"));
        c.check(refusal instanceof SaslAuthenticationException, "refused by " + refusal);
        c.trace("wrong password: " + refusal.getClass().getSimpleName());
    }

    /** Only the platform's CA vouches for the brokers: Java's own trust store must not do. */
    static void untrusted(Case c) throws Exception {
        Properties settings = c.connection();
        settings.keySet().removeIf(key -> key.toString().startsWith("ssl.truststore"));
        Throwable refusal = refusal(c, settings);
        c.check(refusal instanceof SslAuthenticationException, "refused by " + refusal);
        c.trace("unknown authority: " + refusal.getClass().getSimpleName());
    }

    /** TLS spoken to the plaintext port, or the other way round. */
    static void wrongPort(Case c) throws Exception {
        Throwable refusal = refusal(c, c.connection());
        c.trace("wrong port: refused");
        c.check(!(refusal instanceof SaslAuthenticationException), "the password was sent to the wrong port");
    }

    private static Throwable refusal(Case c, Properties settings) throws Exception {
        settings.put("request.timeout.ms", "4000");
        settings.put("default.api.timeout.ms", "5000");
        try (Admin admin = Admin.create(settings)) {
            admin.describeCluster().nodes().get(15, TimeUnit.SECONDS);
        } catch (ExecutionException refused) {
            return refused.getCause();
        }
        throw new AssertionError("was let in");
    }
}
