//! The node client against a server that speaks the node's control API.

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use broker_api::{
    paths,
    refusal::{Refusal, RefusalCode},
    status::{BrokerState, BrokerStatus, GatewayStatus, NodeState, NodeStatus, ProcessIdentity},
};
use control_plane::{
    clock::Clock,
    nodes::{HttpsNodes, NodeAddress, NodeControl, NodeError},
    pki::{AuthorityKind, CertificateAuthority, Purpose},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn authority() -> CertificateAuthority {
    CertificateAuthority::create(AuthorityKind::Internal, "Sluice internal CA", Clock::system().now()).unwrap()
}

fn identity_of_control_plane(ca: &CertificateAuthority) -> Arc<broker_api::spec::TlsIdentity> {
    Arc::new(ca.issue(Purpose::ControlPlane, &[], Clock::system().now()).unwrap())
}

/// Serves `router` as a node with certificates of `ca` for the address `name`.
async fn serve(ca: &CertificateAuthority, name: &str, router: Router) -> SocketAddr {
    let leaf = ca.issue(Purpose::ControlApi, &[name.to_owned()], Clock::system().now()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(leaf.ca_pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(leaf.key_pem.expose().as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = TowerToHyperService::new(router);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn status() -> NodeStatus {
    NodeStatus {
        instance: "ins_x".to_owned(),
        node_id: 1,
        generation: 7,
        state: NodeState::Ready,
        reason: String::new(),
        broker: BrokerStatus {
            state: BrokerState::Running,
            pid: Some(10),
            restarts: 0,
            failures: 0,
            last_exit: String::new(),
            kafka_version: "4.3.1".to_owned(),
            identity: ProcessIdentity {
                instance: "ins_x".to_owned(),
                node_id: 1,
                nonce: "n".to_owned(),
                pid: 9,
                boot_id: "b".to_owned(),
                start_ticks: 1,
                gateway_pid: None,
                build: String::new(),
            },
        },
        gateway: GatewayStatus::default(),
        supervisor_away: false,
        version: "0.1.0".to_owned(),
        capacity: None,
    }
}

fn client() -> HttpsNodes {
    HttpsNodes::new(Duration::from_secs(2))
}

#[tokio::test]
async fn a_node_of_the_instance_is_asked_over_mutual_tls() {
    let ca = authority();
    let control = serve(&ca, "127.0.0.1", Router::new().route(paths::STATUS, get(async || Json(status())))).await;
    let node = NodeAddress { control, identity: identity_of_control_plane(&ca) };
    assert_eq!(client().status(&node).await.unwrap(), status());
}

#[tokio::test]
async fn metrics_are_text() {
    let ca = authority();
    let text = "# TYPE sluice_node_ready gauge\nsluice_node_ready 1\n# EOF\n";
    let cases = [(text.as_bytes(), Ok(text)), (b"\xff".as_slice(), Err("the answer is not understood"))];
    for (said, expected) in cases {
        let control = serve(&ca, "127.0.0.1", Router::new().route(paths::METRICS, get(async move || said))).await;
        let told = client().metrics(&NodeAddress { control, identity: identity_of_control_plane(&ca) }).await;
        match expected {
            Ok(text) => assert_eq!(told.unwrap(), text),
            Err(reason) => assert!(told.unwrap_err().to_string().contains(reason)),
        }
    }
}

#[tokio::test]
async fn a_node_with_a_certificate_of_another_instance_or_address_is_not_trusted() {
    let (ours, other) = (authority(), authority());
    let router = Router::new().route(paths::STATUS, get(async || Json(status())));
    let identity = identity_of_control_plane(&ours);
    for control in [serve(&other, "127.0.0.1", router.clone()).await, serve(&ours, "127.0.0.2", router).await] {
        let error = client().status(&NodeAddress { control, identity: identity.clone() }).await.unwrap_err();
        assert!(matches!(&error, NodeError::Unreachable { reason, .. } if reason.contains("certificate")), "{error}");
    }
}

#[tokio::test]
async fn refusals_of_a_node_keep_their_meaning() {
    let ca = authority();
    let refuse = |status: StatusCode, code: RefusalCode, generation: Option<u64>| {
        let refusal = Refusal { code, detail: "because".to_owned(), generation };
        get(async move || (status, Json(refusal)).into_response())
    };
    let cases = [
        (refuse(StatusCode::CONFLICT, RefusalCode::StaleGeneration, Some(9)), "is at generation 9"),
        (refuse(StatusCode::UNPROCESSABLE_ENTITY, RefusalCode::Unservable, None), "refused: because"),
        (refuse(StatusCode::SERVICE_UNAVAILABLE, RefusalCode::Unavailable, None), "does not answer: because"),
        (get(async || (StatusCode::BAD_GATEWAY, "<html>")), "does not answer: it answered 502 Bad Gateway"),
        (get(async || (StatusCode::OK, "{}")), "the answer is not understood"),
    ];
    for (route, expected) in cases {
        let control = serve(&ca, "127.0.0.1", Router::new().route(paths::STATUS, route)).await;
        let node = NodeAddress { control, identity: identity_of_control_plane(&ca) };
        let error = client().status(&node).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_or_never_answers_is_given_up_in_time() {
    let ca = authority();
    let identity = identity_of_control_plane(&ca);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = NodeAddress { control: silent.local_addr().unwrap(), identity };
    let quick = HttpsNodes::new(Duration::from_millis(50));
    let error = quick.status(&node).await.unwrap_err().to_string();
    assert!(error.contains("no answer within 50 ms"), "{error}");
    drop(silent);
    let error = client().status(&node).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let ca = authority();
    let endless = get(async || "x".repeat(3 << 20));
    let control = serve(&ca, "127.0.0.1", Router::new().route(paths::STATUS, endless)).await;
    let error = client().status(&NodeAddress { control, identity: identity_of_control_plane(&ca) }).await.unwrap_err();
    assert!(error.to_string().contains("length limit exceeded"), "{error}");
}
