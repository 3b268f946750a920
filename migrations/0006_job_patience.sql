-- Patience with the present step of a job. Time in which nobody worked on it is not counted; a retry by a person begins anew.
-- Since when it is tried.
alter table jobs add column step_since timestamptz;
-- Times in a row that it was begun and came to no end: each time its runner died.
alter table jobs add column crashes integer not null default 0;
grant update (step_since, crashes) on jobs to sluice_app;
