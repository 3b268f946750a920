import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateDelegationTokenOptions;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.security.auth.KafkaPrincipal;

/** Attempts to become somebody else, to take somebody's password, or to lock the platform out. */
final class Identities {
    private static final ScramCredentialInfo SCRAM = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096);

    static Map<String, Case.Scenario> attempts() {
        Map<String, Case.Scenario> attempts = new LinkedHashMap<>();
        attempts.put("make-platform-user", Refused.attempt(admin -> password(admin, "sluice-control-plane")));
        attempts.put("take-password", c -> {
            try (Admin admin = Refused.admin(c)) {
                c.trace(Refused.by(password(admin, c.get("user"))));
            }
        });
        attempts.put("delete-user", c -> {
            try (Admin admin = Refused.admin(c)) {
                var deletion = new UserScramCredentialDeletion(c.get("user"), ScramMechanism.SCRAM_SHA_512);
                c.trace(Refused.by(admin.alterUserScramCredentials(List.of(deletion)).all()));
            }
        });
        attempts.put("acl-deny-everybody", Refused.attempt(admin -> bind(admin, "User:*", AclOperation.ALL, AclPermissionType.DENY)));
        attempts.put("acl-deny-brokers", Refused.attempt(admin -> bind(admin, "User:sluice-node", AclOperation.CLUSTER_ACTION, AclPermissionType.DENY)));
        attempts.put("acl-own-cluster", Refused.attempt(admin -> bind(admin, "User:ANONYMOUS", AclOperation.ALL, AclPermissionType.ALLOW)));
        attempts.put("acl-by-host", Refused.attempt(admin -> admin.createAcls(List.of(new AclBinding(
                new ResourcePattern(ResourceType.TOPIC, "orders", PatternType.LITERAL),
                new AccessControlEntry("User:somebody", "10.0.0.1", AclOperation.READ, AclPermissionType.DENY)))).all()));
        attempts.put("acl-delete-all", Identities::deleteAcls);
        attempts.put("acl-see-platform", Identities::describeAcls);
        attempts.put("quota-for-platform", Refused.attempt(admin -> quota(admin, "sluice-control-plane")));
        attempts.put("quota-for-everybody", Refused.attempt(admin -> quota(admin, null)));
        attempts.put("token-for-platform", Refused.attempt(admin -> admin.createDelegationToken(new CreateDelegationTokenOptions()
                .owner(new KafkaPrincipal("User", "sluice-control-plane"))).delegationToken()));
        attempts.put("token-see-others", Identities::describeTokens);
        return attempts;
    }

    private static org.apache.kafka.common.KafkaFuture<?> password(Admin admin, String user) {
        return admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, SCRAM, "taken-over-1A"))).all();
    }

    private static org.apache.kafka.common.KafkaFuture<?> bind(Admin admin, String principal, AclOperation operation, AclPermissionType permission) {
        ResourcePattern cluster = new ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", PatternType.LITERAL);
        return admin.createAcls(List.of(new AclBinding(cluster, new AccessControlEntry(principal, "*", operation, permission)))).all();
    }

    private static org.apache.kafka.common.KafkaFuture<?> quota(Admin admin, String user) {
        Map<String, String> entity = new java.util.HashMap<>();
        entity.put(ClientQuotaEntity.USER, user);
        return admin.alterClientQuotas(List.of(new ClientQuotaAlteration(new ClientQuotaEntity(entity),
                List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1.0))))).all();
    }

    /** A deletion may be refused, or find nothing: what must not be is that it deletes. */
    private static void deleteAcls(Case c) throws Exception {
        try (Admin admin = Refused.admin(c)) {
            Collection<AclBinding> deleted = admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get();
            c.check(deleted.isEmpty(), "deleted " + deleted);
            c.trace("nothing was deleted");
        } catch (java.util.concurrent.ExecutionException refused) {
            c.trace(Refused.name(refused.getCause()));
        }
    }

    /** Of the platform's bindings a tenant sees none: its own principals', those that make the access mode, those that guard. */
    private static void describeAcls(Case c) throws Exception {
        try (Admin admin = Refused.admin(c)) {
            Collection<AclBinding> seen = admin.describeAcls(AclBindingFilter.ANY).values().get();
            List<String> everybody = List.of("User:*", "User:ANONYMOUS");
            c.check(seen.stream().map(binding -> binding.entry().principal())
                    .noneMatch(principal -> everybody.contains(principal) || principal.startsWith("User:sluice")), "saw " + seen);
            c.trace("saw none");
        } catch (java.util.concurrent.ExecutionException refused) {
            c.trace(Refused.name(refused.getCause()));
        }
    }

    private static void describeTokens(Case c) throws Exception {
        try (Admin admin = Refused.admin(c)) {
            var tokens = admin.describeDelegationToken().delegationTokens().get();
            c.check(tokens.stream().allMatch(t -> t.tokenInfo().owner().getName().equals(c.get("user"))), "saw " + tokens.size() + " tokens of others");
            c.trace("saw no token of others");
        } catch (java.util.concurrent.ExecutionException refused) {
            c.check(refused.getCause() instanceof ApiException, "failed by " + refused.getCause());
            c.trace(Refused.name(refused.getCause()));
        }
    }
}
