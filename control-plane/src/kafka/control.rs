//! [`KafkaControl`] by krafka, and by [`wire`] where krafka cannot.

use super::{
    Cluster, Credentials, KafkaControl, KafkaError, PlatformBindings, acls, canary, platform_bindings, quotas, scram,
    topics,
    wire::{self, WireError},
};
use crate::domain::acl::is_platform;
use async_trait::async_trait;
use control_plane_api::{
    access::Access,
    acl::AclBinding,
    client_quota::QuotaRule,
    topic::{Topic, TopicSummary},
};
use krafka::{
    Kafka,
    admin::{AlterUserScramCredentialsOptions, DescribeClusterOptions, ScramCredentialDeletion},
    auth::{AuthConfig, ScramMechanism, TlsConfig},
    error::{ErrorCode, KrafkaError},
};
use std::{error::Error, future::Future, net::SocketAddr, time::Duration};
use tokio::time::{sleep, timeout};

/// Asked often while an instance starts, so it gives up early.
const READY_DEADLINE: Duration = Duration::from_secs(5);
const CHANGE_DEADLINE: Duration = Duration::from_secs(15);
const CANARY_DEADLINE: Duration = Duration::from_secs(30);
/// Between looks whether a broker knows of a change.
const SETTLING_EVERY: Duration = Duration::from_millis(20);
/// TCP, TLS and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Talks to instances; a set of connections a call, since calls are rare and instances many.
#[derive(Debug, Clone, Copy, Default)]
pub struct KrafkaControl;

#[async_trait]
impl KafkaControl for KrafkaControl {
    async fn ready(&self, cluster: &Cluster, brokers: usize) -> Result<bool, KafkaError> {
        within("asking whether Kafka is ready", READY_DEADLINE, async {
            let admin = administrator(cluster).await?.admin();
            let seen = admin.describe_cluster(DescribeClusterOptions::default().timeout(READY_DEADLINE)).await?;
            let unfenced = seen.brokers.iter().filter(|broker| !broker.is_fenced).count();
            Ok(unfenced >= brokers && seen.controller_id >= 0)
        })
        .await
    }

    async fn bind_platform_acls(&self, cluster: &Cluster, access: &Access) -> Result<(), KafkaError> {
        let PlatformBindings { present, absent } = platform_bindings(access);
        on_the_wire("binding the platform's ACLs", write_acls(cluster, &present, &absent)).await
    }

    async fn acls(&self, cluster: &Cluster) -> Result<Vec<AclBinding>, KafkaError> {
        let bindings = on_the_wire("reading the ACLs", wire::describe_acls(cluster)).await?;
        Ok(bindings.into_iter().filter(|binding| !is_platform(binding)).collect())
    }

    async fn put_acls(
        &self,
        cluster: &Cluster,
        present: &[AclBinding],
        absent: &[AclBinding],
    ) -> Result<(), KafkaError> {
        on_the_wire("writing the ACLs", write_acls(cluster, present, absent)).await
    }

    async fn shield_platform(&self, cluster: &Cluster) -> Result<(), KafkaError> {
        on_the_wire("writing the platform's quotas", quotas::shield(cluster)).await
    }

    async fn client_quotas(&self, cluster: &Cluster) -> Result<Vec<QuotaRule>, KafkaError> {
        on_the_wire("reading the quotas", quotas::describe(cluster)).await
    }

    async fn put_client_quotas(
        &self,
        cluster: &Cluster,
        set: &[QuotaRule],
        remove: &[QuotaRule],
    ) -> Result<(), KafkaError> {
        on_the_wire("writing the quotas", quotas::write(cluster, set, remove)).await
    }

    async fn topics(&self, cluster: &Cluster) -> Result<Vec<TopicSummary>, KafkaError> {
        on_the_wire("listing the topics", topics::list(cluster)).await
    }

    async fn topic(&self, cluster: &Cluster, name: &str) -> Result<Option<Topic>, KafkaError> {
        on_the_wire("reading the topic", topics::show(cluster, name)).await
    }

    async fn put_user(&self, cluster: &Cluster, credentials: &Credentials) -> Result<(), KafkaError> {
        const OPERATION: &str = "writing the user";
        let upsertions = scram::upsertions(credentials)
            .map_err(|_| KafkaError::Transient { operation: OPERATION, reason: "no random numbers".to_owned() })?;
        within(OPERATION, CHANGE_DEADLINE, async {
            let admin = administrator(cluster).await?.admin();
            // One mechanism a request: KRaft's controller takes a user only once in each.
            for upsertion in upsertions {
                let options = AlterUserScramCredentialsOptions::default();
                let results = admin.alter_user_scram_credentials(Vec::new(), vec![upsertion], options).await?;
                for result in results.into_values() {
                    result?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn delete_user(&self, cluster: &Cluster, user: &str) -> Result<(), KafkaError> {
        within("deleting the user", CHANGE_DEADLINE, async {
            let admin = administrator(cluster).await?.admin();
            // One mechanism a request, as above.
            for mechanism in [ScramMechanism::Sha256, ScramMechanism::Sha512] {
                let deletions = vec![ScramCredentialDeletion { name: user.to_owned(), mechanism }];
                let options = AlterUserScramCredentialsOptions::default();
                for result in admin.alter_user_scram_credentials(deletions, Vec::new(), options).await?.into_values() {
                    match result {
                        Err(KrafkaError::Broker { code: ErrorCode::ResourceNotFound, .. }) => {}
                        other => other?,
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn canary(&self, cluster: &Cluster, credentials: &Credentials) -> Result<(), KafkaError> {
        const OPERATION: &str = "writing and reading through the gateways";
        within(OPERATION, CANARY_DEADLINE, canary::run(cluster, credentials)).await
    }
}

/// What is given comes before what is taken, so that nobody is without a right in between.
async fn write_acls(cluster: &Cluster, present: &[AclBinding], absent: &[AclBinding]) -> Result<(), WireError> {
    wire::create_acls(cluster, present).await?;
    wire::delete_acls(cluster, absent).await?;
    // Each broker reads the change from the metadata log by itself, within milliseconds.
    for &address in &cluster.internal {
        while let Some(seen) = wire::acls_at(cluster, address).await? {
            if acls::unsettled(&seen, present, absent).next().is_none() {
                break;
            }
            sleep(SETTLING_EVERY).await;
        }
    }
    Ok(())
}

async fn on_the_wire<T>(
    operation: &'static str,
    work: impl Future<Output = Result<T, WireError>>,
) -> Result<T, KafkaError> {
    match timeout(CHANGE_DEADLINE, work).await {
        Ok(result) => result.map_err(|error| failure(operation, error.is_retriable(), &error)),
        Err(_) => Err(too_late(operation, CHANGE_DEADLINE)),
    }
}

/// A connection with every right, past the gateways.
pub(super) async fn administrator(cluster: &Cluster) -> krafka::Result<Kafka> {
    let tls = TlsConfig::new().with_ca_cert_pem(cluster.identity.ca_pem.as_bytes()).with_client_cert_pem(
        cluster.identity.certificate_pem.as_bytes(),
        cluster.identity.key_pem.expose().as_bytes().to_vec(),
    );
    connect(&cluster.internal, AuthConfig::ssl(tls)).await
}

/// A connection as a client of the tenant makes it.
pub(super) async fn client(cluster: &Cluster, credentials: &Credentials) -> krafka::Result<Kafka> {
    let tls = TlsConfig::new().with_ca_cert_pem(cluster.public_ca_pem.as_bytes());
    let security = AuthConfig::sasl_scram_sha512(&credentials.user, credentials.password.expose()).with_tls(tls);
    connect(&cluster.sasl_ssl, security).await
}

async fn connect(bootstrap: &[SocketAddr], security: AuthConfig) -> krafka::Result<Kafka> {
    let bootstrap = bootstrap.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
    Kafka::builder(bootstrap)
        .client_id("sluice-control-plane")
        .security(security)
        .connect_timeout(CONNECT_TIMEOUT)
        .request_timeout(REQUEST_TIMEOUT)
        .connect()
        .await
}

async fn within<T>(
    operation: &'static str,
    deadline: Duration,
    work: impl Future<Output = krafka::Result<T>>,
) -> Result<T, KafkaError> {
    match timeout(deadline, work).await {
        Ok(result) => result.map_err(|error| failure(operation, error.is_retriable(), &error)),
        Err(_) => Err(too_late(operation, deadline)),
    }
}

fn too_late(operation: &'static str, deadline: Duration) -> KafkaError {
    KafkaError::Transient { operation, reason: format!("not done within {} s", deadline.as_secs()) }
}

fn failure(operation: &'static str, retriable: bool, error: &(dyn Error + 'static)) -> KafkaError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors repeat their cause.
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    match retriable {
        true => KafkaError::Transient { operation, reason },
        false => KafkaError::Permanent { operation, reason },
    }
}
