import java.util.LinkedHashMap;
import java.util.Map;

/**
 * What could an anonymous client, or a tenant's user, ruin? Each scenario is one attempt, and passes when it is refused
 * in time; the last ones look whether the instance still does its work. Attempts run one after the other.
 */
final class Hostile {
    public static void main(String[] arguments) throws Exception {
        Map<String, Case.Scenario> attempts = new LinkedHashMap<>();
        attempts.putAll(Health.before());
        attempts.putAll(Identities.attempts());
        attempts.putAll(Cluster.attempts());
        attempts.putAll(InternalTopics.attempts());
        attempts.putAll(RawFrames.attempts());
        attempts.putAll(Health.checks());
        Case.runPlan(attempts, 1);
    }
}
