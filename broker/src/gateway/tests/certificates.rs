//! Certificates of clients (mTLS): real handshakes, whom they sign in, and when they stop to.

use super::super::Gateway;
use super::super::certificates::{Presented, Trust};
use super::super::login::LoginError;
use super::bearers::{claims_of, now};
use super::connected::{everybody, until};
use super::logins::authenticate;
use super::service::{Echo, beats, start};
use super::*;
use broker_api::connections::{AskUnkept, Unkept};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{AlertDescription, ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::collections::BTreeMap;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Who signs certificates of an instance's clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a client has.
struct Holder {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A good certificate for `CN=name,OU=web`, but for what `change` does to it.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Holder {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationalUnitName, "web");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Holder { certificate, key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
    }

    fn for_client(&self, name: &str) -> Holder {
        self.issue(name, |_| {})
    }

    /// The list that takes back the certificates of these numbers.
    fn revoking(&self, serials: &[u64]) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            // Long ago: what is on it still counts.
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn trusting(authorities: &[&Authority]) -> ClientCertificates {
    let ca_pem = authorities.iter().map(|authority| authority.pem.as_str()).collect();
    ClientCertificates { ca_pem, crl_pem: String::new(), principal_rules: String::new() }
}

fn numbered(serial: u64) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(serial))
}

/// A connection past its handshake, by a client that trusts the gateway.
async fn shake(
    spec: &NodeSpec,
    version: &'static SupportedProtocolVersion,
    holder: Option<&Holder>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(spec.gateway.server_tls.ca_pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match holder {
        Some(holder) => config.with_client_auth_cert(vec![holder.certificate.clone()], holder.key.clone_key()).unwrap(),
        None => config.with_no_client_auth(),
    };
    let stream = TcpStream::connect((spec.kafka.bind, 9093)).await?;
    within(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HOST).unwrap(), stream)).await
}

/// What ends a client's attempt to ask something.
async fn refused(spec: &NodeSpec, version: &'static SupportedProtocolVersion, holder: &Holder) -> io::Error {
    match shake(spec, version, Some(holder)).await {
        Err(error) => error,
        // In TLS 1.3 a client is through before the server has looked.
        Ok(mut stream) => beats(&mut stream).await.expect_err("a stranger is refused"),
    }
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

async fn is_closed(stream: &mut TlsStream<TcpStream>) -> bool {
    within(stream.read(&mut [0])).await.unwrap_or(0) == 0
}

/// The gateway serves by this from now on.
fn change(gateway: &Gateway, spec: &mut NodeSpec, certificates: Option<ClientCertificates>) {
    spec.gateway.client_certificates = certificates;
    spec.generation += 1;
    gateway.apply(spec).unwrap();
}

#[tokio::test]
async fn a_client_that_shows_a_trusted_certificate_and_asks_for_no_login_is_served() {
    let (kafka, authority) = (Echo::start().await, Authority::new("Acme"));
    let mut spec = kafka.spec();
    spec.gateway.client_certificates = Some(trusting(&[&authority]));
    let (gateway, _) = start(&spec);
    let holder = authority.issue("alice", numbered(0xa1b2));
    for version in VERSIONS {
        let mut client = shake(&spec, version, Some(&holder)).await.unwrap();
        beats(&mut client).await.unwrap();
        // A first request larger than any of a login.
        let large = vec![7; 700_000];
        client.write_all(&opaque_request(12, 0, 9, &large)).await.unwrap();
        let mut answer = vec![0; opaque_response(9, &large).len()];
        within(client.read_exact(&mut answer)).await.unwrap();
        let shown = everybody(&gateway).pop().unwrap();
        assert_eq!((shown.user.as_deref(), shown.mechanism.as_deref()), (Some("CN=alice,OU=web"), Some("MTLS")));
        let certificate = shown.certificate.unwrap();
        assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), ("CN=alice,OU=web", "O=Acme"));
        assert!(certificate.serial.ends_with("a1b2") && certificate.valid_until > now());
        drop(client);
        until("the gateway hears of the end", || everybody(&gateway).is_empty()).await;
    }
    let mut nobody = shake(&spec, &rustls::version::TLS13, None).await.expect("a certificate is no condition");
    beats(&mut nobody).await.expect_err("who shows none logs in");
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_ends_the_handshake_with_its_alert() {
    let (kafka, authority, stranger) = (Echo::start().await, Authority::new("Acme"), Authority::new("Acme"));
    let mut spec = kafka.spec();
    let trusted = trusting(&[&authority]);
    spec.gateway.client_certificates = Some(ClientCertificates { crl_pem: authority.revoking(&[7, 8]), ..trusted });
    let _gateway = start(&spec);
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2026, 1, 1);
    let for_servers = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    for (holder, expected) in [
        (stranger.for_client("alice"), [AlertDescription::UnknownCA, AlertDescription::DecryptError].as_slice()),
        (authority.issue("alice", past), &[AlertDescription::CertificateExpired]),
        (authority.issue("alice", for_servers), &[AlertDescription::UnsupportedCertificate]),
        (authority.issue("alice", numbered(7)), &[AlertDescription::CertificateRevoked]),
    ] {
        for version in VERSIONS {
            let error = refused(&spec, version, &holder).await;
            assert!(alert(&error).is_some_and(|alert| expected.contains(&alert)), "{expected:?}: {error:?}");
        }
    }
    let good = authority.issue("alice", numbered(9));
    beats(&mut shake(&spec, &rustls::version::TLS13, Some(&good)).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn no_certificate_is_asked_for_while_none_is_trusted() {
    let (kafka, authority) = (Echo::start().await, Authority::new("Acme"));
    let spec = kafka.spec();
    let (gateway, _) = start(&spec);
    let mut client = shake(&spec, &rustls::version::TLS13, Some(&authority.for_client("alice"))).await.unwrap();
    assert_eq!(everybody(&gateway).pop().unwrap().certificate, None);
    beats(&mut client).await.expect_err("a login comes first");
}

#[tokio::test]
async fn connections_end_with_the_trust_that_they_came_by_and_others_do_not_notice() {
    let kafka = Echo::start().await;
    let (old, new) = (Authority::new("Acme 1"), Authority::new("Acme 2"));
    let mut spec = kafka.spec();
    let (gateway, _) = start(&spec);
    let mut plain = kafka.client().await;
    change(&gateway, &mut spec, Some(trusting(&[&old])));
    let version = &rustls::version::TLS13;
    let mut first = shake(&spec, version, Some(&old.issue("first", numbered(1)))).await.unwrap();
    beats(&mut first).await.unwrap();

    // Both, while clients get new ones.
    change(&gateway, &mut spec, Some(trusting(&[&old, &new])));
    let mut second = shake(&spec, version, Some(&new.issue("second", numbered(2)))).await.unwrap();
    let mut third = shake(&spec, version, Some(&new.issue("third", numbered(3)))).await.unwrap();
    // It has not said yet that it wants no login.
    let mut quiet = shake(&spec, version, Some(&old.for_client("quiet"))).await.unwrap();
    for client in [&mut first, &mut second, &mut third] {
        beats(client).await.unwrap();
    }
    until("all handshakes are done", || {
        everybody(&gateway).iter().filter(|one| one.certificate.is_some()).count() == 4
    })
    .await;

    let next = trusting(&[&new]);
    let asked = |certificates: Option<&ClientCertificates>| {
        gateway.unkept_connections(&AskUnkept { client_certificates: certificates.cloned() }).unwrap()
    };
    let user = |name: &str| format!("CN={name},OU=web");
    assert_eq!(asked(Some(&next)), Unkept { by_user: BTreeMap::from([(user("first"), 1)]), others: 1 });
    assert_eq!(asked(None).by_user.len(), 3);
    assert_eq!(asked(spec.gateway.client_certificates.as_ref()), Unkept::default());

    change(&gateway, &mut spec, Some(next.clone()));
    assert!(is_closed(&mut first).await && is_closed(&mut quiet).await);
    for client in [&mut second, &mut third] {
        beats(client).await.expect("its authority is trusted still");
    }
    let revoked = ClientCertificates { crl_pem: new.revoking(&[3]), ..next };
    assert_eq!(asked(Some(&revoked)).by_user, BTreeMap::from([(user("third"), 1)]));
    change(&gateway, &mut spec, Some(revoked.clone()));
    assert!(is_closed(&mut third).await);
    beats(&mut second).await.expect("its certificate was not taken back");

    let renamed = ClientCertificates { principal_rules: "RULE:^CN=(.*?),.*$/$1/".into(), ..revoked };
    change(&gateway, &mut spec, Some(renamed));
    assert!(is_closed(&mut second).await, "it means another user now");
    let mut second = shake(&spec, version, Some(&new.issue("second", numbered(2)))).await.unwrap();
    beats(&mut second).await.unwrap();
    until("it is back", || everybody(&gateway).iter().any(|one| one.user.as_deref() == Some("second"))).await;

    change(&gateway, &mut spec, None);
    assert!(is_closed(&mut second).await, "certificates are switched off");
    beats(&mut plain).await.expect("other paths do not notice");
}

/// A gateway with this trust, and what `holder` presents to it.
fn rig(given: ClientCertificates, holder: &Holder) -> (Rig, Arc<Presented>) {
    let trust = Arc::new(Trust::parse(&given).unwrap());
    let mut spec = spec();
    spec.gateway.client_certificates = Some(given);
    let presented = Presented::new(std::slice::from_ref(&holder.certificate), trust).unwrap();
    (Rig::with(spec), Arc::new(presented))
}

/// Kafka: takes the gateway's word; whose it was.
async fn take_word(kafka: &mut Peer) -> String {
    kafka.take_handshake("OAUTHBEARER", 0).await;
    let (message, id) = kafka.take_token().await;
    kafka.give_token(id, 0, b"").await;
    claims_of(&message)["sub"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn kafka_is_told_who_showed_the_certificate_when_it_asks_for_something() {
    let authority = Authority::new("Acme");
    let (mut rig, presented) = rig(trusting(&[&authority]), &authority.for_client("alice"));
    let (mut client, _served) = rig.shook_hands(Some(presented));
    client.send(&opaque_request(12, 0, 9, b"beat")).await;
    let mut kafka = rig.kafka().await;
    assert_eq!(take_word(&mut kafka).await, "CN=alice,OU=web");
    assert_eq!(kafka.frame().await, opaque_request(12, 0, 9, b"beat"));
    kafka.send(&opaque_response(9, b"ok")).await;
    assert_eq!(client.frame().await, opaque_response(9, b"ok"));
    // It can't become somebody else.
    client.choose(1, "PLAIN").await;
    assert_eq!(client.offer(1, b"\0bob\0pencil").await.error_code, 58);
}

#[tokio::test(start_paused = true)]
async fn a_client_with_a_certificate_may_take_its_time_and_leaves_with_it() {
    let authority = Authority::new("Acme");
    let soon = |params: &mut CertificateParams| {
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now().unsigned_abs() + 300);
    };
    let holder = authority.issue("alice", soon);
    let (mut rig, presented) = rig(trusting(&[&authority]), &holder);
    let (_quiet, undecided) = rig.shook_hands(Some(presented.clone()));
    let (mut client, served) = rig.shook_hands(Some(presented));
    let began = Instant::now();
    // As long as nobody else may be without a login.
    tokio::time::advance(Duration::from_secs(60)).await;
    client.send(&opaque_request(12, 0, 9, b"beat")).await;
    let mut kafka = rig.kafka().await;
    take_word(&mut kafka).await;
    kafka.frame().await;
    for ended in [undecided, served] {
        let ended = ended.await.unwrap();
        assert!(matches!(ended, Err(End::LoginExpired)), "{ended:?}");
    }
    let lived = began.elapsed().as_secs();
    assert!((290..=310).contains(&lived), "as long as the certificate: {lived} s");
}

#[tokio::test(start_paused = true)]
async fn a_login_by_certificate_that_kafka_does_not_answer_ends_in_time() {
    let authority = Authority::new("Acme");
    let (mut rig, presented) = rig(trusting(&[&authority]), &authority.for_client("alice"));
    let (mut client, served) = rig.shook_hands(Some(presented));
    client.send(&opaque_request(12, 0, 9, b"beat")).await;
    let began = Instant::now();
    let mut kafka = rig.kafka().await;
    kafka.frame().await;
    assert!(matches!(served.await.unwrap(), Err(End::LoginTimeout)));
    let login_timeout = Duration::from_millis(GatewayLimits::default().login_timeout_ms);
    let took = began.elapsed();
    assert!(took < login_timeout * 2, "after {took:?}");
}

#[tokio::test]
async fn who_logs_in_is_who_logged_in_whatever_certificate_was_shown() {
    let authority = Authority::new("Acme");
    let (mut rig, presented) = rig(trusting(&[&authority]), &authority.for_client("alice"));
    let (mut client, _served) = rig.shook_hands(Some(presented));
    client.choose(1, "SCRAM-SHA-256").await;
    client.send(&authenticate(1, b"n,,n=bob,r=abc")).await;
    let mut kafka = rig.kafka().await;
    kafka.take_handshake("SCRAM-SHA-256", 0).await;
    let (_, id) = kafka.take_token().await;
    kafka.give_token(id, 0, b"v=dg==").await;
    client.frame().await;
    client.beats(&mut kafka).await;
    let list = rig.shared.live.list(&Default::default(), 0, 10);
    let shown = list.connections.last().unwrap();
    assert_eq!((shown.user.as_deref(), shown.mechanism.as_deref()), (Some("bob"), Some("SCRAM-SHA-256")));
    assert_eq!(shown.certificate, None);
    let mut spec = spec();
    spec.generation = 2;
    rig.shared.swap(Snapshot::build(&spec).unwrap());
    client.beats(&mut kafka).await;
}

#[tokio::test]
async fn certificates_that_mean_nobody_a_disabled_user_or_the_platform_sign_nobody_in() {
    let authority = Authority::new("Acme");
    for (rules, name) in [
        ("RULE:^CN=bob,.*$/bob/", "alice"),
        ("RULE:^CN=(.*?),.*$/$1/", "mallory"),
        ("RULE:^CN=(.*?),.*$/$1/L", "SLUICE-NODE"),
        ("RULE:^.*$/sluice-control-plane/", "alice"),
        ("RULE:^CN=(.*?),.*$/ $1/", "sluice-node"),
        ("RULE:^CN=(.*?),.*$/$1/", "ANONYMOUS"),
        ("RULE:^CN=(.*?),.*$/$1/", "*"),
        ("RULE:^.*$//", "alice"),
    ] {
        let given = ClientCertificates { principal_rules: rules.into(), ..trusting(&[&authority]) };
        let (rig, presented) = rig(given, &authority.for_client(name));
        let (mut client, served) = rig.shook_hands(Some(presented));
        client.send(&opaque_request(12, 0, 9, b"beat")).await;
        assert_eq!(client.rest().await, b"", "{rules} {name}: closed, and nothing is said");
        drop(client);
        let ended = served.await.unwrap();
        assert!(matches!(ended, Err(End::Login(LoginError::Refused { .. }))), "{rules} {name}: {ended:?}");
    }
}

#[test]
fn trust_without_an_authority_or_with_rules_that_are_none_is_no_spec() {
    let good = trusting(&[&Authority::new("Acme")]);
    for (bad, field) in [
        (ClientCertificates { ca_pem: String::new(), ..good.clone() }, "ca_pem"),
        (ClientCertificates { crl_pem: good.ca_pem.replace("CERTIFICATE", "X509 CRL"), ..good.clone() }, "ca_pem"),
        (ClientCertificates { principal_rules: "RULE:(".into(), ..good.clone() }, "principal_rules"),
    ] {
        let error = Trust::parse(&bad).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}
