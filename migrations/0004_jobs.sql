-- Jobs: the durable queue and what users see of it (architecture.md, product.md §7).

create table jobs (
    id uuid primary key,
    org_id uuid not null,
    project_id uuid not null,
    kind text not null,
    params_version integer not null,
    params jsonb not null,
    -- Secrets among the parameters, sealed; wiped when the job ends.
    params_sealed bytea,
    resource_type text,
    resource_id uuid,
    resource_name text,
    actor text not null,
    request_id text not null,
    priority integer not null,
    state text not null check (state in ('queued', 'running', 'cancelling', 'unwinding', 'succeeded', 'failed', 'cancelled', 'stuck')),
    -- Index of the step that runs or is next; counts down while unwinding.
    step integer not null default 0 check (step >= 0),
    -- What steps leave for later ones; never secret.
    scratch jsonb not null default '{}',
    progress_percent integer not null default 0 check (progress_percent between 0 and 100),
    result jsonb,
    -- Secrets of the result, shown once to who started the job, then wiped.
    result_sealed bytea,
    problem_code text,
    problem_detail text,
    problem_step text,
    -- For operators and logs only.
    internal_detail text,
    cancel_requested boolean not null default false,
    run_after timestamptz not null default now(),
    -- State that a stuck job goes on from when it is retried.
    stuck_from text check (stuck_from in ('running', 'cancelling', 'unwinding')),
    -- When it should be done, by how long its steps took before.
    expected_end_at timestamptz,
    -- Tries of the present step, or of its undo.
    attempts integer not null default 0,
    lease_owner text,
    lease_until timestamptz,
    -- Rises with each claim; every write of a runner carries it.
    fence bigint not null default 0,
    revision bigint not null default 1,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz,
    check ((lease_owner is null) = (lease_until is null)),
    check ((state in ('succeeded', 'failed', 'cancelled')) = (ended_at is not null)),
    check (state not in ('queued', 'succeeded', 'failed', 'cancelled', 'stuck') or lease_owner is null),
    check ((state = 'stuck') = (stuck_from is not null)),
    check (state not in ('succeeded', 'failed', 'cancelled') or params_sealed is null)
);
-- One active job changes a resource.
create unique index jobs_one_active on jobs (resource_id) where state not in ('succeeded', 'failed', 'cancelled');
create index jobs_claim on jobs (priority desc, run_after) where state in ('queued', 'running', 'cancelling', 'unwinding');
create index jobs_leased on jobs (org_id) where lease_owner is not null;
create index jobs_history on jobs (kind, ended_at) where state = 'succeeded';
create index jobs_list on jobs (project_id, created_at, id);
call protect_tenant_table('jobs', 'select, insert, delete, update (cancel_requested, state, stuck_from, attempts, run_after, result_sealed, revision)');

create table job_steps (
    job_id uuid not null references jobs on delete cascade,
    org_id uuid not null,
    position integer not null,
    name text not null,
    title text not null,
    state text not null default 'pending' check (state in ('pending', 'running', 'succeeded', 'failed', 'undone', 'skipped')),
    detail text,
    attempts integer not null default 0,
    started_at timestamptz,
    ended_at timestamptz,
    primary key (job_id, position)
);
call protect_tenant_table('job_steps', 'select, insert');

create table job_events (
    job_id uuid not null references jobs on delete cascade,
    org_id uuid not null,
    seq bigint not null,
    event text not null,
    step text,
    attempt integer not null default 0,
    detail text,
    created_at timestamptz not null default now(),
    primary key (job_id, seq)
);
call protect_tenant_table('job_events', 'select, insert');

-- A loop or a shard of one is run by the replica that holds its lease.
create table loop_leases (
    name text primary key,
    owner text not null,
    until timestamptz not null,
    fence bigint not null default 1
);
grant select, insert, update, delete on loop_leases to sluice_system;
