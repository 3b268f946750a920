-- Each broker's part of the steps that go by brokers: one row a broker from the moment the job is queued.
create table job_step_brokers (
    job_id uuid not null,
    org_id uuid not null,
    position integer not null,
    node_id integer not null check (node_id >= 0),
    state text not null default 'pending' check (state in ('pending', 'running', 'succeeded', 'failed', 'undone', 'skipped')),
    detail text,
    -- Since when it is in this state.
    changed_at timestamptz,
    primary key (job_id, position, node_id),
    foreign key (job_id, position) references job_steps on delete cascade
);
call protect_tenant_table('job_step_brokers', 'select, insert');
