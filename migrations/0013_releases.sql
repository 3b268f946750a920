-- What a new release changes about instances that run.

-- Jobs that only tell nodes something leave them to the loops, which bring back a node that such a job waits for.
alter table jobs add column exclusive boolean not null default true;
-- Version of the code that made the nodes' specs of the present generation: a newer one may make others of the same rows.
alter table instances add column spec_revision integer not null default 0;
