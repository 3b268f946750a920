use super::cloud::{Cloud, INSTANCES, JOBS, QUOTES, order, order_with};
use control_plane::{domain::node_spec::Site, drivers::NodeRef};
use control_plane_api::{
    instance::{Instance, InstanceAction, InstanceState, Plan},
    job::{Job, JobState, RevealedResult, StepState},
    quote::Quote,
    tenancy::Role,
};
use serde_json::json;

#[tokio::test]
async fn an_order_becomes_a_running_instance_and_a_deletion_frees_everything() {
    let cloud = Cloud::start().await;
    let answer = cloud.order(order("orders")).await;
    let accepted: Job = answer.expect(202);
    let path = format!("/v1/projects/{}/jobs/{}", cloud.app.acme.project, accepted.id);
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(accepted.cancellable && accepted.eta_seconds.is_some() && !accepted.steps.is_empty());
    let creating: Instance = cloud.instance("orders").await;
    assert_eq!(creating.id.to_string(), accepted.resource.expect("a resource").id);

    // The history of the job ends with the job.
    cloud.app.get(format!("{path}/events")).by(cloud.owner()).send().await;
    let done: Job = cloud.app.get(&path).by(cloud.owner()).send().await.expect(200);
    assert_eq!((done.state, done.progress_percent, done.eta_seconds), (JobState::Succeeded, 100, None));
    assert!(done.steps.iter().all(|step| step.state == StepState::Succeeded), "{:?}", done.steps);

    let running = cloud.instance("orders").await;
    assert_eq!((running.state, running.active_job_id), (InstanceState::Running, None));
    let zones: Vec<_> = running.brokers.iter().map(|broker| (broker.id, broker.zone.as_str())).collect();
    assert_eq!(zones, [(0, "local-1a"), (1, "local-1b"), (2, "local-1c")]);
    assert_eq!(running.bootstrap.private_sasl_ssl.matches(":9093").count(), 3);
    assert_eq!(running.bootstrap.private_plaintext.matches(":9092").count(), 3);
    assert_eq!((running.usable_storage_gb, running.billing.price.amount.to_string().as_str()), (494, "3.49"));
    assert!(running.allowed_actions.contains(&InstanceAction::Delete));

    let delete = cloud.app.call(axum::http::Method::DELETE, format!("{INSTANCES}/orders"));
    let gone: Job = delete.by(cloud.owner()).header("prefer", "wait=30").send().await.expect(202);
    assert_eq!(gone.state, JobState::Succeeded, "{gone:?}");
    cloud.app.get(format!("{INSTANCES}/orders")).by(cloud.owner()).send().await.problem("not-found");
    for table in [
        "select count(*) from instances",
        "select count(*) from brokers",
        "select count(*) from reservations",
        "select count(*) from broker_addresses",
        "select count(*) from instance_secrets",
    ] {
        assert_eq!(cloud.count(table).await, 0, "{table}");
    }
    assert_eq!(cloud.count("select count(*) from orders").await, 1, "what was sold is kept");
    cloud.stop().await;
}

#[tokio::test]
async fn a_password_that_was_made_is_revealed_once_and_only_to_who_bought() {
    let cloud = Cloud::start().await;
    let job = cloud.buy(order("orders")).await;
    assert!(job.secrets_waiting);
    assert_eq!(job.result.as_ref().map(|result| &result["user"]), Some(&json!("admin")));
    assert!(job.result.is_some_and(|result| result.get("password").is_none()), "a GET never shows it");
    let reveal = |key: &'static str| {
        let call = cloud.app.call(axum::http::Method::POST, format!("{JOBS}/{}/reveal", job.id));
        call.header("idempotency-key", key)
    };
    let admin = cloud.app.acme.person(Role::Admin);
    reveal("other").by(admin).send().await.problem("forbidden");
    let answer = reveal("mine").by(cloud.owner()).send().await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let shown: RevealedResult = answer.expect(200);
    assert_eq!(shown.secrets["password"].as_str().map(str::len), Some(24));
    let repeat: RevealedResult = reveal("mine").by(cloud.owner()).send().await.expect(200);
    assert_eq!(repeat.secrets, shown.secrets, "a lost answer can be asked for again");
    reveal("again").by(cloud.owner()).send().await.problem("action-not-allowed");
    cloud.stop().await;
}

#[tokio::test]
async fn a_password_that_was_given_is_not_in_the_result() {
    let cloud = Cloud::start().await;
    let access = json!({ "access": { "sasl_ssl": { "user": "alice", "password": "Tr4nquil-Harbour" } } });
    let job = cloud.buy(order_with("orders", access)).await;
    assert!(!job.secrets_waiting);
    let text = serde_json::to_string(&job).expect("JSON");
    assert!(!text.contains("Tr4nquil"), "{text}");
    let leaks = "select count(*) from audit_events where detail::text like '%Tr4nquil%'";
    assert_eq!(cloud.count(leaks).await, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn a_repeat_with_the_same_key_buys_once() {
    let cloud = Cloud::idle(100).await;
    let buy = || cloud.app.post(INSTANCES, order("orders")).by(cloud.owner()).header("idempotency-key", "k1").send();
    let first: Job = buy().await.expect(202);
    let repeat = buy().await;
    assert_eq!(repeat.header("idempotency-replayed"), Some("true"));
    assert_eq!(repeat.expect::<Job>(202).id, first.id);
    assert_eq!(cloud.count("select count(*) from instances").await, 1);
    cloud.stop().await;
}

#[tokio::test]
async fn a_dry_run_shows_price_defaults_and_steps_and_keeps_nothing() {
    let cloud = Cloud::idle(100).await;
    let call = cloud.app.post(format!("{INSTANCES}?dry_run=true"), order("orders"));
    let plan: Plan = call.by(cloud.owner()).send().await.expect(200);
    let price = plan.price.expect("a price");
    assert_eq!((price.then.amount.to_string().as_str(), price.per.as_str()), ("3.49", "hour"));
    let default = |path: &str| plan.changes.iter().find(|change| change.path == path).map(|change| change.to.clone());
    assert_eq!(default("/zones"), Some(json!(["local-1a", "local-1b", "local-1c"])));
    assert_eq!(default("/kafka_version"), Some(json!("4.3.1")));

    for table in [
        "select count(*) from instances",
        "select count(*) from orders",
        "select count(*) from jobs",
        "select count(*) from reservations",
        "select count(*) from audit_events",
    ] {
        assert_eq!(cloud.count(table).await, 0, "{table}");
    }
    let job: Job = cloud.order(order("orders")).await.expect(202);
    let steps: Vec<_> = job.steps.iter().map(|step| step.name.clone()).collect();
    let planned: Vec<_> = plan.steps.iter().map(|step| step.name.clone()).collect();
    assert_eq!(steps, planned, "a plan and its job come from the same list");
    cloud.stop().await;
}

#[tokio::test]
async fn an_order_with_a_good_quote_is_accepted_and_one_whose_price_moved_is_not() {
    let cloud = Cloud::idle(100).await;
    let request = json!({ "spec": "kafka.100", "storage_gb": 600, "disk_type": "high" });
    let quote: Quote = cloud.app.post(QUOTES, request).by(cloud.owner()).send().await.expect(201);
    assert_eq!((quote.total.amount.to_string().as_str(), quote.usable_storage_gb, quote.in_stock), ("3.49", 494, true));
    let with_quote = json!({ "quote_id": quote.id });
    cloud.order(order_with("orders", with_quote.clone())).await.expect::<Job>(202);

    let mut other_terms = order_with("payments", with_quote.clone());
    other_terms["storage_gb"] = json!(700);
    let problem = cloud.order(other_terms).await.problem("price-moved");
    assert_eq!(problem.errors[0].code, "quote-of-other-terms");

    cloud.execute("update specs set price_per_hour = 3 where name = 'kafka.100'").await;
    let problem = cloud.order(order_with("payments", with_quote.clone())).await.problem("price-moved");
    assert_eq!((&problem.params["quoted"], &problem.params["now"]), (&json!("3.49"), &json!("3.78")));

    cloud.execute("update quotes set valid_until = now() - interval '1 second'").await;
    let problem = cloud.order(order_with("payments", with_quote)).await.problem("price-moved");
    assert_eq!(problem.errors[0].code, "quote-expired");

    let unknown = json!({ "quote_id": "quo_01jd9mz5w8e4wahj8k6t3v2q7r" });
    let problem = cloud.order(order_with("payments", unknown)).await.problem("validation-failed");
    assert_eq!(problem.errors[0].code, "unknown-quote");
    assert_eq!(cloud.count("select count(*) from instances").await, 1);
    cloud.stop().await;
}

#[tokio::test]
async fn of_twenty_orders_at_once_for_the_last_room_exactly_one_wins() {
    let cloud = Cloud::idle(1).await;
    let orders = (0..20).map(|n| cloud.order(order(&format!("orders-{n}"))));
    let answers = futures::future::join_all(orders).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert_eq!(won.len(), 1);
    for answer in lost {
        let problem = answer.problem("sold-out");
        assert_eq!(problem.errors[0].pointer, "/zones");
        assert_eq!(problem.params["zones"], json!(["local-1a", "local-1b", "local-1c"]));
    }
    assert_eq!(cloud.count("select count(*) from reservations").await, 3);
    assert_eq!(cloud.count("select count(*) from instances").await, 1);
    cloud.stop().await;
}

#[tokio::test]
async fn of_orders_at_once_for_the_last_place_of_the_quota_exactly_one_wins() {
    let cloud = Cloud::idle(100).await;
    cloud.execute("update projects set instance_quota = 1").await;
    let orders = (0..8).map(|n| cloud.order(order(&format!("orders-{n}"))));
    let answers = futures::future::join_all(orders).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    let refused = answers.iter().find(|answer| answer.status != 202).expect("seven are refused");
    let problem = refused.problem("quota-exceeded");
    assert_eq!((&problem.params["limit"], &problem.params["used"]), (&json!(1), &json!(1)));
    cloud.stop().await;
}

#[tokio::test]
async fn brokers_of_one_machine_replicate_by_a_password_of_their_instance_unless_tls_is_asked_for() {
    async fn passwords(cloud: &Cloud, name: &str) -> Vec<Option<String>> {
        let instance = cloud.bought(name).await;
        let told = |node_id| cloud.world.spec(NodeRef { instance: instance.id, node_id }).expect("a node").kafka;
        let password = |node_id| told(node_id).replication_password.map(|password| password.expose().to_owned());
        instance.brokers.iter().map(|broker| password(broker.id)).collect()
    }
    let cloud = Cloud::start().await;
    assert_eq!(passwords(&cloud, "spread").await, [None, None, None], "over several machines with TLS");
    cloud.world.put_on_one_machine();
    let (orders, others) = (passwords(&cloud, "orders").await, passwords(&cloud, "others").await);
    assert!(orders.len() == 3 && orders[0].as_ref().is_some_and(|password| password.len() >= 32));
    assert!(orders.iter().all(|password| password == &orders[0]), "one for all of an instance");
    assert!(orders[0] != others[0], "another for each instance");
    cloud.stop().await;

    let cloud = Cloud::idle(100).await.run_at(Site { replication_tls: true, ..Site::default() });
    cloud.world.put_on_one_machine();
    assert_eq!(passwords(&cloud, "orders").await, [None, None, None]);
    cloud.stop().await;
}
