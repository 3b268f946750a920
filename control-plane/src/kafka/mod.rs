//! What we ask of an instance's Kafka: users, bindings, quotas, which topics there are, and whether it serves.
//!
//! Hides the client libraries (krafka, and kafka-protocol for what it lacks) behind [`KafkaControl`]. May use `pki`
//! for its client identity, and `domain` for which bindings and quotas are the platform's. Knows no jobs and no database.
//!
//! Administration goes to the brokers' INT listeners as the super user `sluice-control-plane`; the canary goes the way
//! of the tenant's clients, through the gateways, and trusts only what they trust.

mod acls;
mod canary;
mod control;
mod quotas;
mod scram;
mod topics;
mod wire;

pub use acls::{PlatformBindings, platform_bindings};
pub use canary::CANARY_PREFIX;
pub use control::KrafkaControl;

use async_trait::async_trait;
use broker_api::{secret::Secret, spec::TlsIdentity};
use control_plane_api::{
    access::Access,
    acl::AclBinding,
    client_quota::QuotaRule,
    topic::{Topic, TopicSummary},
};
use std::{fmt::Debug, net::SocketAddr, sync::Arc};

/// How to reach an instance.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// INT listeners, for administration with the client certificate below.
    pub internal: Vec<SocketAddr>,
    /// Clients' SASL_SSL listeners, for the canary.
    pub sasl_ssl: Vec<SocketAddr>,
    /// Certificate `CN=sluice-control-plane` of the instance's internal CA, its key, and that CA: the same as in
    /// [`crate::nodes::NodeAddress`].
    pub identity: Arc<TlsIdentity>,
    /// CA that clients trust. PEM.
    pub public_ca_pem: String,
}

#[derive(Debug, Clone)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}

#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// May succeed when tried again.
    #[error("{operation}: {reason}")]
    Transient { operation: &'static str, reason: String },
    /// Will not succeed by itself: something was refused.
    #[error("{operation}: {reason}")]
    Permanent { operation: &'static str, reason: String },
}

/// Every method is idempotent and may be repeated after a crash.
#[async_trait]
pub trait KafkaControl: Debug + Send + Sync {
    /// At least `brokers` are registered and unfenced, a controller is known. No broker answers: an error that says why.
    async fn ready(&self, cluster: &Cluster, brokers: usize) -> Result<bool, KafkaError>;

    /// The platform's ACL bindings are those of this access ([`platform_bindings`]), on every broker that answers. Of the
    /// tenant's none is touched.
    async fn bind_platform_acls(&self, cluster: &Cluster, access: &Access) -> Result<(), KafkaError>;

    /// The tenant's ACL bindings, sorted; none of the platform's.
    async fn acls(&self, cluster: &Cluster) -> Result<Vec<AclBinding>, KafkaError>;

    /// The bindings `present` are there and `absent` are not, on every broker that answers. One that does not reads of it
    /// before it serves again.
    async fn put_acls(
        &self,
        cluster: &Cluster,
        present: &[AclBinding],
        absent: &[AclBinding],
    ) -> Result<(), KafkaError>;

    /// The platform's own principals have quotas of their own, so wide that none of the tenant's, be it for every user, ever
    /// holds them back.
    async fn shield_platform(&self, cluster: &Cluster) -> Result<(), KafkaError>;

    /// The tenant's quotas of users and client ids; none of the platform's.
    async fn client_quotas(&self, cluster: &Cluster) -> Result<Vec<QuotaRule>, KafkaError>;

    /// The figures of `set` hold and those that `remove` names are gone, whatever they were, on every broker that answers.
    /// One that does not reads of it before it serves again.
    async fn put_client_quotas(
        &self,
        cluster: &Cluster,
        set: &[QuotaRule],
        remove: &[QuotaRule],
    ) -> Result<(), KafkaError>;

    /// All topics but the platform's, as a broker knows them that answers.
    async fn topics(&self, cluster: &Cluster) -> Result<Vec<TopicSummary>, KafkaError>;

    /// The topic of this name, if there is one that is not the platform's.
    async fn topic(&self, cluster: &Cluster, name: &str) -> Result<Option<Topic>, KafkaError>;

    /// The user exists with this password, for SCRAM-SHA-256 and SCRAM-SHA-512.
    async fn put_user(&self, cluster: &Cluster, credentials: &Credentials) -> Result<(), KafkaError>;

    /// Nobody can log in as this user by SCRAM; one that does not exist is a success.
    async fn delete_user(&self, cluster: &Cluster, user: &str) -> Result<(), KafkaError>;

    /// Writes a message to every broker through the clients' way and reads it back; leaves nothing behind. Users and
    /// bindings reach each broker by themselves a moment after they were made: a refusal counts only when it stays.
    async fn canary(&self, cluster: &Cluster, credentials: &Credentials) -> Result<(), KafkaError>;
}
