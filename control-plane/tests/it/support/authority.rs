//! A tenant's own authority, and key stores as the JDK's keytool makes them.

use chrono::{DateTime, Duration, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, RevokedCertParams, SerialNumber,
};
use std::{fs, path::PathBuf, process::Command};
use tempfile::TempDir;

/// rcgen's type of a time, which need not be named.
macro_rules! since_epoch {
    ($at:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs($at.timestamp().unsigned_abs())
    };
}

/// A certificate that signs others.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A leaf to be.
#[derive(Clone)]
pub struct Leaf {
    pub names: Vec<String>,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub for_servers: bool,
}

impl Leaf {
    pub fn of(names: &[String]) -> Self {
        let now = Utc::now();
        let (from, until) = (now - Duration::hours(1), now + Duration::days(400));
        Self { names: names.to_vec(), from, until, for_servers: true }
    }
}

/// A certificate and its key.
pub struct Pair {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Authority {
    pub fn root(name: &str) -> Self {
        let (params, key) = authority(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem }
    }

    /// One that this one vouches for.
    pub fn intermediate(&self, name: &str) -> Self {
        let (mut params, key) = authority(name);
        params.use_authority_key_identifier_extension = true;
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem }
    }

    pub fn issue(&self, leaf: &Leaf) -> Pair {
        let mut params = CertificateParams::new(leaf.names.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "kafka.acme.example");
        params.not_before = since_epoch!(leaf.from);
        params.not_after = since_epoch!(leaf.until);
        params.use_authority_key_identifier_extension = true;
        let purpose =
            if leaf.for_servers { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth };
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate_pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate_pem, key_pem: key.serialize_pem() }
    }
}

impl Authority {
    /// The list that takes back the certificates of these numbers. PEM.
    pub fn revoking(&self, serials: &[u64]) -> String {
        self.list(serials, None)
    }

    /// The same, of the certificates alone that name this place for their list.
    pub fn revoking_part(&self, serials: &[u64], place: &str) -> String {
        let distribution_point = CrlDistributionPoint { uris: vec![place.to_owned()] };
        self.list(serials, Some(CrlIssuingDistributionPoint { distribution_point, scope: None }))
    }

    fn list(&self, serials: &[u64], of: Option<CrlIssuingDistributionPoint>) -> String {
        let now = Utc::now();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: since_epoch!(now),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: since_epoch!(now),
            next_update: since_epoch!(now + Duration::days(7)),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: of,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// One whose certificate ended a day ago.
    pub fn expired(name: &str) -> Self {
        let (mut params, key) = authority(name);
        params.not_after = since_epoch!(Utc::now() - Duration::days(1));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::from_ca_cert_pem(&pem, key).unwrap(), pem }
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = since_epoch!(Utc::now() - Duration::days(30));
    params.not_after = since_epoch!(Utc::now() + Duration::days(3650));
    (params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
}

pub const STORE_PASSWORD: &str = "Heron-lake-17";
pub const KEY_PASSWORD: &str = "Egret-pond-23";
pub const TRUST_PASSWORD: &str = "Stork-reed-31";

/// Files as a Java administrator makes them.
pub struct Keytool {
    directory: TempDir,
}

impl Keytool {
    /// A root, and a server key (`RSA` or `EC`) that it signed for these names: `server.jks` with a password of its own for the key,
    /// `server.p12`, `trust.p12`, `trust.jks`, `root.pem`.
    pub fn make(names: &[String], algorithm: &str) -> Self {
        let made = Self { directory: tempfile::tempdir().unwrap() };
        let name = |name: &String| match name.parse::<std::net::IpAddr>() {
            Ok(address) => format!("ip:{address}"),
            Err(_) => format!("dns:{name}"),
        };
        let san = format!("san={}", names.iter().map(name).collect::<Vec<_>>().join(","));
        let ca = ["-keystore", "ca.jks", "-storetype", "JKS", "-storepass", STORE_PASSWORD, "-alias", "root"];
        let server = ["-keystore", "server.jks", "-storetype", "JKS", "-storepass", STORE_PASSWORD];
        made.keytool(&[
            &["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=Acme Root", "-validity", "3650"],
            &["-ext", "bc:c", "-ext", "ku:c=keyCertSign,cRLSign", "-keypass", STORE_PASSWORD],
            &ca,
        ]);
        let key = ["-alias", "kafka", "-keypass", KEY_PASSWORD];
        let size = if algorithm == "RSA" { "2048" } else { "384" };
        let subject = ["-keyalg", algorithm, "-keysize", size, "-dname", "CN=kafka.acme.example"];
        made.keytool(&[&["-genkeypair"], &subject, &key, &server]);
        made.keytool(&[&["-certreq", "-file", "kafka.csr"], &key, &server]);
        let signed = ["-gencert", "-infile", "kafka.csr", "-outfile", "kafka.pem", "-rfc", "-validity", "400"];
        made.keytool(&[&signed, &["-ext", &san, "-ext", "eku=serverAuth"], &ca]);
        made.keytool(&[&["-exportcert", "-rfc", "-file", "root.pem"], &ca]);
        let import = ["-importcert", "-noprompt", "-file"];
        made.keytool(&[&import, &["root.pem", "-alias", "root"], &server]);
        made.keytool(&[&import, &["kafka.pem"], &key, &server]);
        made.keytool(&[
            &["-importkeystore", "-srckeystore", "server.jks", "-srcstorepass", STORE_PASSWORD, "-srcalias", "kafka"],
            &["-srckeypass", KEY_PASSWORD, "-destkeystore", "server.p12", "-deststoretype", "PKCS12"],
            &["-deststorepass", STORE_PASSWORD, "-destkeypass", STORE_PASSWORD],
        ]);
        for kind in ["JKS", "PKCS12"] {
            let file = if kind == "JKS" { "trust.jks" } else { "trust.p12" };
            let store = ["-keystore", file, "-storetype", kind, "-storepass", TRUST_PASSWORD];
            made.keytool(&[&import, &["root.pem", "-alias", "acme-root"], &store]);
        }
        made
    }

    fn keytool(&self, arguments: &[&[&str]]) {
        let mut command = Command::new("keytool");
        // No time for compilers: it lives for half a second.
        command.args(["-J-XX:TieredStopAtLevel=1", "-J-Xshare:auto"]).args(arguments.concat());
        let output = command.current_dir(&self.directory).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "keytool {arguments:?}: {}", String::from_utf8_lossy(&text));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}
