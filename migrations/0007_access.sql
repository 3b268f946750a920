-- Ways in to an instance and who may use them: control-plane-api `Access` as JSON; what it lacks has its default.
alter table instances add column access jsonb not null default '{}';
