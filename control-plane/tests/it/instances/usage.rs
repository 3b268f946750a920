use super::cloud::{Cloud, INSTANCES};
use control_plane::drivers::NodeRef;
use control_plane_api::usage::{ConnectionUsage, GroupUsage, PartitionUsage, Usage};

#[tokio::test]
async fn usage_is_asked_of_any_broker_that_answers() {
    let cloud = Cloud::start().await;
    let instance = cloud.bought("orders").await;
    let usage = || cloud.app.get(format!("{INSTANCES}/orders/usage")).by(cloud.owner()).send();
    let bought = Usage {
        partitions: PartitionUsage { used: 0, limit: 300 },
        groups: Some(GroupUsage { used: 0, limit: 60 }),
        connections: ConnectionUsage { used: 0, limit: 3000 },
    };
    let (last, others) = instance.brokers.split_last().unwrap();
    for broker in others {
        assert_eq!(usage().await.expect::<Usage>(200), bought);
        cloud.world.kill_node(NodeRef { instance: instance.id, node_id: broker.id });
    }
    assert_eq!(usage().await.expect::<Usage>(200), bought);
    cloud.world.kill_node(NodeRef { instance: instance.id, node_id: last.id });
    usage().await.problem("unavailable");
    cloud.stop().await;
}
