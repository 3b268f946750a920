//! What `cert upload` sends: files, and passwords that no command line shows.

use crate::{
    error::{Error, Result},
    prompt,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use control_plane_api::certificate::{CertificateFormat, UploadCertificate};
use std::{env, fs, path::Path, path::PathBuf};

#[derive(Debug, Args)]
pub struct Upload {
    /// Name or id of the instance
    pub instance: String,
    /// Keystore with the key and its chain: JKS or PKCS#12
    #[arg(long, value_name = "FILE", required_unless_present = "certificate", conflicts_with = "certificate")]
    keystore: Option<PathBuf>,
    /// File whose first line is the keystore's password; - is standard input. Else SLUICE_KEYSTORE_PASSWORD, else asked for
    #[arg(long, value_name = "FILE", requires = "keystore")]
    keystore_password_file: Option<PathBuf>,
    /// File with the key's password, if it is another one (JKS). Else SLUICE_KEY_PASSWORD
    #[arg(long, value_name = "FILE", requires = "keystore")]
    key_password_file: Option<PathBuf>,
    /// Which key, when the keystore holds several
    #[arg(long, requires = "keystore")]
    alias: Option<String>,
    /// Truststore with the root that clients trust, if the keystore does not hold it: JKS or PKCS#12
    #[arg(long, value_name = "FILE", requires = "keystore")]
    truststore: Option<PathBuf>,
    /// File with the truststore's password. Else SLUICE_TRUSTSTORE_PASSWORD, else asked for
    #[arg(long, value_name = "FILE", requires = "truststore")]
    truststore_password_file: Option<PathBuf>,
    /// PEM file with the certificate, then its chain
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// PEM file with the key, not encrypted
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// PEM file with the root that clients trust, if the chain does not hold it
    #[arg(long, value_name = "FILE", requires = "certificate")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    pub change: super::Change,
}

impl Upload {
    pub fn body(&self) -> Result<UploadCertificate> {
        let mut body = UploadCertificate {
            format: CertificateFormat::Pem,
            keystore: None,
            keystore_password: None,
            key_password: None,
            alias: self.alias.clone(),
            truststore: None,
            truststore_password: None,
            certificate_pem: self.certificate.as_deref().map(text).transpose()?,
            private_key_pem: self.key.as_deref().map(text).transpose()?,
            ca_pem: self.ca.as_deref().map(text).transpose()?,
            overlap_hours: self.change.overlap_hours,
        };
        if let Some(file) = &self.keystore {
            let store = bytes(file)?;
            body.format = if is_jks(&store) { CertificateFormat::Jks } else { CertificateFormat::Pkcs12 };
            body.keystore = Some(STANDARD.encode(store));
            let label = "keystore's password";
            let given = password(self.keystore_password_file.as_deref(), "SLUICE_KEYSTORE_PASSWORD")?;
            body.keystore_password = Some(asked(given, label, "--keystore-password-file -")?);
            body.key_password = password(self.key_password_file.as_deref(), "SLUICE_KEY_PASSWORD")?;
        }
        if let Some(file) = &self.truststore {
            body.truststore = Some(STANDARD.encode(bytes(file)?));
            let label = "truststore's password";
            let given = password(self.truststore_password_file.as_deref(), "SLUICE_TRUSTSTORE_PASSWORD")?;
            body.truststore_password = Some(asked(given, label, "--truststore-password-file FILE")?);
        }
        Ok(body)
    }
}

/// What a Java keystore begins with; anything else is for the service to judge.
fn is_jks(store: &[u8]) -> bool {
    store.starts_with(&[0xfe, 0xed, 0xfe, 0xed])
}

pub fn bytes(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(Error::file(file, "cannot be read"))
}

pub fn text(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(Error::file(file, "cannot be read"))
}

/// Of the file, else of the environment.
pub fn password(file: Option<&Path>, variable: &str) -> Result<Option<String>> {
    match file {
        Some(file) if file.as_os_str() == "-" => prompt::secret("password", true, "-").map(Some),
        Some(file) => Ok(Some(text(file)?.lines().next().unwrap_or_default().to_owned())),
        None => Ok(env::var(variable).ok().filter(|password| !password.is_empty())),
    }
}

pub fn asked(given: Option<String>, label: &str, flag: &str) -> Result<String> {
    given.map_or_else(|| prompt::secret(label, false, flag), Ok)
}
