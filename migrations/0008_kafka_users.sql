-- Kafka users of instances. Passwords are Kafka's alone, as SCRAM credentials.
create table kafka_users (
    instance_id uuid not null,
    org_id uuid not null,
    name text not null check (name ~ '^[A-Za-z][A-Za-z0-9_-]{3,63}$'),
    disabled boolean not null default false,
    -- Generation at which earlier logins ended: nodes close what logged in under an older one.
    logins_since bigint,
    -- Gone for its tenant; the row stays until another change, so that every node is told that the logins ended.
    deleted boolean not null default false,
    -- Null: from before this was kept.
    created_by text,
    revision bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (instance_id, name),
    foreign key (org_id, instance_id) references instances (org_id, id) on delete cascade
);

-- The first users of instances that are there. The owner of the tables sees no rows while row-level security is forced.
alter table instances no force row level security;
insert into kafka_users (instance_id, org_id, name, created_at, updated_at)
select id, org_id, first_user, created_at, created_at from instances where state not in ('create-failed', 'deleting');
alter table instances force row level security;

call protect_tenant_table('kafka_users', 'select, insert, update');
