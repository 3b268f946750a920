import java.util.Map;

/** The newest kafka-clients: every scenario. Reads its plan on standard input. */
final class Modern {
    public static void main(String[] arguments) throws Exception {
        Case.runPlan(Map.ofEntries(
                Map.entry("round-trip", Records::roundTrip),
                Map.entry("compression", Records::compression),
                Map.entry("idempotent", Records::idempotent),
                Map.entry("transaction", Records::transaction),
                Map.entry("compaction", Records::compaction),
                Map.entry("large", Records::large),
                Map.entry("group-classic", c -> Groups.shareAndResume(c, "classic")),
                Map.entry("group-new", c -> Groups.shareAndResume(c, "consumer")),
                Map.entry("share", Groups::shareGroup),
                Map.entry("admin", Administration::run),
                Map.entry("wrong-password", Refusals::wrongPassword),
                Map.entry("untrusted", Refusals::untrusted),
                Map.entry("tls-on-plaintext", Refusals::wrongPort),
                Map.entry("plaintext-on-tls", Refusals::wrongPort)), Case.AT_A_TIME);
    }
}
