-- Instances, their brokers, orders, and the room they hold.

create table quotes (
    id uuid primary key,
    org_id uuid not null,
    project_id uuid not null,
    request jsonb not null,
    answer jsonb not null,
    valid_until timestamptz not null,
    created_at timestamptz not null default now(),
    foreign key (org_id, project_id) references projects (org_id, id) on delete cascade
);
call protect_tenant_table('quotes', 'select, insert');

create table instances (
    id uuid primary key,
    org_id uuid not null,
    project_id uuid not null,
    name text not null check (name ~ '^[A-Za-z][A-Za-z0-9_-]{3,63}$'),
    description text not null default '' check (length(description) <= 1024),
    labels jsonb not null default '{}',
    state text not null check (state in ('creating', 'running', 'faulty', 'starting', 'restarting', 'freezing', 'frozen', 'create-failed', 'changing', 'change-failed', 'deleting')),
    state_reason text,
    kafka_version text not null,
    -- Kafka's cluster id: 22 characters of URL-safe base64.
    cluster_id text not null,
    region text not null,
    zones text[] not null,
    -- The figures it was sold with: control-plane-api `Spec` as JSON.
    spec jsonb not null,
    storage_gb integer not null,
    disk_type text not null,
    capacity_policy text not null default 'auto-delete' check (capacity_policy in ('auto-delete', 'produce-limited')),
    auto_create_topics boolean not null default false,
    deletion_protection boolean not null default false,
    -- Version of intent that nodes are told; they refuse an older one.
    generation bigint not null default 1 check (generation >= 1),
    -- Version of the row, for ETag.
    revision bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    failed_at timestamptz,
    check ((state = 'create-failed') = (failed_at is not null)),
    foreign key (org_id, project_id) references projects (org_id, id),
    unique (org_id, id)
);
-- A failed creation gives its name back.
create unique index instances_name_key on instances (project_id, name) where state <> 'create-failed';
create index instances_list on instances (project_id, created_at, id);
call protect_tenant_table('instances', 'select, insert, update, delete');

create table orders (
    id uuid primary key,
    org_id uuid not null,
    project_id uuid not null,
    instance_id uuid not null,
    quote_id uuid,
    billing_mode text not null check (billing_mode in ('hourly', 'prepaid')),
    months integer check (months between 1 and 36),
    lines jsonb not null,
    total numeric(16, 4) not null,
    created_at timestamptz not null default now(),
    check ((billing_mode = 'prepaid') = (months is not null))
);
create index orders_instance on orders (instance_id);
call protect_tenant_table('orders', 'select, insert');

create table brokers (
    instance_id uuid not null,
    org_id uuid not null,
    node_id integer not null check (node_id >= 0),
    zone text not null references zones,
    -- Kafka's directory id, chosen before the format (KIP-853).
    directory_id text not null,
    -- Address, once the driver has given one.
    host text,
    state text not null default 'unknown' check (state in ('unknown', 'starting', 'ready', 'failed', 'stopping', 'stopped')),
    reason text not null default '',
    seen_generation bigint,
    updated_at timestamptz not null default now(),
    primary key (instance_id, node_id),
    foreign key (org_id, instance_id) references instances (org_id, id) on delete cascade
);
call protect_tenant_table('brokers', 'select, insert, delete');

-- What a broker takes from its zone; goes with the broker.
create table reservations (
    instance_id uuid not null,
    org_id uuid not null,
    node_id integer not null,
    zone text not null references zones,
    vcpus integer not null check (vcpus > 0),
    memory_gib integer not null check (memory_gib > 0),
    storage_gb integer not null check (storage_gb > 0),
    primary key (instance_id, node_id)
);
create index reservations_zone on reservations (zone);
call protect_tenant_table('reservations', 'insert');
-- Room is counted over all organisations, and only as sums.
create function zone_use() returns table (zone text, vcpus bigint, memory_gib bigint, storage_gb bigint)
    language sql stable security definer set search_path = public
    as $$ select zone, sum(vcpus), sum(memory_gib), sum(storage_gb) from reservations group by zone $$;
create policy counting on reservations for select to sluice_owner using (true);
grant execute on function zone_use() to sluice_app, sluice_system;
-- Orders lock the zones they take room from, in name order.
create function lock_zones(names text[]) returns void language plpgsql security definer set search_path = public
    as $$ begin perform 1 from zones where name = any (names) order by name for update; end $$;
grant execute on function lock_zones(text[]) to sluice_app, sluice_system;

-- Local driver and others: addresses that are given out, over all instances of a capacity cluster.
create table broker_addresses (
    host text primary key,
    org_id uuid not null,
    instance_id uuid not null,
    node_id integer not null,
    created_at timestamptz not null default now(),
    unique (instance_id, node_id)
);
call protect_tenant_table('broker_addresses', 'select');

-- Secrets of an instance, sealed under a data key: first user's password, TLS keys, token keys.
create table instance_secrets (
    instance_id uuid not null,
    org_id uuid not null,
    name text not null,
    sealed bytea not null,
    created_at timestamptz not null default now(),
    primary key (instance_id, name),
    foreign key (org_id, instance_id) references instances (org_id, id) on delete cascade
);
call protect_tenant_table('instance_secrets', 'insert');
