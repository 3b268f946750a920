-- Organisations, people, projects, sign-in. Every tenant table carries org_id, on which row-level security is keyed;
-- the setting sluice.org is made first in each transaction of sluice_app, and without it no row is seen.

create function current_org() returns uuid language sql stable
    as $$ select nullif(current_setting('sluice.org', true), '')::uuid $$;

-- Grants and both policies of a tenant table, so that none is forgotten.
create procedure protect_tenant_table(table_name regclass, app_privileges text) language plpgsql as $$
begin
    execute format('alter table %s enable row level security', table_name);
    execute format('alter table %s force row level security', table_name);
    execute format('create policy tenant on %s to sluice_app using (org_id = current_org()) with check (org_id = current_org())', table_name);
    execute format('create policy platform on %s to sluice_system using (true) with check (true)', table_name);
    execute format('grant %s on %s to sluice_app', app_privileges, table_name);
    execute format('grant select, insert, update, delete on %s to sluice_system', table_name);
end $$;

create table organisations (
    org_id uuid primary key,
    name text not null unique check (length(name) between 2 and 64),
    created_at timestamptz not null default now()
);
call protect_tenant_table('organisations', 'select');

create table users (
    id uuid primary key,
    org_id uuid not null references organisations,
    email text not null check (email = lower(email) and length(email) between 3 and 254),
    display_name text not null default '',
    password_hash text,
    org_role text check (org_role in ('owner', 'admin', 'operator', 'developer', 'viewer', 'auditor', 'billing')),
    platform_operator boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint users_email_key unique (email)
);
create index users_org on users (org_id, id);
-- platform_operator can be set by the platform only.
call protect_tenant_table('users', 'select, insert (id, org_id, email, display_name, password_hash, org_role), update (display_name, password_hash, org_role, updated_at), delete');

create table projects (
    id uuid primary key,
    org_id uuid not null references organisations,
    name text not null check (length(name) between 2 and 64),
    description text not null default '' check (length(description) <= 1024),
    instance_quota integer not null default 100 check (instance_quota >= 0),
    revision bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint projects_name_key unique (org_id, name),
    unique (org_id, id)
);
-- Quotas are raised by the platform only.
call protect_tenant_table('projects', 'select, insert (id, org_id, name, description), update (name, description, revision, updated_at), delete');

create table project_members (
    org_id uuid not null,
    project_id uuid not null,
    user_id uuid not null references users on delete cascade,
    role text not null check (role in ('owner', 'admin', 'operator', 'developer', 'viewer', 'auditor', 'billing')),
    created_at timestamptz not null default now(),
    primary key (project_id, user_id),
    foreign key (org_id, project_id) references projects (org_id, id) on delete cascade
);
create index project_members_user on project_members (user_id);
call protect_tenant_table('project_members', 'select, insert, update, delete');

create table sessions (
    id uuid primary key,
    org_id uuid not null references organisations,
    user_id uuid not null references users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text,
    check ((revoked_at is null) = (revoked_reason is null))
);
create index sessions_user on sessions (user_id);
call protect_tenant_table('sessions', 'select, update (revoked_at, revoked_reason)');

-- Failed sign-ins in a row by address, whether it has an account or not: what locks tells nothing of who exists.
create table sign_in_attempts (
    -- SHA-256 of the address in lower case
    email_hash bytea primary key check (length(email_hash) = 32),
    failures integer not null check (failures > 0),
    locked_until timestamptz,
    last_at timestamptz not null
);
grant select, insert, update, delete on sign_in_attempts to sluice_system;

-- Only hashes are kept (SHA-256 of 32 random bytes). A spent token that comes again ends its session.
create table refresh_tokens (
    hash bytea primary key check (length(hash) = 32),
    org_id uuid not null,
    session_id uuid not null references sessions on delete cascade,
    issued_at timestamptz not null default now(),
    spent_at timestamptz
);
create index refresh_tokens_session on refresh_tokens (session_id);
call protect_tenant_table('refresh_tokens', 'select');

create table service_accounts (
    id uuid primary key,
    org_id uuid not null,
    project_id uuid not null,
    name text not null check (length(name) between 2 and 64),
    role text not null check (role in ('admin', 'operator', 'developer', 'viewer', 'auditor', 'billing')),
    description text not null default '' check (length(description) <= 1024),
    revision bigint not null default 1,
    created_at timestamptz not null default now(),
    constraint service_accounts_name_key unique (project_id, name),
    foreign key (org_id, project_id) references projects (org_id, id) on delete cascade
);
call protect_tenant_table('service_accounts', 'select, insert, update, delete');

create table api_keys (
    id uuid primary key,
    org_id uuid not null,
    service_account_id uuid not null references service_accounts on delete cascade,
    hash bytea not null unique check (length(hash) = 32),
    hint text not null,
    description text not null default '' check (length(description) <= 1024),
    scopes text[] not null default '{}',
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz not null default now()
);
create index api_keys_account on api_keys (service_account_id);
call protect_tenant_table('api_keys', 'select, insert, update, delete');

-- Keys of the platform itself: no tenant policy, no grant to sluice_app.
-- data_keys: AES-256-GCM keys, each wrapped by the master key named in master_key_id; secrets name their data key.
create table data_keys (
    id integer primary key generated always as identity,
    master_key_id text not null,
    wrapped bytea not null,
    active boolean not null,
    created_at timestamptz not null default now()
);
create unique index data_keys_one_active on data_keys (active) where active;
create table signing_keys (
    kid text primary key,
    private_key_sealed bytea not null,
    public_jwk jsonb not null,
    created_at timestamptz not null default now(),
    -- Made ahead, so that every replica knows a key before the first token signed by it comes in.
    signs_from timestamptz not null,
    -- Signs until then; its public half is served until one token life later.
    signs_until timestamptz not null check (signs_until > signs_from)
);
create table certificate_authorities (
    id uuid primary key,
    -- platform: signs what clients see. internal: signs control API, INT and CTL; one an instance, and one for the platform (instance_id null).
    kind text not null check (kind in ('platform', 'internal')),
    instance_id uuid,
    certificate_pem text not null,
    private_key_sealed bytea not null,
    created_at timestamptz not null default now()
);
create unique index certificate_authorities_scope on certificate_authorities (kind, coalesce(instance_id, '00000000-0000-0000-0000-000000000000'));
grant select, insert, update, delete on data_keys, signing_keys, certificate_authorities to sluice_system;

-- The audit trail: rows are added, never changed. hash = SHA-256(previous hash of the organisation ‖ the row).
create table audit_events (
    id uuid primary key,
    org_id uuid not null,
    seq bigint not null,
    project_id uuid,
    actor text not null,
    action text not null,
    resource_type text,
    resource_id text,
    result text not null check (result in ('accepted', 'refused', 'failed')),
    problem_code text,
    source_ip text,
    user_agent text,
    request_id text not null,
    job_id uuid,
    detail jsonb not null default '{}',
    created_at timestamptz not null,
    previous_hash bytea not null,
    hash bytea not null,
    unique (org_id, seq)
);
create index audit_events_project on audit_events (org_id, project_id, id);
call protect_tenant_table('audit_events', 'select, insert');
revoke update, delete on audit_events from sluice_system;

create table idempotency_keys (
    org_id uuid not null,
    -- project id, or the organisation's where the path has none
    scope_id uuid not null,
    principal text not null,
    key text not null check (length(key) between 1 and 255),
    -- Sealed: fingerprint of the request and the answer, which may hold a secret that is shown once.
    answer_sealed bytea not null,
    created_at timestamptz not null default now(),
    primary key (scope_id, principal, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
call protect_tenant_table('idempotency_keys', 'select, insert, update, delete');
