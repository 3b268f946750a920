//! How to connect: addresses, code for a client, trust.

use crate::{
    app::{App, AppError, Refusal, instances},
    domain::{
        actor::ProjectScope,
        connection::{self as guide, Guide, SASL_MECHANISMS},
        rights::Right,
        states,
    },
    pki::{self, AuthorityKind},
    store::{brokers, provisioning},
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
    drop(tx);
    let bootstrap = instances::bootstrap(record.state, &record.access, &brokers);
    let ca_pem = platform_ca(app).await?;
    let snippet = query.client.map(|client| {
        guide::snippet(client, &Guide { bootstrap: &bootstrap.private_sasl_ssl, user, topic, ca_pem: &ca_pem })
    });
    Ok(Connection {
        bootstrap,
        security_protocol: "SASL_SSL".to_owned(),
        sasl_mechanisms: SASL_MECHANISMS
            .into_iter()
            .chain(record.access.oauthbearer.is_some().then_some("OAUTHBEARER"))
            .map(str::to_owned)
            .collect(),
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

/// What clients trust. The same for all instances, and shown only to who may see this one.
pub async fn get_truststore(
    app: &App,
    scope: &ProjectScope,
    id_or_name: &str,
    format: TruststoreFormat,
) -> Result<Truststore, AppError> {
    scope.require(Right::ConnectionRead)?;
    let mut tx = app.db.tenant(scope).await?;
    let record = instances::find(&mut tx, id_or_name).await?;
    drop(tx);
    let ca_pem = platform_ca(app).await?;
    let unmade = |error: pki::PkiError| AppError::Internal(format!("truststore: {error}"));
    Ok(match format {
        TruststoreFormat::Pem => Truststore {
            file_name: guide::CA_FILE,
            content_type: "application/x-pem-file",
            content: ca_pem.into_bytes(),
        },
        TruststoreFormat::P12 => Truststore {
            file_name: "sluice-truststore.p12",
            content_type: "application/x-pkcs12",
            content: pki::truststore_pkcs12(&ca_pem).map_err(unmade)?,
        },
        TruststoreFormat::Jks => Truststore {
            file_name: "sluice-truststore.jks",
            content_type: "application/x-java-keystore",
            content: pki::truststore_jks(&ca_pem, record.created_at).map_err(unmade)?,
        },
    })
}

/// The certificate that signs what clients see; it is made with the first instance.
async fn platform_ca(app: &App) -> Result<String, AppError> {
    let mut tx = app.db.system().await?;
    let authority = provisioning::authority(&mut tx, AuthorityKind::Platform.as_str(), None).await?;
    authority.map(|authority| authority.certificate_pem).ok_or_else(AppError::not_found)
}
