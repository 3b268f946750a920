//! PEM text of what came in another form (RFC 7468).

use base64::{Engine, engine::general_purpose::STANDARD};
use broker_api::secret::Secret;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Characters of base64 in a line (RFC 7468 §2).
const LINE: usize = 64;

/// The certificates one after the other.
pub(super) fn certificates<'a>(chain: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> String {
    chain.into_iter().map(|der| block("CERTIFICATE", der)).collect()
}

pub(super) fn revocation_list(der: &CertificateRevocationListDer<'_>) -> String {
    block("X509 CRL", der)
}

/// The key under the label of its form: rustls reads all three.
pub(super) fn private_key(key: &PrivateKeyDer<'_>) -> Secret {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    Secret::new(block(label, key.secret_der()))
}

fn block(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every place is a boundary.
        let (line, more) = rest.split_at(rest.len().min(LINE));
        block.push_str(line);
        block.push('\n');
        rest = more;
    }
    block.push_str(&format!("-----END {label}-----\n"));
    block
}
