use super::cloud::{Cloud, INSTANCES, order_with};
use crate::support::Answer;
use axum::http::Method;
use broker_api::spec::SaslMechanism;
use chrono::Duration;
use control_plane::drivers::{
    NodeRef,
    simulation::{Fault, Operation, Severity, When},
};
use control_plane_api::{
    access::Access,
    certificate::{Certificate, CertificateReason},
    connection::Connection,
    instance::{Instance, Plan},
    job::{Job, JobState},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

async fn patch(cloud: &Cloud, query: &str, body: Value) -> Answer {
    let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders/access{query}"));
    call.json(body).by(cloud.owner()).header("prefer", "wait=30").send().await
}

#[tokio::test]
async fn a_way_in_that_is_switched_off_is_closed_on_every_broker_and_no_broker_restarts() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let before = cloud.world.ledger();
    let change = json!({ "private_plaintext": false, "deny_ips": ["10.9.8.7"], "auto_create_topics": true });
    let job: Job = patch(&cloud, "", change).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
    for broker in &instance.brokers {
        let spec = cloud.world.spec(NodeRef { instance: instance.id, node_id: broker.id }).unwrap();
        let ports: Vec<u16> = spec.gateway.listeners.iter().map(|listener| listener.bind.port()).collect();
        assert!(spec.gateway.auto_create_topics);
        assert_eq!(
            (ports.as_slice(), spec.gateway.ip_rules.deny.as_slice()),
            (&[9093][..], &["10.9.8.7/32".to_owned()][..])
        );
    }
    assert_eq!(cloud.world.ledger(), before, "no broker was made or restarted");

    let shown: Access = cloud.app.get(format!("{INSTANCES}/orders/access")).by(cloud.owner()).send().await.expect(200);
    assert!(!shown.private_plaintext && shown.private_sasl_ssl);
    let bootstrap = cloud.instance("orders").await.bootstrap;
    assert_eq!(bootstrap.private_plaintext, "", "nobody is sent to a closed port");
    assert!(bootstrap.private_sasl_ssl.contains(":9093"));

    patch(&cloud, "", json!({ "private_plaintext": null, "deny_ips": null })).await.expect::<Job>(202);
    assert!(cloud.instance("orders").await.bootstrap.private_plaintext.contains(":9092"));
    cloud.stop().await;
}

#[tokio::test]
async fn a_planned_change_of_access_says_whose_connections_end_and_changes_nothing() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let plan: Plan = patch(&cloud, "?dry_run=true", json!({ "private_plaintext": false })).await.expect(200);
    assert!(plan.checks.iter().any(|check| check.code == "connections-end" && check.detail.contains("9092")));
    assert_eq!(plan.changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["/private_plaintext"]);
    assert!(cloud.instance("orders").await.bootstrap.private_plaintext.contains(":9092"));
    cloud.stop().await;
}

#[tokio::test]
async fn access_that_lets_nobody_in_or_makes_no_sense_is_refused_with_all_its_faults() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let nobody = json!({ "private_plaintext": false, "private_sasl_ssl": false, "allow_ips": ["orders"] });
    let problem = patch(&cloud, "", nobody).await.problem("validation-failed");
    let faults: Vec<_> = problem.errors.iter().map(|fault| (fault.pointer.as_str(), fault.code.as_str())).collect();
    assert_eq!(faults, [("/allow_ips/0", "network-shape"), ("/private_sasl_ssl", "last-way-in")]);
    cloud.stop().await;
}

fn disabled_mechanisms(cloud: &Cloud, instance: &Instance) -> [Vec<SaslMechanism>; 3] {
    let told = |node_id| cloud.world.spec(NodeRef { instance: instance.id, node_id }).unwrap();
    [0, 1, 2].map(|node| told(node).gateway.disabled_mechanisms)
}

#[tokio::test]
async fn a_mechanism_that_is_switched_off_is_told_to_every_broker_and_shown_to_nobody_who_connects() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let ledger = cloud.world.ledger();
    assert_eq!(disabled_mechanisms(&cloud, &instance), [const { vec![] }; 3], "all are on at first");
    let only = json!({ "mechanisms": ["SCRAM-SHA-256"] });
    let plan: Plan = patch(&cloud, "?dry_run=true", only.clone()).await.expect(200);
    assert_eq!(plan.checks.iter().map(|check| check.code.as_str()).collect::<Vec<_>>(), ["live", "mechanisms-keep"]);
    assert_eq!(plan.changes[0].path, "/mechanisms");

    let job: Job = patch(&cloud, "", only).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
    let off = vec![SaslMechanism::ScramSha512, SaslMechanism::Plain];
    assert_eq!(disabled_mechanisms(&cloud, &instance), [off.clone(), off.clone(), off]);
    let guide = async |client: &str| {
        let call = cloud.app.get(format!("{INSTANCES}/orders/connection?client={client}"));
        call.by(cloud.owner()).send().await
    };
    for client in ["properties", "kcat"] {
        let shown: Connection = guide(client).await.expect(200);
        assert_eq!(shown.sasl_mechanisms, ["SCRAM-SHA-256"]);
        let code = &shown.snippet.unwrap().files[0].content;
        assert!(code.contains("=SCRAM-SHA-256") && !code.contains("=PLAIN"), "{code}");
    }

    // Tokens alone will do; then there is no code with a password.
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let trust = json!({ "issuer": "https://login.acme.example", "audience": "kafka", "keys": { "keys": [key] } });
    patch(&cloud, "", json!({ "mechanisms": [], "oauthbearer": trust })).await.expect::<Job>(202);
    assert_eq!(disabled_mechanisms(&cloud, &instance)[2].len(), 3);
    assert_eq!(guide("java").await.problem("validation-failed").errors[0].code, "no-mechanism");
    let faults = patch(&cloud, "", json!({ "oauthbearer": null })).await.problem("validation-failed").errors;
    assert_eq!((faults[0].pointer.as_str(), faults[0].code.as_str()), ("/mechanisms", "last-login"));

    patch(&cloud, "", json!({ "mechanisms": null, "oauthbearer": null })).await.expect::<Job>(202);
    assert_eq!(disabled_mechanisms(&cloud, &instance), [const { vec![] }; 3]);
    assert_eq!(cloud.world.ledger(), ledger, "no broker was made or restarted");
    cloud.stop().await;
}

#[tokio::test]
async fn a_plan_says_of_brokers_that_are_silent_that_their_clients_are_not_counted() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    cloud.world.kill_node(NodeRef { instance: instance.id, node_id: 1 });
    let change = json!({ "mechanisms": ["SCRAM-SHA-512"], "authorization": "acl" });
    let plan: Plan = patch(&cloud, "?dry_run=true", change).await.expect(200);
    let silent: Vec<_> = plan.checks.iter().filter(|check| check.code == "broker-silent").collect();
    assert!(silent.len() == 1 && silent[0].detail.contains("broker 1"), "{:?}", plan.checks);
    cloud.stop().await;
}

#[tokio::test]
async fn no_mechanism_at_all_unknown_ones_and_repeated_ones_are_refused_in_both_languages() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    let known = "SCRAM-SHA-512、SCRAM-SHA-256、PLAIN";
    for (mechanisms, language, problem, pointer, code, said) in [
        (json!([]), "en", "validation-failed", "/mechanisms", "last-login", "one way to log in must stay on"),
        (json!([]), "zh-CN", "validation-failed", "/mechanisms", "last-login", "至少保留一种登录方式"),
        (json!(["GSSAPI"]), "en", "malformed-request", "/mechanisms/0", "unknown-value", "one of `SCRAM-SHA-512`"),
        (json!(["GSSAPI"]), "zh-CN", "malformed-request", "/mechanisms/0", "unknown-value", known),
        (json!(["PLAIN", "PLAIN"]), "en", "validation-failed", "/mechanisms/1", "mechanism-twice", "named before"),
        (json!(["PLAIN", "PLAIN"]), "zh-CN", "validation-failed", "/mechanisms/1", "mechanism-twice", known),
        (json!(vec!["PLAIN"; 900]), "en", "validation-failed", "/mechanisms", "too-many-mechanisms", "900 mechanisms"),
    ] {
        let call = cloud.app.call(Method::PATCH, format!("{INSTANCES}/orders/access")).by(cloud.owner());
        let call = call.json(json!({ "mechanisms": mechanisms })).header("accept-language", language);
        let fault = &call.send().await.problem(problem).errors[0];
        assert_eq!((fault.pointer.as_str(), fault.code.as_str()), (pointer, code));
        assert!(fault.detail.contains(said), "{}", fault.detail);
    }
    cloud.stop().await;
}

fn ports(cloud: &Cloud, instance: &Instance, broker: i32) -> Vec<u16> {
    let spec = cloud.world.spec(NodeRef { instance: instance.id, node_id: broker }).unwrap();
    spec.gateway.listeners.iter().map(|listener| listener.bind.port()).collect()
}

async fn certificate(cloud: &Cloud) -> Certificate {
    cloud.app.get(format!("{INSTANCES}/orders/certificate")).by(cloud.owner()).send().await.expect(200)
}

#[tokio::test]
async fn public_access_gives_each_broker_an_address_that_the_certificate_covers_and_takes_it_back() {
    let cloud = Cloud::start().await;
    let private = cloud.bought("orders").await;
    let ledger = cloud.world.ledger();
    let change = json!({ "public_plaintext": true, "public_sasl_ssl": true });
    let plan: Plan = patch(&cloud, "?dry_run=true", change.clone()).await.expect(200);
    let codes: Vec<_> = plan.checks.iter().map(|check| check.code.as_str()).collect();
    assert_eq!(codes, ["live", "public-addresses", "public-plaintext"]);
    assert!(plan.steps.iter().any(|step| step.name == "reserve-addresses"));
    assert!(cloud.world.public_addresses(private.id).is_empty(), "a plan reserves nothing");

    let job: Job = patch(&cloud, "", change).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("access-open", JobState::Succeeded));
    let instance = cloud.instance("orders").await;
    let held = cloud.world.public_addresses(instance.id);
    let shown: BTreeMap<_, _> =
        instance.brokers.iter().map(|broker| (broker.id, broker.public_host.clone().unwrap())).collect();
    assert_eq!(shown, held.iter().map(|(node, address)| (*node, address.to_string())).collect());
    let servers = |port: u16| shown.values().map(|host| format!("{host}:{port}")).collect::<Vec<_>>().join(",");
    assert_eq!(instance.bootstrap.public_plaintext, servers(9094));
    assert_eq!(instance.bootstrap.public_sasl_ssl, servers(9095));
    assert_eq!(instance.bootstrap.private_sasl_ssl, private.bootstrap.private_sasl_ssl, "the others stay");
    for broker in 0..3 {
        assert_eq!(ports(&cloud, &instance, broker), [9092, 9093, 9094, 9095]);
    }
    let served = certificate(&cloud).await;
    assert_eq!((served.reason, served.uncovered), (CertificateReason::Addresses, vec![]));
    assert!(shown.values().all(|host| served.names.contains(host)));
    assert_eq!(cloud.names(&format!("address={}:9095", shown[&1])).await, ["orders"]);
    let guide = format!("{INSTANCES}/orders/connection?client=properties");
    let connection: Connection =
        cloud.app.get(format!("{guide}&path=public")).by(cloud.owner()).send().await.expect(200);
    assert!(connection.snippet.unwrap().run[0].contains(&servers(9095)));
    let closed = cloud.app.get(format!("{guide}&path=cross-network")).by(cloud.owner()).send().await;
    assert_eq!(closed.problem("validation-failed").errors[0].code, "way-closed");

    // One of the two stays: so do the addresses.
    let job: Job = patch(&cloud, "", json!({ "public_plaintext": false })).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("instance-configure", JobState::Succeeded));
    assert_eq!(cloud.world.public_addresses(instance.id), held);
    let plan: Plan = patch(&cloud, "?dry_run=true", json!({ "public_sasl_ssl": null })).await.expect(200);
    assert!(plan.checks.iter().any(|check| check.code == "connections-end" && check.detail.contains("9095")));
    patch(&cloud, "", json!({ "public_sasl_ssl": null })).await.expect::<Job>(202);
    let instance = cloud.instance("orders").await;
    assert!(cloud.world.public_addresses(instance.id).is_empty());
    assert!(instance.brokers.iter().all(|broker| broker.public_host.is_none()));
    let narrowed = certificate(&cloud).await.renews_at.unwrap();
    assert!(
        narrowed <= instance.updated_at + Duration::days(1),
        "a certificate names addresses of nobody until {narrowed}"
    );
    assert_eq!((instance.bootstrap.public_sasl_ssl.as_str(), ports(&cloud, &instance, 0)), ("", vec![9092, 9093]));
    assert_eq!(cloud.world.ledger(), ledger, "no broker was made or restarted");
    cloud.stop().await;
}

#[tokio::test]
async fn public_access_that_cannot_be_had_leaves_everything_as_it_was() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let (operation, call) = (Operation::ChooseAddresses, 1);
    cloud.world.fail(Fault { operation, call, when: When::AfterEffect, severity: Severity::Permanent });
    let job: Job = patch(&cloud, "", json!({ "public_sasl_ssl": true, "deny_ips": ["10.9.8.7"] })).await.expect(202);
    assert_eq!(job.state, JobState::Failed);
    let shown: Access = cloud.app.get(format!("{INSTANCES}/orders/access")).by(cloud.owner()).send().await.expect(200);
    assert_eq!(shown, Access::default());
    assert!(cloud.world.public_addresses(instance.id).is_empty());
    assert_eq!(cloud.count("select count(*) from broker_addresses where network = 'public'").await, 0);
    assert_eq!(ports(&cloud, &instance, 2), [9092, 9093]);
    patch(&cloud, "", json!({ "public_sasl_ssl": true })).await.expect::<Job>(202);
    assert!(cloud.instance("orders").await.bootstrap.public_sasl_ssl.contains(":9095"));
    cloud.stop().await;
}

/// Two versions of the control plane run side by side while it is upgraded.
#[tokio::test]
async fn what_a_newer_version_has_written_of_the_access_outlives_changes_of_this_one() {
    let cloud = Cloud::start().await;
    cloud.bought("orders").await;
    cloud.execute("update instances set access = access || '{\"of_tomorrow\": [\"kept\"]}'").await;
    let kept = "select count(*) from instances where access -> 'of_tomorrow' = '[\"kept\"]'
                and access -> 'deny_ips' = '[\"10.9.8.7/32\"]' and access -> 'public_sasl_ssl' = 'false'";
    patch(&cloud, "", json!({ "deny_ips": ["10.9.8.7"] })).await.expect::<Job>(202);
    assert_eq!(cloud.count(kept).await, 1);

    let (operation, call) = (Operation::ChooseAddresses, 1);
    cloud.world.fail(Fault { operation, call, when: When::AfterEffect, severity: Severity::Permanent });
    let job: Job = patch(&cloud, "", json!({ "public_sasl_ssl": true, "deny_ips": null })).await.expect(202);
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(cloud.count(kept).await, 1, "nor is it lost when a change is taken back");
    cloud.stop().await;
}

#[tokio::test]
async fn an_instance_bought_with_public_access_has_it_from_the_start_and_gives_it_back_in_the_end() {
    let cloud = Cloud::start().await;
    let order = order_with("orders", json!({ "access": { "public_sasl_ssl": true } }));
    let job = cloud.buy(order).await;
    assert_eq!(job.state, JobState::Succeeded, "{job:?}");
    let instance = cloud.instance("orders").await;
    assert_eq!(job.result.unwrap()["bootstrap"]["public_sasl_ssl"], instance.bootstrap.public_sasl_ssl);
    assert_eq!(instance.bootstrap.public_sasl_ssl.matches(":9095").count(), 3);
    assert_eq!(instance.bootstrap.public_plaintext, "");
    let served = certificate(&cloud).await;
    assert_eq!((served.reason, served.names.len(), served.uncovered.len()), (CertificateReason::Created, 6, 0));
    let call = cloud.app.call(Method::DELETE, format!("{INSTANCES}/orders"));
    let gone: Job = call.by(cloud.owner()).header("prefer", "wait=30").send().await.expect(202);
    assert_eq!(gone.state, JobState::Succeeded);
    assert!(cloud.world.public_addresses(instance.id).is_empty());
    assert_eq!(cloud.count("select count(*) from broker_addresses").await, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn endpoints_of_other_networks_are_told_to_clients_and_only_accounts_on_the_list_come_in() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let account = instance.project_id.to_string();
    let addresses: Vec<Value> = (0..3)
        .map(|broker| json!({ "broker_id": broker, "host": "kafka.acme.example", "port": 9100 + broker }))
        .collect();
    let missing = patch(&cloud, "", json!({ "cross_network_addresses": addresses[..2] })).await;
    assert_eq!(missing.problem("validation-failed").errors[0].code, "every-broker");
    let plan: Plan = patch(&cloud, "?dry_run=true", json!({ "cross_network": true })).await.expect(200);
    assert!(plan.checks.iter().any(|check| check.code == "no-endpoint-accounts"));

    let accounts = json!([{ "account": account, "ips": ["10.7.0.9/16"] }]);
    let change = json!({ "cross_network": true, "cross_network_addresses": addresses, "endpoint_accounts": accounts });
    let job: Job = patch(&cloud, "", change).await.expect(202);
    assert_eq!((job.kind.as_str(), job.state), ("access-open", JobState::Succeeded), "{job:?}");
    let shown = cloud.instance("orders").await.bootstrap.cross_network;
    assert_eq!(shown, "kafka.acme.example:9100,kafka.acme.example:9101,kafka.acme.example:9102");
    let listener = || {
        let spec = cloud.world.spec(NodeRef { instance: instance.id, node_id: 1 }).unwrap();
        spec.gateway.listeners.into_iter().find(|listener| listener.bind.port() == 9011)
    };
    let open = listener().unwrap();
    assert_eq!(open.advertised.iter().map(|told| told.port).collect::<Vec<_>>(), [9100, 9101, 9102]);
    assert_eq!(open.sources.as_deref(), Some(&["10.7.0.0/16".to_owned()][..]));
    let served = certificate(&cloud).await;
    assert!(served.names.contains(&"kafka.acme.example".to_owned()) && served.uncovered.is_empty());

    patch(&cloud, "", json!({ "endpoint_accounts": null })).await.expect::<Job>(202);
    assert_eq!(listener().unwrap().sources, Some(vec![]), "nobody is on the list");
    patch(&cloud, "", json!({ "cross_network": null })).await.expect::<Job>(202);
    assert_eq!(listener(), None);
    cloud.stop().await;
}
