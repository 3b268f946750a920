//! The workflows, one file each.
//!
//! Steps may use `domain`, `store::provisioning`, drivers, nodes, Kafka and `pki`; they know no HTTP. What they write, they
//! write through their context, so that a runner that lost its job writes nothing.

pub mod access_open;
pub mod acl_change;
pub mod certificate_change;
pub mod client_quota_change;
pub mod instance_configure;
pub mod instance_create;
pub mod instance_delete;
pub mod kafka_user_change;
mod provisioning;

use crate::{
    domain::node_spec::Site,
    drivers::Platform,
    jobs::engine::{KindInfo, Registry, RegistryError, describe},
    secrets::Keyring,
};

pub use access_open::AccessOpen;
pub use acl_change::AclChange;
pub use certificate_change::CertificateChange;
pub use client_quota_change::ClientQuotaChange;
pub use instance_configure::InstanceConfigure;
pub use instance_create::InstanceCreate;
pub use instance_delete::InstanceDelete;
pub use kafka_user_change::KafkaUserChange;

/// What the steps of every workflow may use besides the database.
#[derive(Debug, Clone)]
pub struct Environment {
    pub platform: Platform,
    pub keyring: Keyring,
    pub site: Site,
}

/// Every kind of job that this program can run.
pub fn registry() -> Result<Registry<Environment>, RegistryError> {
    Registry::default()
        .with::<InstanceCreate>()?
        .with::<InstanceDelete>()?
        .with::<InstanceConfigure>()?
        .with::<AccessOpen>()?
        .with::<KafkaUserChange>()?
        .with::<AclChange>()?
        .with::<CertificateChange>()?
        .with::<ClientQuotaChange>()
}

/// What is known of a kind: titles, steps, whether it can be cancelled. `None` for a kind of another version of the program.
pub fn kind(name: &str) -> Option<KindInfo> {
    [
        describe::<InstanceCreate>(),
        describe::<InstanceDelete>(),
        describe::<InstanceConfigure>(),
        describe::<AccessOpen>(),
        describe::<KafkaUserChange>(),
        describe::<AclChange>(),
        describe::<CertificateChange>(),
        describe::<ClientQuotaChange>(),
    ]
    .into_iter()
    .find(|info| info.kind == name)
}
