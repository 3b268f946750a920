//! How to connect: addresses, code for a client, trust.

use crate::{
    app::{App, AppError, Refusal, certificates, instances},
    domain::{
        actor::ProjectScope,
        connection::{self as guide, Guide},
        rights::Right,
        states,
    },
    pki,
    store::brokers,
};
use control_plane_api::{
    connection::{Connection, ConnectionQuery, TruststoreFormat},
    instance::InstanceAction,
    problem::ProblemCode,
};
use serde_json::json;

/// The guide for one client, or only the addresses when no client is named.
pub async fn get_connection(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    query: &ConnectionQuery,
) -> Result<Connection, AppError> {
    scope.require(Right::ConnectionRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, id_or_name).await?;
    states::check(record.state, InstanceAction::Use).map_err(|refused| {
        Refusal::new(ProblemCode::ActionNotAllowed)
            .detail(refused.to_string(), refused.chinese())
            .with("state", states::state_name(refused.state))
            .with("allowed_actions", json!(refused.allowed))
    })?;
    let user = query.user.as_deref().unwrap_or(&record.first_user);
    let topic = query.topic.as_deref().unwrap_or(guide::DEFAULT_TOPIC);
    let faults = guide::check(user, topic);
    if !faults.is_empty() {
        return Err(Refusal::invalid(faults).into());
    }
    let brokers = brokers::list(&mut tx, &[record.id]).await?.remove(&record.id).unwrap_or_default();
    let ca_pem = certificates::trust(app, &mut tx, record.id).await?;
    drop(tx);
    let bootstrap = instances::bootstrap(record.state, &record.access, &brokers);
    let snippet = match query.client {
        Some(client) => {
            let invalid = |fault| Refusal::invalid(vec![fault]);
            let bootstrap = guide::servers(&bootstrap, query.path).map_err(invalid)?;
            let mechanism = guide::mechanism(client, &record.access.mechanisms).map_err(invalid)?;
            Some(guide::snippet(client, &Guide { bootstrap, mechanism, user, topic, ca_pem: &ca_pem }))
        }
        None => None,
    };
    Ok(Connection {
        bootstrap,
        security_protocol: "SASL_SSL".to_owned(),
        sasl_mechanisms: record
            .access
            .mechanisms
            .iter()
            .map(|mechanism| mechanism.as_str())
            .chain(record.access.oauthbearer.is_some().then_some("OAUTHBEARER"))
            .map(str::to_owned)
            .collect(),
        mtls: record.access.mtls.enabled,
        snippet,
    })
}

/// A truststore as a file.
#[derive(Debug, Clone)]
pub struct Truststore {
    pub file_name: &'static str,
    pub content_type: &'static str,
    pub content: Vec<u8>,
}

/// What clients of the instance trust: the authority of what is served, and of what was while its overlap lasts.
pub async fn get_truststore(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    format: TruststoreFormat,
) -> Result<Truststore, AppError> {
    scope.require(Right::ConnectionRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, id_or_name).await?;
    let ca_pem = certificates::trust(app, &mut tx, record.id).await?;
    drop(tx);
    Ok(match format {
        TruststoreFormat::Pem => Truststore {
            file_name: guide::CA_FILE,
            content_type: "application/x-pem-file",
            content: ca_pem.into_bytes(),
        },
        TruststoreFormat::P12 => Truststore {
            file_name: "sluice-truststore.p12",
            content_type: "application/x-pkcs12",
            content: pki::truststore_pkcs12(&ca_pem)?,
        },
        TruststoreFormat::Jks => Truststore {
            file_name: "sluice-truststore.jks",
            content_type: "application/x-java-keystore",
            content: pki::truststore_jks(&ca_pem, record.created_at)?,
        },
    })
}
