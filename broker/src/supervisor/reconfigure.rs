//! Changes settings of the running broker: IncrementalAlterConfigs on INT, as `sluice-node`.
//!
//! Owns nothing; one connection for each change. The settings are put on this broker alone, since
//! each node is told of a change by itself. They then override `server.properties`, so every later
//! change of the same settings must come this way too.

use super::properties::KafkaPaths;
use crate::identity::{certified, roots};
use crate::spec::Change;
use broker_api::ports;
use broker_api::spec::NodeSpec;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const FIELD: &str = "kafka.internal_tls";
const VERSION: i16 = 1;
/// Resource type and operation of the protocol.
const BROKER: i8 = 4;
const SET: i8 = 0;
/// One resource's result; more is no answer.
const MAX_ANSWER_BYTES: u32 = 64 * 1024;

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
            shows_certificate(spec, ports::INTER_BROKER).await?;
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
    loop {
        let stream = connect(spec, port).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
        if shown == chain.first() {
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
    let answer = exchange(spec, &request).await?;
    match answer.responses.iter().find(|response| response.error_code != 0) {
        None => Ok(()),
        Some(refused) => Err(format!(
            "Kafka refused changed settings with error {}: {}",
            refused.error_code,
            refused.error_message.as_deref().unwrap_or("no text")
        )),
    }
}

async fn exchange(
    spec: &NodeSpec,
    request: &IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, String> {
    let frame = encode(request)?;
    let inside = |error: std::io::Error| format!("INT: {error}");
    let mut stream = connect(spec, ports::INTER_BROKER).await?;
    stream.write_all(&frame).await.map_err(inside)?;
    stream.flush().await.map_err(inside)?;
    let length = stream.read_u32().await.map_err(inside)?;
    if length > MAX_ANSWER_BYTES {
        return Err(format!("INT: an answer of {length} bytes"));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.map_err(inside)?;
    decode(answer.into()).map_err(|error| format!("INT: {error}"))
}

async fn connect(spec: &NodeSpec, port: u16) -> Result<TlsStream<TcpStream>, String> {
    let address = SocketAddr::new(spec.kafka.bind, port);
    let inside = |error: std::io::Error| format!("{address}: {error}");
    let stream = TcpStream::connect(address).await.map_err(inside)?;
    let name = ServerName::try_from(spec.kafka.internal_host.clone()).map_err(|error| error.to_string())?;
    TlsConnector::from(client_config(spec)?).connect(name, stream).await.map_err(inside)
}

fn client_config(spec: &NodeSpec) -> Result<Arc<ClientConfig>, String> {
    let identity = &spec.kafka.internal_tls;
    let roots = roots(FIELD, identity).map_err(|error| error.to_string())?;
    let (certificates, key) = certified(FIELD, identity).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates, key)
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(config))
}

fn encode(request: &IncrementalAlterConfigsRequest) -> Result<Bytes, String> {
    let key = ApiKey::IncrementalAlterConfigs;
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(VERSION)
        .with_client_id(Some(StrBytes::from_static_str("sluice-node")));
    let mut body = BytesMut::new();
    header.encode(&mut body, key.request_header_version(VERSION)).map_err(|error| error.to_string())?;
    request.encode(&mut body, VERSION).map_err(|error| error.to_string())?;
    let mut frame = BytesMut::from(&(body.len() as u32).to_be_bytes()[..]);
    frame.extend_from_slice(&body);
    Ok(frame.freeze())
}

fn decode(mut answer: Bytes) -> Result<IncrementalAlterConfigsResponse, String> {
    let header = ApiKey::IncrementalAlterConfigs.response_header_version(VERSION);
    ResponseHeader::decode(&mut answer, header).map_err(|error| error.to_string())?;
    IncrementalAlterConfigsResponse::decode(&mut answer, VERSION).map_err(|error| error.to_string())
}
