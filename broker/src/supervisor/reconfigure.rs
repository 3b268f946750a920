//! Changes settings of the running broker: IncrementalAlterConfigs on INT, as `sluice-node`.
//!
//! Owns nothing; one connection for each change. The settings are put on this broker alone, since
//! each node is told of a change by itself. They then override `server.properties`, so every later
//! change of the same settings must come this way too.

use super::properties::KafkaPaths;
use crate::identity::certified;
use crate::inter_broker::{self, Address, FIELD, Peer};
use crate::spec::Change;
use broker_api::ports;
use broker_api::spec::NodeSpec;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const VERSION: i16 = 1;
/// Resource type and operation of the protocol.
const BROKER: i8 = 4;
const SET: i8 = 0;

/// Makes the running broker take the dynamic part of a change. The certificates' files must have been
/// written. An error is a text without secrets.
pub async fn apply(paths: &KafkaPaths, spec: &NodeSpec, change: &Change) -> Result<(), String> {
    let mut settings = change.dynamic.clone();
    if change.internal_tls {
        settings.extend(read_again(paths));
    }
    if settings.is_empty() {
        return Ok(());
    }
    timeout(LIMIT, async {
        alter(spec, settings).await?;
        // Kafka says yes before it has read the files, and says nothing when it cannot use them.
        if change.internal_tls {
            shows_certificate(spec, ports::INTERNAL).await?;
            shows_certificate(spec, ports::CONTROLLER).await?;
        }
        Ok(())
    })
    .await
    .unwrap_or_else(|_| Err(format!("the broker did not take it within {LIMIT:?}")))
}

/// Waits until a listener shows the certificate of the spec.
async fn shows_certificate(spec: &NodeSpec, port: u16) -> Result<(), String> {
    let (chain, _) = certified(FIELD, &spec.kafka.internal_tls).map_err(|error| error.to_string())?;
    let (peer, address) = (Peer::of(spec).map_err(|error| error.to_string())?, Address::own(spec, port));
    loop {
        let connection = peer.connect(&address).await.map_err(|error| format!("{address}: {error}"))?;
        if connection.certificate() == chain.first() {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Setting a store to the path that it has makes Kafka read the file again; another path does not
/// work (kafka.md finding 6).
fn read_again(paths: &KafkaPaths) -> Vec<(String, String)> {
    let stores = [("keystore", &paths.keystore), ("truststore", &paths.truststore)];
    ["int", "ctl"]
        .iter()
        .flat_map(|listener| {
            stores.map(|(store, path)| {
                (format!("listener.name.{listener}.ssl.{store}.location"), path.display().to_string())
            })
        })
        .collect()
}

async fn alter(spec: &NodeSpec, settings: Vec<(String, String)>) -> Result<(), String> {
    let configs = settings
        .into_iter()
        .map(|(name, value)| {
            AlterableConfig::default().with_name(name.into()).with_config_operation(SET).with_value(Some(value.into()))
        })
        .collect();
    let resource = AlterConfigsResource::default()
        .with_resource_type(BROKER)
        .with_resource_name(spec.identity.node_id.to_string().into())
        .with_configs(configs);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = inter_broker::ask(spec, &Address::internal(spec), &request, VERSION, LIMIT).await?;
    match answer.responses.iter().find(|response| response.error_code != 0) {
        None => Ok(()),
        Some(refused) => Err(format!(
            "Kafka refused changed settings with error {}: {}",
            refused.error_code,
            refused.error_message.as_deref().unwrap_or("no text")
        )),
    }
}
