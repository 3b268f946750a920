-- How fast records of a topic may be produced and consumed on each broker: Kafka has no such quota, so the gateways are told.
alter table instances add column topic_rates jsonb not null default '{}';
