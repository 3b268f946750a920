//! Topics of a real broker: made, grown and deleted through its gateway, and shown as they are.

use super::instance::{Instance, NEWEST, OLDER, user};
use broker_api::topics::{ChangeTopic, NewTopic, Shortage, TopicChange, TopicOutcome};
use control_plane::{
    kafka::{KafkaControl, KrafkaControl},
    nodes::{HttpsNodes, NodeControl},
};
use control_plane_api::topic::Topic;
use std::collections::BTreeMap;

const LIMIT: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn topics_go_through_the_gateways_count_and_are_shown_as_kafka_has_them() {
    for version in [OLDER, NEWEST] {
        let Some(mut instance) = Instance::new(version, 1).await else { return };
        instance.specs[0].gateway.limits.max_partitions = LIMIT as u32;
        instance.set_up(&user()).await;
        let (nodes, node) = (HttpsNodes::default(), &instance.addresses[0]);
        let change = async |topic: &str, change, validate_only| {
            let asked = ChangeTopic { topic: topic.to_owned(), change, validate_only };
            nodes.change_topic(node, &asked).await.unwrap()
        };
        let new = |partitions, config: &[(&str, &str)]| {
            let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            TopicChange::Create(NewTopic { partitions, replicas: 1, config })
        };
        let show = async |topic| KrafkaControl.topic(&instance.cluster, topic).await.unwrap();
        let error = |outcome| match outcome {
            TopicOutcome::Refused { error, message } => (error, message),
            other => panic!("{other:?}"),
        };

        let config = [("retention.ms", "1000"), ("cleanup.policy", "compact")];
        assert_eq!(change("a", new(4, &config), true).await, TopicOutcome::Done);
        assert_eq!(show("a").await, None, "only asked");
        assert_eq!(change("a", new(4, &config), false).await, TopicOutcome::Done);
        let Topic { summary, partitions, config } = show("a").await.expect("made");
        assert_eq!((summary.partition_count, summary.replicas, summary.internal), (4, 1, false));
        assert_eq!(
            config,
            BTreeMap::from(
                [("cleanup.policy", "compact"), ("retention.ms", "1000")].map(|(n, v)| (n.into(), v.into()))
            )
        );
        assert!(partitions.iter().map(|one| one.partition).eq(0..4), "{partitions:?}");

        assert_eq!(change("a", TopicChange::Grow { partitions: 8 }, false).await, TopicOutcome::Done);
        assert_eq!(show("a").await.unwrap().summary.partition_count, 8);
        let full = |used, wanted| TopicOutcome::Full(Shortage { limit: LIMIT, used, wanted });
        assert_eq!(change("b", new(3, &[]), true).await, full(8, 3));
        assert_eq!(change("b", new(3, &[]), false).await, full(8, 3));
        assert_eq!(change("a", TopicChange::Grow { partitions: 11 }, false).await, full(8, 3));
        assert_eq!(change("b", new(2, &[]), false).await, TopicOutcome::Done);
        assert_eq!(nodes.partitions(node).await.unwrap().used, LIMIT);

        assert_eq!(error(change("a", new(1, &[]), false).await).0, 36);
        assert_eq!(error(change("a", TopicChange::Grow { partitions: 2 }, false).await).0, 37);
        assert_eq!(error(change("none", TopicChange::Delete, false).await).0, 3);
        assert_eq!(error(change("a", TopicChange::Delete, true).await).0, 42, "a deletion can't be tried");
        assert_eq!(change("a", TopicChange::Delete, false).await, TopicOutcome::Done);
        let (code, why) = error(change("c", new(1, &[("retention.ms", "soon")]), false).await);
        assert!(code == 40 && why.contains("retention.ms"), "{code} {why}");
        let (code, why) = error(change("c", new(1, &[("max.message.bytes", "99999999")]), false).await);
        assert!(code == 40 && why.contains("above this instance's limit"), "{code} {why}");
        // A super user asks, and is kept to what clients are kept to.
        for (topic, asked) in [
            ("__sluice_admission", TopicChange::Delete),
            ("__consumer_offsets", TopicChange::Grow { partitions: 99 }),
            ("__sluice_mine", new(1, &[])),
        ] {
            assert_eq!(error(change(topic, asked, false).await).0, 29, "{topic}");
        }
        let shown = KrafkaControl.topics(&instance.cluster).await.unwrap();
        let names: Vec<&str> = shown.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, ["b"], "none of the platform's");
        assert_eq!(show("__sluice_admission").await, None);
        instance.remove().await;
    }
}
