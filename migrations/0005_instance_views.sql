-- What the price is for: `hour`, `month` or `N months`.
alter table orders add column per text not null default 'hour';

-- The first Kafka user of an instance: whom the connection guide writes code for.
alter table instances add column first_user text not null default 'admin';

-- The place of an event in the feed of its project. Rows of one table become visible in the order of their commits, not of
-- a sequence; with the writing transaction's id beside it, a reader that stays below the oldest transaction still running
-- (pg_snapshot_xmin) misses none.
alter table job_events add column id bigint generated always as identity;
alter table job_events add column xid xid8 not null default pg_current_xact_id();
create index job_events_feed on job_events (org_id, xid, id);
