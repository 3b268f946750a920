use super::cloud::{Cloud, INSTANCES, order, order_with};
use control_plane_api::{instance::Instance, job::Job, page::Page};
use serde_json::json;

#[tokio::test]
async fn pages_stay_stable_while_instances_are_added() {
    let cloud = Cloud::idle(100).await;
    for n in 0..5 {
        cloud.order(order(&format!("orders-{n}"))).await.expect::<Job>(202);
    }
    let page = async |query: String| {
        cloud.app.get(format!("{INSTANCES}?{query}")).by(cloud.owner()).send().await.expect::<Page<Instance>>(200)
    };
    let first = page("limit=2&count=exact".into()).await;
    assert_eq!(first.total, Some(5));
    cloud.order(order("newcomer")).await.expect::<Job>(202);
    let mut names: Vec<String> = first.items.into_iter().map(|instance| instance.name).collect();
    let mut cursor = first.next_cursor;
    while let Some(at) = cursor {
        let next = page(format!("limit=2&cursor={at}")).await;
        names.extend(next.items.into_iter().map(|instance| instance.name));
        cursor = next.next_cursor;
    }
    assert_eq!(names, ["orders-4", "orders-3", "orders-2", "orders-1", "orders-0"]);
    cloud.stop().await;
}

#[tokio::test]
async fn a_page_links_to_the_next_one_with_the_same_query() {
    let cloud = Cloud::idle(100).await;
    for n in 0..3 {
        cloud.order(order(&format!("orders-{n}"))).await.expect::<Job>(202);
    }
    // As it is linked, and as a client may write it again.
    for cursor in ["cursor=", "%63ursor="] {
        let mut path = Some(format!("{INSTANCES}?limit=1&sort=name"));
        let mut names = Vec::new();
        while let Some(at) = path {
            let answer = cloud.app.get(at.replace("cursor=", cursor)).by(cloud.owner()).send().await;
            path = answer.header("link").map(|link| {
                let target = link.strip_suffix(">; rel=\"next\"").and_then(|link| link.strip_prefix('<'));
                target.unwrap_or_else(|| panic!("no link to a next page: {link}")).to_owned()
            });
            names.extend(answer.expect::<Page<Instance>>(200).items.into_iter().map(|instance| instance.name));
        }
        assert_eq!(names, ["orders-0", "orders-1", "orders-2"], "{cursor}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn each_sort_walks_all_pages_in_its_order() {
    let cloud = Cloud::idle(100).await;
    for name in ["cherry", "apple", "banana"] {
        cloud.order(order(name)).await.expect::<Job>(202);
    }
    for (sort, expected) in [
        ("created_at", ["cherry", "apple", "banana"]),
        ("-created_at", ["banana", "apple", "cherry"]),
        ("name", ["apple", "banana", "cherry"]),
        ("-name", ["cherry", "banana", "apple"]),
    ] {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("{INSTANCES}?sort={sort}&limit=1{cursor}");
            let page: Page<Instance> = cloud.app.get(path).by(cloud.owner()).send().await.expect(200);
            names.extend(page.items.into_iter().map(|instance| instance.name));
            match page.next_cursor {
                Some(at) => cursor = format!("&cursor={at}"),
                None => break,
            }
        }
        assert_eq!(names, expected, "{sort}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn filters_leave_exactly_what_they_name() {
    let cloud = Cloud::start().await;
    let orders =
        order_with("orders", json!({ "labels": { "env": "prod" }, "description": "100% of the shop_s orders" }));
    let job = cloud.buy(orders).await;
    cloud.bought("payments").await;
    cloud.buy(order_with("single", json!({ "zones": ["local-1b"], "labels": { "env": "test" } }))).await;
    let running = cloud.instance("orders").await;
    let host = running.bootstrap.private_sasl_ssl.split(',').next().expect("an address").to_owned();
    let id = job.resource.expect("a resource").id;
    for (query, expected) in [
        ("state=running", &["single", "payments", "orders"][..]),
        ("state=frozen,faulty", &[]),
        ("name=orders", &["orders"]),
        (&format!("id={id}"), &["orders"]),
        ("id=nonsense", &[]),
        (&format!("address={host}"), &["orders"]),
        ("address=_", &[]),
        ("spec=100", &["single", "payments", "orders"]),
        ("spec=kafka.300", &[]),
        ("zone=local-1c", &["payments", "orders"]),
        ("label=env:prod", &["orders"]),
        ("q=PAY", &["payments"]),
        ("q=shop_s", &["orders"]),
        ("q=100%25", &["orders"]),
        (&format!("q={id}"), &["orders"]),
        ("created_before=2020-01-01T00:00:00Z", &[]),
        ("created_after=2020-01-01T00:00:00Z&name=payments", &["payments"]),
    ] {
        assert_eq!(cloud.names(query).await, expected, "{query}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn a_query_that_cannot_be_understood_is_refused_with_all_its_faults() {
    let cloud = Cloud::idle(100).await;
    let path = format!("{INSTANCES}?state=happy&label=prod&sort=size");
    let problem = cloud.app.get(path).by(cloud.owner()).send().await.problem("malformed-request");
    let places: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(places, ["state", "label", "sort"]);
    cloud.stop().await;
}
