use super::cloud::{Cloud, INSTANCES};
use control_plane::drivers::NodeRef;
use control_plane_api::{
    audit::AuditEvent,
    client_connections::{ClientConnectionPage, ClosedConnections},
    page::Page,
};
use serde_json::json;

#[tokio::test]
async fn who_is_connected_is_asked_of_every_broker_and_a_silent_one_is_named() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let path = format!("{INSTANCES}/orders/connections");
    let list = || cloud.app.get(format!("{path}?count=exact&user=alice")).by(cloud.owner()).send();
    let page: ClientConnectionPage = list().await.expect(200);
    assert!(page.items.is_empty(), "nobody connects to a simulated broker");
    assert_eq!((page.total, page.next_cursor, page.silent_brokers), (Some(0), None, vec![]));

    let lost = instance.brokers[1].id;
    cloud.world.kill_node(NodeRef { instance: instance.id, node_id: lost });
    let page: ClientConnectionPage = list().await.expect(200);
    assert_eq!(page.silent_brokers, [lost]);
    let other = instance.brokers[0].id;
    let call = cloud.app.get(format!("{path}?broker_id={other}")).by(cloud.owner());
    let page: ClientConnectionPage = call.send().await.expect(200);
    assert!(page.silent_brokers.is_empty(), "it was not asked");

    let close = |body| cloud.app.post(format!("{path}/close"), body).by(cloud.owner()).send();
    let closed: ClosedConnections = close(json!({"filter": {"user": "alice"}})).await.expect(200);
    assert_eq!(closed, ClosedConnections { closed: 0, silent_brokers: vec![lost] });
    let closed: ClosedConnections = close(json!({"ids": [format!("{other}-7")]})).await.expect(200);
    assert_eq!(closed, ClosedConnections { closed: 0, silent_brokers: vec![] });
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_to_end_is_checked_and_written_down() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let path = format!("{INSTANCES}/orders/connections");
    let close = |body| cloud.app.post(format!("{path}/close"), body).by(cloud.owner()).send();
    for (body, pointer) in [
        (json!({}), "/ids"),
        (json!({"filter": {}}), "/filter"),
        (json!({"filter": {"ip": "somewhere"}}), "/filter/ip"),
        (json!({"ids": ["x"]}), "/ids/0"),
    ] {
        let problem = close(body).await.problem("validation-failed");
        assert_eq!(problem.errors[0].pointer, pointer);
    }
    let odd = cloud.app.get(format!("{path}?ip=somewhere")).by(cloud.owner()).send().await;
    assert_eq!(odd.problem("validation-failed").errors[0].pointer, "ip");
    let _: ClosedConnections = close(json!({"filter": {"client_id": "app"}})).await.expect(200);
    let call = cloud.app.get("/v1/projects/default/audit-events?action=close_connections&result=accepted");
    let trail: Page<AuditEvent> = call.by(cloud.owner()).send().await.expect(200);
    assert_eq!(trail.items.len(), 1);
    assert_eq!(trail.items[0].resource_id, Some(instance.id.to_string()));
    assert_eq!(trail.items[0].detail, json!({"filter": {"client_id": "app"}}));
    cloud.stop().await;
}
