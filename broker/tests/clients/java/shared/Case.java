import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * One line of the plan, what every Java client makes of it, and how its outcome is told to the runner.
 * Knows the names of settings only, so that it serves every version of kafka-clients.
 */
final class Case {
    interface Scenario {
        void run(Case c) throws Exception;
    }

    /** How many cases run at a time: most of them wait for a rebalance or a time-out. */
    static final int AT_A_TIME = 4;

    final Map<String, String> fields = new HashMap<>();

    private Case(String line) {
        for (String pair : line.split("\t")) {
            int equals = pair.indexOf('=');
            fields.put(pair.substring(0, equals), pair.substring(equals + 1));
        }
    }

    static void runPlan(Map<String, Scenario> scenarios, int atATime) throws IOException, InterruptedException {
        BufferedReader plan = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        List<Case> cases = plan.lines().map(Case::new).toList();
        ExecutorService pool = Executors.newFixedThreadPool(atATime);
        for (Case c : cases) {
            pool.submit(() -> c.run(scenarios.get(c.get("scenario"))));
        }
        pool.shutdown();
        pool.awaitTermination(1, TimeUnit.HOURS);
        System.exit(0);
    }

    String get(String key) {
        return fields.getOrDefault(key, "");
    }

    String topic() {
        return get("topic");
    }

    /** A line of the transcript: nothing in it may differ between two runs. */
    void trace(String text) {
        say("trace", text);
    }

    void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    void equal(Object expected, Object found, String what) {
        check(expected.equals(found), what + ": expected " + expected + ", found " + found);
    }

    private void run(Scenario scenario) {
        long began = System.nanoTime();
        try {
            check(scenario != null, "this client does not know the scenario");
            scenario.run(this);
            say("ok", Long.toString((System.nanoTime() - began) / 1_000_000));
        } catch (Throwable failure) {
            failure.printStackTrace();
            say("fail", chain(failure));
        }
    }

    private static String chain(Throwable failure) {
        StringBuilder text = new StringBuilder();
        for (Throwable t = failure; t != null; t = t.getCause()) {
            text.append(text.isEmpty() ? "" : " <- ").append(t.getClass().getSimpleName()).append(": ").append(t.getMessage());
        }
        return text.toString().replaceAll("[\\t\\n\\r]+", " ");
    }

    private void say(String kind, String text) {
        String line = kind + "\t" + get("id") + "\t" + text + "\n";
        synchronized (System.out) {
            System.out.print(line);
            System.out.flush();
        }
    }

    /** Connection settings of this case. Host-name verification stays on everywhere. */
    Properties connection() {
        return connection(System.getenv("KAFKA_PASSWORD"));
    }

    Properties connection(String password) {
        Properties p = new Properties();
        p.put("bootstrap.servers", get("bootstrap"));
        if (get("path").equals("plaintext")) {
            return p;
        }
        boolean plain = get("mechanism").equals("PLAIN");
        p.put("security.protocol", "SASL_SSL");
        p.put("sasl.mechanism", get("mechanism"));
        p.put("sasl.jaas.config", String.format("org.apache.kafka.common.security.%s required username=\"%s\" password=\"%s\";",
                plain ? "plain.PlainLoginModule" : "scram.ScramLoginModule", get("user"), password));
        p.put("ssl.endpoint.identification.algorithm", "https");
        p.put("ssl.truststore.type", get("truststore_type"));
        p.put("ssl.truststore.location", get("truststore"));
        if (!get("truststore_type").equals("PEM")) {
            p.put("ssl.truststore.password", get("truststore_password"));
        }
        if (!get("tls").isEmpty()) {
            p.put("ssl.enabled.protocols", "TLSv" + get("tls"));
            p.put("ssl.protocol", "TLSv" + get("tls"));
        }
        return p;
    }
}
