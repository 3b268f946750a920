-- What was told of how near an instance is to a full disk, the newest last.
alter table instances add column capacity_notices jsonb not null default '[]';
