//! Every call that the program makes is an operation of the committed API documents, with its parameters; every operation
//! has a command; every command is tried here.

use crate::support::*;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::Path};

/// Operations that no command calls, and why. `sluice api` makes any call.
const WITHOUT_A_COMMAND: &[(&str, &str)] = &[
    ("add_member", OF_THE_ORGANISATION),
    ("change_password", "a person does it where he signs in"),
    ("get_jwks", "for those who verify tokens"),
    ("get_quote", "`quote` shows what was made"),
    ("healthz", "for what runs the service; `status` asks whether it is ready"),
    ("list_audit_events", OF_THE_ORGANISATION),
    ("list_members", OF_THE_ORGANISATION),
    ("remove_member", OF_THE_ORGANISATION),
    ("update_member", OF_THE_ORGANISATION),
    ("update_service_account", "a program that may do more is another one, with a key of its own"),
    ("watch_project", "a command follows one job; all at once are for a console"),
];
const OF_THE_ORGANISATION: &str = "commands are about one project";

/// Commands that make no call of their own.
const WITHOUT_A_CALL: &[&str] = &["completion", "profile", "api"];

/// Commands that together make every call there is.
const COMMANDS: &[&str] = &[
    "login --email alice@example.com --password-stdin",
    "status",
    "version",
    "whoami",
    "project list",
    "project get default",
    "project create other --description x",
    "project update default --name better",
    "project delete default --yes",
    "member list",
    "member add carol@example.com --role viewer",
    "member update bob@example.com --role admin",
    "member remove bob@example.com --yes",
    "role list",
    "service-account list",
    "service-account get ci",
    "service-account create ci2 --role viewer",
    "service-account delete ci --yes",
    "key list ci",
    "key create ci --expires 90d",
    "key revoke key_01jd9mz5w8e4wahj8k6t3v2q7z --yes",
    "catalog specs",
    "catalog regions",
    "catalog zones",
    "catalog versions",
    "catalog disk-types",
    "quote --spec 100",
    "instance list --state running --name a --address b --spec c --zone d --label e=f -q g --sort -name \
     --created-after 24h --created-before 1h",
    "instance get orders",
    "instance watch orders",
    "instance create orders --spec 100 --storage 600 --disk high --yes",
    "instance create orders --spec 100 --storage 600 --disk high --when-full produce-limited --dry-run",
    "instance update orders --description x",
    "instance protect orders",
    "instance delete orders --yes --no-wait",
    "instance delete orders --dry-run",
    "instance connect orders",
    "instance usage orders",
    "instance metrics orders -q refused --all",
    "instance snippet orders python --user app --topic t",
    "cert show orders",
    "cert history orders",
    "cert upload orders --certificate server.pem --key server.pem --dry-run",
    "cert upload orders --certificate server.pem --key server.pem --yes",
    "cert rotate orders --overlap-hours 24 --dry-run",
    "cert rotate orders --yes --no-wait",
    "cert truststore orders --format jks --out -",
    "access get orders",
    "access set orders --authorization acl --anonymous open --dry-run",
    "access set orders --plaintext off --sasl-ssl on --public-plaintext off --public-sasl-ssl on --cross-network on --mtls on \
     --allow 10.1.0.0/16,10.2.0.1 --deny none --auto-create off",
    "access set orders --allow any --deny 192.0.2.1 --no-wait",
    "access tokens trust orders --issuer https://id.example.com --audience kafka --user-claim name --keys keys.json",
    "access tokens clear orders --dry-run",
    "access certificates trust orders --ca server.pem --crl server.pem --rules DEFAULT",
    "access certificates clear orders --dry-run",
    "access endpoint tell orders 0=192.0.2.1 1=kafka-1.example.com:9101",
    "access endpoint reset orders",
    "access endpoint allow orders org_01jd9mz5w8e4wahj8k6t3v2q7x --from 10.1.0.0/16",
    "access endpoint forbid orders org_01jd9mz5w8e4wahj8k6t3v2q7y",
    "user list orders",
    "user get orders shop",
    "user create orders shop --password-stdin",
    "user create orders shop --dry-run",
    "user disable orders shop --yes",
    "user enable orders shop",
    "user reset-password orders shop --password-stdin --yes",
    "user delete orders shop --yes",
    "access set orders --mechanisms SCRAM-SHA-512,plain --dry-run",
    "acl list orders --principal User:a --resource topic --name b --pattern match --operation read --permission allow",
    "acl add orders --principal User:a --name b --pattern prefixed --operation read,write",
    "acl remove orders --principal User:a --yes",
    "acl remove orders --name b --dry-run",
    "user rights orders shop",
    "user grant orders shop --topic a-* --produce --consume --group b",
    "user revoke orders shop --topic a-* --produce --group b --transactional-id c --yes",
    "user revoke orders shop --all --dry-run",
    "topic list orders -q a --sort -name --internal",
    "topic get orders clicks",
    "topic create orders clicks --partitions 6 --replicas 3 --config retention.ms=1000",
    "topic create orders --dry-run",
    "topic add-partitions orders clicks --partitions 9",
    "topic add-partitions orders clicks --partitions 9 --dry-run",
    "topic delete orders clicks --yes",
    "topic delete orders clicks --dry-run",
    "bandwidth get orders",
    "capacity get orders",
    "capacity set orders --policy produce-limited --threshold 90",
    "capacity set orders --threshold 90 --dry-run",
    "connection list orders --ip 192.0.2.1 --user a --client-id b --broker 1",
    "connection kick orders 1-7 --yes",
    "connection kick orders --user a --yes",
    "connection limits orders",
    "connection set-limits orders --total 60 --per-ip default",
    "connection set-limits orders --per-ip 100 --dry-run",
    "failed-creation list",
    "failed-creation delete broken",
    "failed-creation delete --all --yes",
    "job list --state running --kind a --instance b --actor c --from 24h --to 1h",
    "job get orders",
    "job watch orders",
    "job reveal orders",
    "job cancel orders --yes",
    "job retry orders --no-wait",
    "job delete job_01jd9mz5w8e4wahj8k6t3v2q7t",
    "quota list",
    "quota list orders --user a --client-id b --key producer_byte_rate",
    "quota list orders --default-user --default-client-id",
    "quota set orders --user a --default-client-id --produce 1MB --consume 2.5MB --requests 50 --mutations 2",
    "quota set orders --default-user --produce 1000000 --dry-run",
    "quota delete orders --user a --client-id b --key consumer_byte_rate --yes",
    "quota delete orders --default-client-id --dry-run",
    "quota explain orders --user a --client-id b --ip 192.0.2.1 --topic t",
    "quota set orders --topic t --produce 1MB --consume 2MB/s",
    "quota list orders --topic t",
    "quota delete orders --topic t --key consumer_byte_rate --yes",
    "quota list orders --ip 192.0.2.1 --key connection_creation_rate",
    "quota set orders --ip 192.0.2.1 --connections 5",
    "quota delete orders --default-ip --yes",
    "audit list --actor a --action b --resource c --result d --from 24h --to 1h",
    "errors list",
    "errors get not-found",
    "operator spec list",
    "operator spec put kafka.200 -d @spec.json",
    "operator version list",
    "operator version put 4.3.1 --oldest-client 2.1",
    "operator room",
    "operator set-room local-1a --vcpus 8 --memory 16 --storage 900",
    "operator set-connections ins_01jd9mz5w8e4wahj8k6t3v2q7x --allow 5000",
    "operator set-connections ins_01jd9mz5w8e4wahj8k6t3v2q7x --allow default --dry-run",
    "operator metrics ins_01jd9mz5w8e4wahj8k6t3v2q7x --prometheus",
    "logout",
];

/// Answers well enough for every command to go on to its last call.
fn everything(request: &Request) -> Reply {
    let path = request.target.split('?').next().unwrap_or_default().to_owned();
    let last = path.rsplit('/').next().unwrap_or_default();
    match (request.method.as_str(), last) {
        ("GET", "instances") => Reply::page(&[instance("orders", "running")]),
        ("GET", "jobs") => Reply::page(&[job("succeeded", 2)]),
        ("GET", "members") => Reply::page(&[member()]),
        ("GET", "service-accounts") => Reply::page(&[service_account()]),
        ("GET", "shop") => Reply::json(200, &kafka_user()),
        ("GET", "clicks") => Reply::json(200, &topic()),
        ("GET", "failed-creations") => Reply::page(&[failed_creation()]),
        ("GET", "certificate") => Reply::json(200, &certificate()),
        ("PUT", "certificate") | ("POST", "rotate") if request.target.contains("dry_run") => {
            Reply::json(200, &certificate_plan())
        }
        ("PUT", "certificate") | ("POST", "rotate") => Reply::json(202, &job("succeeded", 2)),
        ("GET", "prometheus") => Reply::text(200, "text/plain", METRICS.to_owned()),
        ("GET", "orders" | INSTANCE) => Reply::json(200, &instance("orders", "running")),
        // Watched once, so that its events are asked for.
        ("GET", JOB) if request.before == 0 => Reply::json(200, &job("running", 1)),
        ("GET", JOB) => Reply::json(200, &job("succeeded", 2)),
        ("POST", "quotes") => Reply::json(201, &quote()),
        ("POST", "instances") if !request.target.contains("dry_run") => Reply::json(202, &job("queued", 0)),
        ("POST", "cancel" | "retry") => Reply::json(202, &job("succeeded", 2)),
        ("POST", "reveal") => Reply::json(200, &json!({ "secrets": { "password": "x" } })),
        ("GET", "access") => {
            let account = json!({"account": "org_01jd9mz5w8e4wahj8k6t3v2q7y", "ips": ["10.9.0.0/16"]});
            Reply::json(200, &json!({"endpoint_accounts": [account]}))
        }
        ("PATCH", "access") if !request.target.contains("dry_run") => Reply::json(202, &job("succeeded", 2)),
        ("POST", "token") => Reply::json(200, &tokens(1)),
        ("GET", "readyz" | "version") => Reply::json(200, &json!({ "version": "1" })),
        _ => standard(request),
    }
}

fn document(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Ids of all operations of these documents.
fn operations(documents: &[Value]) -> BTreeSet<&str> {
    let items = documents.iter().filter_map(|document| document["paths"].as_object()).flat_map(Map::values);
    items.filter_map(Value::as_object).flat_map(Map::values).filter_map(|one| one["operationId"].as_str()).collect()
}

/// The commands of the reference that have none below them, without the program's name.
fn reference() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let titles = text.lines().filter_map(|line| line.trim_start_matches('#').trim().strip_prefix("`sluice "));
    let names: Vec<_> = titles.map(|title| title.trim_end_matches('`').to_owned()).collect();
    let group = |name: &String| names.iter().any(|other| other.starts_with(&format!("{name} ")));
    names.iter().filter(|name| !group(name)).cloned().collect()
}

/// The operation of a request, if the document has it.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let wanted: Vec<_> = path.split('/').collect();
    let paths = document["paths"].as_object()?;
    let fits = |template: &str| {
        let parts: Vec<_> = template.split('/').collect();
        parts.len() == wanted.len() && parts.iter().zip(&wanted).all(|(part, own)| part.starts_with('{') || part == own)
    };
    // A literal path is meant before one with parameters.
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    found.into_iter().find_map(|(_, item)| item.get(method.to_lowercase()))
}

#[test]
fn every_command_is_tried_here() {
    let commands = reference();
    assert!(commands.len() > 90, "the reference is read: {commands:?}");
    let tried = |name: &String| {
        COMMANDS.iter().any(|line| line == name || line.starts_with(&format!("{name} ")))
            || WITHOUT_A_CALL.iter().any(|known| name.split(' ').next() == Some(known))
    };
    let missing: Vec<_> = commands.iter().filter(|name| !tried(name)).collect();
    assert!(missing.is_empty(), "commands that no test runs: {missing:#?}");
}

#[test]
fn every_call_is_in_the_documents_of_the_api_and_every_operation_has_a_command() {
    let server = Server::start(everything);
    let home = Home::signed_in(&server, 600);
    let mut spec = spec();
    spec.as_object_mut().unwrap().remove("name");
    home.write("spec.json", &spec.to_string());
    home.write("server.pem", "PEM");
    home.write("keys.json", r#"{"keys": []}"#);
    for command in COMMANDS {
        let ran = home.run_with(command, &[], "Heron-lake-17\n");
        assert_ne!(ran.code, 2, "{command}: {}", ran.err);
        assert!(
            !ran.err.contains("cannot be read") || ran.code != 1 || command.starts_with("version"),
            "{command}: {}",
            ran.err
        );
    }
    let documents = [document("tenant.json"), document("operator.json")];
    let (mut missing, mut called) = (BTreeSet::new(), BTreeSet::new());
    for request in server.seen() {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let Some(operation) = documents.iter().find_map(|document| operation(document, &request.method, path)) else {
            missing.insert(format!("{} {path}", request.method));
            continue;
        };
        called.extend(operation["operationId"].as_str());
        let known: BTreeSet<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty()) {
            if !known.contains(name) {
                missing.insert(format!("{} {path}: parameter {name}", request.method));
            }
        }
    }
    assert!(missing.is_empty(), "not in openapi/: {missing:#?}");
    let excused: BTreeSet<_> = WITHOUT_A_COMMAND.iter().map(|(operation, _)| *operation).collect();
    let all = operations(&documents);
    let uncalled: Vec<_> = all.difference(&called).filter(|operation| !excused.contains(*operation)).collect();
    assert!(uncalled.is_empty(), "no command calls {uncalled:#?}");
    let stale: Vec<_> = excused.iter().filter(|one| called.contains(*one) || !all.contains(*one)).collect();
    assert!(stale.is_empty(), "they have a command, or are gone: {stale:#?}");
}
