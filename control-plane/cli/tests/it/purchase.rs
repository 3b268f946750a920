//! Buying and deleting an instance from a script.

use crate::support::*;
use serde_json::json;

const CREATE: &str = "instance create orders --spec 100 --zones local-1a,local-1b,local-1c --storage 600 --disk high";

/// A server that sells; `first` answers the first orders.
fn shop(first: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        if let Some(reply) = first(request) {
            return reply;
        }
        let line = request.line();
        if line == format!("POST {}", of_project("quotes")) {
            return Reply::json(201, &quote());
        }
        if line == format!("POST {}", of_project("instances")) {
            return Reply::json(202, &job("queued", 0));
        }
        if line == format!("GET {}", of_project(&format!("jobs/{JOB}"))) {
            let state = [("running", 0), ("running", 1), ("succeeded", 2)][request.before.min(2)];
            return Reply::json(200, &job(state.0, state.1));
        }
        if line == format!("POST {}", of_project(&format!("jobs/{JOB}/reveal"))) {
            return Reply::json(200, &json!({"secrets": {"password": "Once-Only-1"}}));
        }
        if line == format!("GET {}", of_project(&format!("jobs/{JOB}/events"))) {
            return Reply::events(&[(request.before as u64 + 1, "{}")]);
        }
        if line == format!("GET {}", of_project(&format!("instances/{INSTANCE}"))) {
            return Reply::json(200, &instance("orders", "running"));
        }
        standard(request)
    })
}

#[test]
fn a_purchase_shows_the_price_follows_the_job_and_hands_over_the_addresses() {
    let server = shop(|_| None);
    let ran = Home::signed_in(&server, 600).run(&format!("{CREATE} --yes")).expect(0);
    assert!(ran.err.contains("3.49 CNY / hour"), "{}", ran.err);
    assert!(ran.err.contains("[ 50 %] 2/2 … Start brokers"), "{}", ran.err);
    assert!(ran.err.contains("[100 %] Create orders: succeeded"), "{}", ran.err);
    assert_eq!(
        ran.out,
        format!(
            "Instance:    orders ({INSTANCE})\nSASL_SSL:    127.1.0.1:9093\nPlaintext:   127.1.0.1:9092\n\
             Kafka user:  app\nPassword:    Once-Only-1\n"
        )
    );
    let order = &server.seen_of(&format!("POST {}", of_project("instances")))[0];
    assert_eq!(order.body["quote_id"], QUOTE);
    assert_eq!(order.body["zones"], json!(["local-1a", "local-1b", "local-1c"]));
    assert_eq!(order.header("accept-language"), Some("en"));
}

#[test]
fn a_password_that_could_not_be_shown_can_be_had_later() {
    let reveal = format!("POST {}", of_project(&format!("jobs/{JOB}/reveal")));
    let server =
        shop(move |request| (request.line() == reveal && request.before == 0).then(|| Reply::problem(500, "internal")));
    let home = Home::signed_in(&server, 600);
    let ran = home.run(&format!("{CREATE} --yes")).expect(0);
    assert!(ran.err.contains(&format!("sluice job reveal {JOB}")), "{}", ran.err);
    assert_eq!(home.run(&format!("job reveal {JOB}")).expect(0).out, "password:  Once-Only-1\n");
}

#[test]
fn an_order_that_is_sent_again_keeps_its_idempotency_key() {
    let orders = format!("POST {}", of_project("instances"));
    let line = orders.clone();
    let server = shop(move |request| match (request.line() == line, request.before) {
        (true, 0) => Some(Reply::hang_up()),
        (true, 1) => Some(Reply::problem(503, "unavailable").header("retry-after", "0")),
        (true, 2) => Some(Reply::problem(409, "idempotency-in-flight").header("retry-after", "0")),
        _ => None,
    });
    let home = Home::signed_in(&server, 600);
    home.run(&format!("{CREATE} --yes --no-wait")).expect(0);
    home.run(&format!("{CREATE} --yes --no-wait")).expect(0);
    let keys: Vec<_> =
        server.seen_of(&orders).iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 5);
    assert!(keys[..4].iter().all(|key| key == &keys[0]), "one order, one key: {keys:?}");
    assert_ne!(keys[4], keys[0], "another order, another key");
}

#[test]
fn faults_of_price_and_of_name_are_told_together() {
    let refusal = |pointers: &[&str]| {
        let errors: Vec<_> =
            pointers.iter().map(|pointer| json!({"pointer": pointer, "code": "x", "detail": "not so"})).collect();
        Reply::json(422, &json!({"title": "No", "status": 422, "code": "validation-failed", "errors": errors}))
    };
    let server = shop(move |request| match request.line() {
        line if line == format!("POST {}", of_project("quotes")) => Some(refusal(&["/zones"])),
        line if line == format!("POST {}", of_project("instances")) => Some(refusal(&["/name", "/zones"])),
        _ => None,
    });
    let ran = Home::signed_in(&server, 600).run(&format!("{CREATE} --yes")).expect(4);
    assert!(ran.err.contains("- /name: not so") && ran.err.contains("- /zones: not so"), "{}", ran.err);
    let orders = server.seen_of(&format!("POST {}", of_project("instances")));
    assert!(orders.iter().all(|order| order.target.ends_with("?dry_run=true")));
}

#[test]
fn nothing_is_bought_when_nobody_can_be_asked() {
    let server = shop(|_| None);
    let ran = Home::signed_in(&server, 600).run(CREATE).expect(2);
    assert!(ran.err.contains("Buy orders (kafka.100) for 3.49 CNY / hour?"), "{}", ran.err);
    assert!(ran.err.contains("--yes"), "{}", ran.err);
    assert!(server.seen_of(&format!("POST {}", of_project("instances"))).is_empty());
}

#[test]
fn a_dry_run_orders_nothing() {
    let server = shop(|request| {
        request.target.contains("dry_run=true").then(|| {
            Reply::json(
                200,
                &json!({"checks": [{"code": "quota", "severity": "ok", "detail": "3 of 100 instances"}],
                "changes": [], "steps": [{"name": "place", "title": "Place brokers"}], "price": null,
                "eta_seconds": 11}),
            )
        })
    });
    let ran = Home::signed_in(&server, 600).run(&format!("{CREATE} --dry-run")).expect(0);
    assert!(ran.out.contains("ok       3 of 100 instances"), "{}", ran.out);
    assert!(ran.out.contains("1. Place brokers"), "{}", ran.out);
    let orders = server.seen_of(&format!("POST {}", of_project("instances")));
    assert!(
        orders.iter().all(|order| order.target.contains("dry_run=true") && order.header("idempotency-key").is_none())
    );
}

#[test]
fn what_is_left_open_takes_the_least_that_the_spec_sells() {
    let server = shop(|_| None);
    Home::signed_in(&server, 600).run("quote --spec 100").expect(0);
    let asked = &server.seen_of(&format!("POST {}", of_project("quotes")))[0].body;
    assert_eq!((&asked["storage_gb"], &asked["disk_type"]), (&json!(600), &json!("high")));
}

#[test]
fn a_password_of_the_kafka_user_comes_from_standard_input_and_is_not_told() {
    let server = shop(|_| None);
    let home = Home::signed_in(&server, 600);
    let line = format!("{CREATE} --yes --no-wait -v --kafka-user app --kafka-password-stdin");
    let ran = home.run_with(&line, &[], "Secret-Word-1\n").expect(0);
    let order = &server.seen_of(&format!("POST {}", of_project("instances")))[0].body;
    assert_eq!(order["access"]["sasl_ssl"], json!({"user": "app", "password": "Secret-Word-1"}));
    assert!(!ran.err.contains("Secret-Word-1") && !ran.out.contains("Secret-Word-1"));
}
