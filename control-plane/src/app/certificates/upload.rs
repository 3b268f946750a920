//! An uploaded certificate, from the request to something that can be served; or all that is wrong with it.
//!
//! Opening a key store takes as long as its writer wanted (key derivation), so that it happens off the async threads, a few
//! at a time.

use crate::{
    app::{AppError, Refusal},
    domain::{certificate, kafka_user},
    pki::{
        OwnCertificate, Places, examine,
        keystore::{self, KeystoreError, MAX_FILE_BYTES, Opened},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Duration, Utc};
use control_plane_api::{
    certificate::{CertificateFormat, UploadCertificate},
    problem::FieldError,
};
use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;

/// Key stores opened at once: each may keep a core busy for a second.
pub(super) static AT_ONCE: Semaphore = Semaphore::const_new(2);

type Faults = Vec<FieldError>;

/// What of the request can be judged without the instance.
#[derive(Debug)]
pub(super) struct Upload {
    request: UploadCertificate,
    pub(super) overlap: Duration,
}

impl Upload {
    /// Checks what the request says by its shape: which parts there are, and passwords.
    pub(super) fn new(request: &UploadCertificate) -> Result<Self, AppError> {
        let mut faults = Vec::new();
        check_parts(request, &mut faults);
        for (pointer, password) in [
            ("/keystore_password", &request.keystore_password),
            ("/key_password", &request.key_password),
            ("/truststore_password", &request.truststore_password),
        ] {
            if let Some(password) = password {
                // It belongs to nobody: there is no name that it may not hold.
                kafka_user::check_password(pointer, "", password, &mut faults);
            }
        }
        let overlap = certificate::overlap("/overlap_hours", request.overlap_hours, &mut faults);
        if faults.is_empty() {
            Ok(Self { request: request.clone(), overlap })
        } else {
            Err(Refusal::invalid(faults).into())
        }
    }

    /// Judges it for an instance whose brokers clients reach by `names`.
    pub(super) async fn judge(self, names: Vec<String>, now: DateTime<Utc>) -> Result<OwnCertificate, AppError> {
        let _turn = AT_ONCE.acquire().await.map_err(|error| AppError::Internal(format!("uploads: {error}")))?;
        let judged = tokio::task::spawn_blocking(move || judge(&self.request, &names, now)).await;
        match judged {
            Ok(outcome) => outcome.map_err(|faults| Refusal::invalid(faults).into()),
            // The reader of a foreign format gave up on what it read.
            Err(error) => {
                tracing::error!(%error, "an uploaded certificate could not be read");
                let fault = FieldError::new("/keystore", "keystore-unreadable", "it cannot be read");
                Err(Refusal::invalid(vec![fault]).into())
            }
        }
    }
}

/// Which parts belong to a format: its own must be there, the others must not.
fn check_parts(request: &UploadCertificate, faults: &mut Faults) {
    let pem = request.format == CertificateFormat::Pem;
    let of_stores = [
        ("/keystore", request.keystore.is_some(), true),
        ("/keystore_password", request.keystore_password.is_some(), true),
        ("/key_password", request.key_password.is_some(), false),
        ("/alias", request.alias.is_some(), false),
        ("/truststore", request.truststore.is_some(), false),
        ("/truststore_password", request.truststore_password.is_some(), request.truststore.is_some()),
    ];
    let of_pem = [
        ("/certificate_pem", request.certificate_pem.is_some(), true),
        ("/private_key_pem", request.private_key_pem.is_some(), true),
        ("/ca_pem", request.ca_pem.is_some(), false),
    ];
    let mut check = |wanted: bool, (pointer, given, needed): (&str, bool, bool)| match (wanted, given) {
        (true, false) if needed => faults.push(FieldError::new(pointer, "required", "this format needs it")),
        (false, true) => faults.push(FieldError::new(pointer, "not-of-format", "it does not belong to this format")),
        _ => {}
    };
    of_stores.into_iter().for_each(|part| check(!pem, part));
    of_pem.into_iter().for_each(|part| check(pem, part));
    if request.format == CertificateFormat::Pkcs12
        && request.key_password.as_ref().is_some_and(|password| Some(password) != request.keystore_password.as_ref())
    {
        let detail = "a PKCS#12 file has one password, for keystore and key";
        faults.push(FieldError::new("/key_password", "wrong-password", detail));
    }
}

fn judge(request: &UploadCertificate, names: &[String], now: DateTime<Utc>) -> Result<OwnCertificate, Faults> {
    let mut faults = Vec::new();
    let (opened, places) = match request.format {
        CertificateFormat::Pem => (open_pem(request, &mut faults), PEM_PLACES),
        CertificateFormat::Jks | CertificateFormat::Pkcs12 => (open_keystore(request, &mut faults), STORE_PLACES),
    };
    let trust = open_trust(request, &mut faults);
    let Some(opened) = opened else { return Err(faults) };
    match examine(&opened, &trust, names, places, now) {
        Ok(own) if faults.is_empty() => Ok(own),
        Ok(_) => Err(faults),
        Err(more) => {
            faults.extend(more);
            Err(faults)
        }
    }
}

const STORE_PLACES: Places = Places { chain: "/keystore", key: "/keystore", trust: "/truststore" };
const PEM_PLACES: Places = Places { chain: "/certificate_pem", key: "/private_key_pem", trust: "/ca_pem" };

fn open_keystore(request: &UploadCertificate, faults: &mut Faults) -> Option<Opened> {
    let file = decode("/keystore", request.keystore.as_deref()?, faults)?;
    let (password, alias) = (request.keystore_password.as_deref()?, request.alias.as_deref());
    let opened = match request.format {
        CertificateFormat::Jks => keystore::open_jks(&file, password, request.key_password.as_deref(), alias),
        _ => keystore::open_pkcs12(&file, password, alias),
    };
    let key_password = if request.key_password.is_some() { "/key_password" } else { "/keystore_password" };
    opened.map_err(|error| faults.push(fault(&error, "/keystore", "/keystore_password", key_password))).ok()
}

fn open_pem(request: &UploadCertificate, faults: &mut Faults) -> Option<Opened> {
    let text = |pointer, text: Option<&str>, faults: &mut Faults| {
        let text = text?;
        within_limit(pointer, text.len(), faults).then(|| text.to_owned())
    };
    let chain = text("/certificate_pem", request.certificate_pem.as_deref(), faults).and_then(|pem| {
        let read = keystore::pem_certificates(&pem);
        read.map_err(|error| faults.push(fault(&error, "/certificate_pem", "", ""))).ok()
    });
    let key = text("/private_key_pem", request.private_key_pem.as_deref(), faults).and_then(|pem| {
        let read = keystore::pem_key(&pem);
        read.map_err(|error| faults.push(fault(&error, "/private_key_pem", "", ""))).ok()
    });
    Some(Opened { chain: chain?, key: key? })
}

fn open_trust(request: &UploadCertificate, faults: &mut Faults) -> Vec<CertificateDer<'static>> {
    let (place, opened) = match (&request.truststore, &request.truststore_password, &request.ca_pem) {
        (Some(store), Some(password), _) => {
            let Some(file) = decode("/truststore", store, faults) else { return Vec::new() };
            ("/truststore", keystore::trusted(&file, password))
        }
        (_, _, Some(pem)) if within_limit("/ca_pem", pem.len(), faults) => ("/ca_pem", keystore::pem_certificates(pem)),
        _ => return Vec::new(),
    };
    opened.unwrap_or_else(|error| {
        faults.push(fault(&error, place, "/truststore_password", "/truststore_password"));
        Vec::new()
    })
}

/// Lines are allowed, as `base64` writes them.
pub(super) fn decode(pointer: &str, text: &str, faults: &mut Faults) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    if !within_limit(pointer, text.len() / 4 * 3, faults) {
        return None;
    }
    let decoded = STANDARD.decode(text);
    decoded
        .map_err(|_| faults.push(FieldError::new(pointer, "malformed-base64", "the file in base64 is expected")))
        .ok()
}

pub(super) fn within_limit(pointer: &str, bytes: usize, faults: &mut Faults) -> bool {
    if bytes > MAX_FILE_BYTES {
        let detail = format!("it has {bytes} bytes; {MAX_FILE_BYTES} at most are accepted");
        faults.push(FieldError::new(pointer, "file-too-large", detail).with("limit", MAX_FILE_BYTES));
    }
    bytes <= MAX_FILE_BYTES
}

pub(super) fn fault(error: &KeystoreError, file: &str, password: &str, key_password: &str) -> FieldError {
    let (pointer, code) = match error {
        KeystoreError::WrongPassword => (password, "wrong-password"),
        KeystoreError::WrongKeyPassword => (key_password, "wrong-password"),
        KeystoreError::Unreadable(_) => (file, "keystore-unreadable"),
        KeystoreError::NoKey => (file, "no-private-key"),
        KeystoreError::SeveralKeys(_) | KeystoreError::UnknownAlias(_) => ("/alias", "unknown-alias"),
    };
    let fault = FieldError::new(pointer, code, error.to_string());
    match error {
        KeystoreError::SeveralKeys(aliases) | KeystoreError::UnknownAlias(aliases) => {
            fault.with("accepted", aliases.clone())
        }
        _ => fault,
    }
}
