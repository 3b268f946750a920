//! mTLS as a request leaves it: authorities, revocation lists and mapping rules; or all that is wrong with them.

use super::upload::{AT_ONCE, decode, fault, within_limit};
use crate::{
    app::{AppError, Refusal},
    pki::{client_trust as pki, keystore},
};
use chrono::{DateTime, Utc};
use control_plane_api::{
    access::{ClientAuthority, Mtls, UpdateAccess, UpdateMtls},
    problem::FieldError,
};
use principal::Rules;
use std::borrow::Cow;

const CA_PEM: &str = "/mtls/ca_pem";
const CRL_PEM: &str = "/mtls/crl_pem";
const TRUSTSTORE: &str = "/mtls/truststore";
const TRUSTSTORE_PASSWORD: &str = "/mtls/truststore_password";

type Faults = Vec<FieldError>;

/// The patch with PEM in place of a truststore, which is slow to open: not for within a transaction. Its password is gone then.
pub(in crate::app) async fn opened(patch: &UpdateAccess) -> Result<Cow<'_, UpdateAccess>, AppError> {
    let Some(Some(mtls)) = &patch.mtls else { return Ok(Cow::Borrowed(patch)) };
    if mtls.truststore.is_none() && mtls.truststore_password.is_none() {
        return Ok(Cow::Borrowed(patch));
    }
    let _turn = AT_ONCE.acquire().await.map_err(|error| AppError::Internal(format!("uploads: {error}")))?;
    let mtls = mtls.clone();
    let opened = tokio::task::spawn_blocking(move || open(mtls)).await.unwrap_or_else(|error| {
        // The reader of a foreign format gave up on what it read.
        tracing::error!(%error, "an uploaded truststore could not be read");
        Err(vec![FieldError::new(TRUSTSTORE, "keystore-unreadable", "it cannot be read")])
    });
    let mtls = opened.map_err(Refusal::invalid)?;
    Ok(Cow::Owned(UpdateAccess { mtls: Some(Some(mtls)), ..patch.clone() }))
}

fn open(patch: UpdateMtls) -> Result<UpdateMtls, Faults> {
    let missing = |place: &str, detail: &str| vec![FieldError::new(place, "required", detail)];
    let store =
        patch.truststore.as_ref().ok_or_else(|| missing(TRUSTSTORE, "a password is given, and no truststore"))?;
    let password = patch
        .truststore_password
        .as_ref()
        .ok_or_else(|| missing(TRUSTSTORE_PASSWORD, "a truststore needs its password"))?;
    if patch.ca_pem.is_some() {
        let detail = "the authorities are given in PEM already; give one of ca_pem and truststore";
        return Err(vec![FieldError::new(TRUSTSTORE, "not-of-format", detail)]);
    }
    let mut faults = Vec::new();
    let Some(file) = decode(TRUSTSTORE, store, &mut faults) else { return Err(faults) };
    let certificates = keystore::trusted(&file, password)
        .map_err(|error| vec![fault(&error, TRUSTSTORE, TRUSTSTORE_PASSWORD, TRUSTSTORE_PASSWORD)])?;
    let ca_pem = Some(Some(pki::as_pem(&certificates)));
    Ok(UpdateMtls { ca_pem, truststore: None, truststore_password: None, ..patch })
}

/// What the [opened] patch makes of `current`.
pub(in crate::app) fn patched(current: &Mtls, patch: &UpdateAccess, now: DateTime<Utc>) -> Result<Mtls, Faults> {
    let patch = match &patch.mtls {
        None => return Ok(current.clone()),
        Some(None) => return Ok(Mtls::default()),
        Some(Some(patch)) => patch,
    };
    let mut faults = Vec::new();
    let default = Mtls::default();
    let enabled = patch.enabled.map_or(current.enabled, |enabled| enabled.unwrap_or(default.enabled));
    let authorities = authorities(current, patch, now, &mut faults);
    if enabled && authorities.is_empty() && faults.is_empty() {
        let detail = "the certificates of the authorities that issue your clients' certificates are needed";
        faults.push(FieldError::new(CA_PEM, "required", detail));
    }
    let lists = lists(current, patch, &authorities, &mut faults);
    // What is wrong with an authority is not told of its lists again.
    let revocation_lists = if lists.is_empty() || !faults.is_empty() {
        Vec::new()
    } else {
        pki::revocation_lists(&lists, &authorities, CRL_PEM, &mut faults)
    };
    let principal_rules = match &patch.principal_rules {
        None => current.principal_rules.clone(),
        Some(None) => default.principal_rules,
        Some(Some(rules)) => rules.trim().to_owned(),
    };
    if let Err(error) = Rules::parse(&principal_rules) {
        faults.push(FieldError::new("/mtls/principal_rules", "principal-rules", error.to_string()));
    }
    if faults.is_empty() { Ok(Mtls { enabled, authorities, revocation_lists, principal_rules }) } else { Err(faults) }
}

fn authorities(current: &Mtls, patch: &UpdateMtls, now: DateTime<Utc>, faults: &mut Faults) -> Vec<ClientAuthority> {
    let text = match &patch.ca_pem {
        None => return current.authorities.clone(),
        Some(Some(text)) if within_limit(CA_PEM, text.len(), faults) => text,
        Some(_) => return Vec::new(),
    };
    if text.contains("PRIVATE KEY-----") {
        let detail = "it holds a private key, which nobody else should see: give certificates only";
        faults.push(FieldError::new(CA_PEM, "private-key", detail));
        return Vec::new();
    }
    match keystore::pem_certificates(text) {
        Ok(certificates) => pki::authorities(&certificates, CA_PEM, now, faults),
        Err(error) => {
            faults.push(FieldError::new(CA_PEM, "not-pem", error.to_string()));
            Vec::new()
        }
    }
}

/// As PEM. Of those that stay, what an authority said that went is of no use.
fn lists(current: &Mtls, patch: &UpdateMtls, authorities: &[ClientAuthority], faults: &mut Faults) -> String {
    match &patch.crl_pem {
        None => {
            let stays = |issuer: &str| authorities.iter().any(|one| one.subject == issuer);
            let lists = current.revocation_lists.iter().filter(|list| stays(&list.issuer));
            lists.map(|list| list.pem.as_str()).collect()
        }
        Some(Some(text)) if within_limit(CRL_PEM, text.len(), faults) => text.clone(),
        Some(_) => String::new(),
    }
}
