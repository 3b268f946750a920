//! Configurations: brokers are the platform's, topics the tenants'.

use super::*;

#[test]
fn brokers_are_the_platforms_and_topics_the_tenants() {
    for version in versions::<IncrementalAlterConfigsRequest>() {
        use incremental_alter_configs_request::*;
        let resource = |kind: i8, name, setting, value| {
            let config = AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
            AlterConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_configs(vec![config])
        };
        let good = [
            resource(2, "orders", "retention.ms", "1000"),
            resource(2, "orders", "max.message.bytes", "10485760"),
            resource(32, "group", "consumer.session.timeout.ms", "45000"),
            resource(16, "metrics", "interval.ms", "1000"),
        ];
        let bad = [
            resource(4, "1", "log.retention.ms", "1"),
            resource(4, "", "listeners", "x"),
            resource(8, "1", "root", "TRACE"),
            resource(2, "big", "max.message.bytes", "104857600"),
            resource(99, "x", "y", "z"),
        ];
        let message = IncrementalAlterConfigsRequest::default().with_resources(good.to_vec());
        let outcome =
            asked::<_, IncrementalAlterConfigsResponse>(ApiKey::IncrementalAlterConfigs, version, ALICE, &message);
        assert!(matches!(outcome, Outcome::Forwarded));
        let message = IncrementalAlterConfigsRequest::default()
            .with_resources([good.to_vec(), bad.to_vec()].concat())
            .with_validate_only(true);
        let outcome =
            asked::<_, IncrementalAlterConfigsResponse>(ApiKey::IncrementalAlterConfigs, version, ALICE, &message);
        let Outcome::Amended(kept, merge) = outcome else { panic!("some refused") };
        assert_eq!((kept.resources, kept.validate_only), (good.to_vec(), true));
        let mine = incremental_alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"));
        let merged = merge(&IncrementalAlterConfigsResponse::default().with_responses(vec![mine; 4]));
        let mut codes: Vec<_> = merged.responses.iter().map(|r| (r.resource_name.to_string(), r.error_code)).collect();
        codes.sort();
        codes.dedup();
        let wanted =
            [("", 31), ("1", 31), ("big", 40), ("orders", 0), ("x", 42)].map(|(name, code)| (name.to_owned(), code));
        assert_eq!(codes, wanted);
    }
}

#[test]
fn the_older_alteration_is_held_to_the_same() {
    for version in versions::<AlterConfigsRequest>() {
        use alter_configs_request::*;
        let resource = |kind: i8, setting, value| {
            let config = AlterableConfig::default().with_name(text(setting)).with_value(Some(text(value)));
            AlterConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(text("r"))
                .with_configs(vec![config])
        };
        for (refused, code) in [
            (resource(4, "a", "b"), 31),
            (resource(2, "max.message.bytes", "99999999"), 40),
            (resource(2, "max.message.bytes", "many"), 40),
        ] {
            let message = AlterConfigsRequest::default().with_resources(vec![refused]);
            let outcome = asked::<_, AlterConfigsResponse>(ApiKey::AlterConfigs, version, ALICE, &message);
            let Outcome::Answered(answer) = outcome else { panic!("refused") };
            assert_eq!(answer.responses[0].error_code, code);
        }
        let message = AlterConfigsRequest::default().with_resources(vec![resource(2, "max.message.bytes", "9999")]);
        let outcome = asked::<_, AlterConfigsResponse>(ApiKey::AlterConfigs, version, ALICE, &message);
        assert!(matches!(outcome, Outcome::Forwarded), "within the limit");
    }
}

#[test]
fn broker_settings_are_told_without_listeners_paths_or_secrets() {
    use describe_configs_response::*;
    for version in versions::<DescribeConfigsResponse>() {
        let setting = |name| {
            DescribeConfigsResourceResult::default().with_name(text(name)).with_value(Some(text("v"))).with_synonyms(
                if version >= 1 { vec![DescribeConfigsSynonym::default().with_name(text("synonym"))] } else { vec![] },
            )
        };
        let names = [
            "default.replication.factor",
            "log.dirs",
            "log.dir",
            "metadata.log.dir",
            "listeners",
            "advertised.listeners",
            "ssl.keystore.location",
            "listener.name.int.ssl.keystore.location",
            "super.users",
            "sasl.jaas.config",
            "message.max.bytes",
            "controller.quorum.bootstrap.servers",
            "log.retention.ms",
            "delegation.token.secret.key",
        ];
        let of = |kind: i8| {
            DescribeConfigsResult::default()
                .with_resource_type(kind)
                .with_resource_name(text("1"))
                .with_configs(names.map(setting).to_vec())
        };
        let kafka = DescribeConfigsResponse::default().with_results(vec![of(4), of(2), of(8)]);
        let shown = told(ApiKey::DescribeConfigs, version, &kafka);
        let brokers: Vec<_> = shown.results[0].configs.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(brokers, ["default.replication.factor", "message.max.bytes", "log.retention.ms"]);
        assert_eq!(shown.results[1], kafka.results[1], "topics are told whole");
        assert!(shown.results[2].configs.is_empty(), "loggers are not told");
    }
}
