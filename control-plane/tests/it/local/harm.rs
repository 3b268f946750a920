//! What a client without a login, and a tenant's own administrator, could ruin: nothing that is the platform's.

use super::instance::{Instance, NEWEST, user};
use broker_api::ports;
use control_plane::kafka::{KafkaControl, KrafkaControl};
use krafka::{
    Kafka, Record,
    admin::{
        AclFilter, AdminClient, AlterClientQuotasOptions, AlterUserScramCredentialsOptions, ClientQuotaAlteration,
        ClientQuotaEntity, ConfigOp, ConfigResource, CreateTopicsOptions, DeleteAclsOptions, DeleteRecordsOptions,
        DeleteTopicsOptions, DescribeAclsOptions, FeatureUpdateKey, IncrementalAlterConfigsOptions, NewTopic,
        ScramCredentialDeletion, ScramCredentialUpsertion, TopicPartition, UpdateFeaturesOptions,
    },
    auth::{AuthConfig, ScramMechanism, TlsConfig},
    error::KrafkaError,
};
use std::{collections::HashMap, hash::Hash, net::SocketAddr, time::Duration};

/// Kafka's own offsets topic comes to be when a group does.
const OFFSETS: &str = "__consumer_offsets";

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_client_without_a_login_nor_a_tenants_administrator_can_ruin_the_instance() {
    let Some(instance) = Instance::new(NEWEST, 1).await else { return };
    instance.set_up(&user()).await;
    let address = instance.specs[0].kafka.bind;
    let anonymous = Kafka::builder(SocketAddr::new(address, ports::PRIVATE_PLAINTEXT).to_string());
    let tls = TlsConfig::new().with_ca_cert_pem(instance.cluster.public_ca_pem.as_bytes());
    let login = AuthConfig::sasl_scram_sha512(&user().user, user().password.expose()).with_tls(tls);
    let tenant = Kafka::builder(SocketAddr::new(address, ports::PRIVATE_SASL_SSL).to_string()).security(login);
    for (who, client) in [("a client without a login", anonymous), ("a tenant's administrator", tenant)] {
        let kafka = client.connect().await.unwrap();
        make_the_offsets_topic(&kafka).await;
        let mut attempts = attempts(&kafka.admin()).await;
        let produced = kafka.producer().build().await;
        attempts.push((
            "write into Kafka's offsets",
            match produced {
                Ok(producer) => producer.send(Record::new(OFFSETS, "garbage").partition(0)).await.map(drop),
                Err(error) => Err(error),
            },
        ));
        for (what, result) in attempts {
            match result {
                Ok(()) => panic!("{who} could {what}"),
                Err(KrafkaError::Config { message }) => panic!("{who} did not even try to {what}: {message}"),
                Err(error) => eprintln!("{who} could not {what}: {error}"),
            }
        }
    }
    KrafkaControl.canary(&instance.cluster, &user()).await.unwrap();
    instance.remove().await;
}

async fn make_the_offsets_topic(kafka: &Kafka) {
    let name = format!("t-{}", uuid::Uuid::new_v4());
    let topic = NewTopic::new(&name, 1, 1).unwrap();
    kafka.admin().create_topics([topic], CreateTopicsOptions::default()).await.unwrap().remove(&name).unwrap().unwrap();
    let consumer = kafka.consumer("a-group").build().await.unwrap();
    consumer.subscribe([&name]).await.unwrap();
    let _ = consumer.poll(Duration::from_secs(5)).await;
    consumer.close().await.unwrap();
}

/// Everything that must fail, with how it ended.
async fn attempts(admin: &AdminClient) -> Vec<(&'static str, krafka::Result<()>)> {
    let scram = AlterUserScramCredentialsOptions::default;
    let platform_user = ScramCredentialUpsertion {
        name: "sluice-control-plane".to_owned(),
        mechanism: ScramMechanism::Sha512,
        iterations: 4096,
        salt: vec![1; 32].into(),
        salted_password: vec![2; 64].into(),
    };
    let tenants_user = ScramCredentialUpsertion { name: user().user, ..platform_user.clone() };
    let deletion = ScramCredentialDeletion { name: user().user, mechanism: ScramMechanism::Sha512 };
    let set = |name: &str, value: &str| vec![ConfigOp::set(name, value)];
    let configs = IncrementalAlterConfigsOptions::default;
    let records = HashMap::from([(TopicPartition::new(OFFSETS, 0), -1)]);
    let quota = ClientQuotaAlteration::new(
        ClientQuotaEntity::from_iter([("user", None::<&str>)]),
        vec![("producer_byte_rate".to_owned(), Some(1.0))],
    );
    let topic = |name: &str| NewTopic::new(name, 1, 1).unwrap();
    let remove_acls = admin.delete_acls(vec![AclFilter::all()], DeleteAclsOptions::default()).await;
    vec![
        (
            "become the platform's user",
            every(admin.alter_user_scram_credentials(vec![], vec![platform_user], scram()).await),
        ),
        (
            "take over another user",
            every(admin.alter_user_scram_credentials(vec![], vec![tenants_user], scram()).await),
        ),
        ("remove another user", every(admin.alter_user_scram_credentials(vec![deletion], vec![], scram()).await)),
        (
            "change every broker's settings",
            every(
                admin
                    .incremental_alter_configs(
                        [(ConfigResource::broker_default(), set("log.retention.ms", "1"))],
                        configs(),
                    )
                    .await,
            ),
        ),
        (
            "change a broker's super users",
            every(
                admin
                    .incremental_alter_configs(
                        [(ConfigResource::broker(1), set("super.users", "User:ANONYMOUS"))],
                        configs(),
                    )
                    .await,
            ),
        ),
        (
            "change the settings of Kafka's offsets",
            every(
                admin
                    .incremental_alter_configs([(ConfigResource::topic(OFFSETS), set("retention.ms", "1"))], configs())
                    .await,
            ),
        ),
        ("delete Kafka's offsets", every(admin.delete_topics([OFFSETS], DeleteTopicsOptions::default()).await)),
        (
            "delete the records of Kafka's offsets",
            every(admin.delete_records(records, DeleteRecordsOptions::default()).await),
        ),
        (
            "create a topic of the platform",
            every(admin.create_topics([topic("__sluice_admission")], CreateTopicsOptions::default()).await),
        ),
        (
            "change a feature of the cluster",
            every(
                admin
                    .update_features(
                        vec![FeatureUpdateKey::upgrade("group.version", 0)],
                        UpdateFeaturesOptions::default(),
                    )
                    .await,
            ),
        ),
        (
            "set a quota for everybody",
            every(admin.alter_client_quotas(vec![quota], AlterClientQuotasOptions::default()).await),
        ),
        (
            "remove the platform's bindings",
            remove_acls.and_then(|results| {
                let deleted = |r: krafka::Result<krafka::admin::DeleteAclsResult>| r.map(|result| result.deleted.len());
                match results.into_iter().map(|(_, result)| deleted(result)).collect::<krafka::Result<Vec<_>>>()?[..] {
                    [0] => Err(KrafkaError::illegal_state("nothing was deleted")),
                    _ => Ok(()),
                }
            }),
        ),
        (
            "see who is bound to what",
            admin.describe_acls(AclFilter::all(), DescribeAclsOptions::default()).await.and_then(|bindings| {
                match bindings.is_empty() {
                    true => Err(KrafkaError::illegal_state("nothing is shown")),
                    false => Ok(()),
                }
            }),
        ),
    ]
}

/// One item, one result.
fn every<K: Hash + Eq, T>(results: krafka::Result<HashMap<K, krafka::Result<T>>>) -> krafka::Result<()> {
    results?.into_values().try_for_each(|result| result.map(drop))
}
