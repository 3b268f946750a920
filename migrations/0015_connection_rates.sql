-- How many connections a second clients of an address may open to a broker: Kafka cannot know, so the gateways are told.
alter table instances add column connection_rates jsonb not null default '{}';
