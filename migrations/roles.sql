-- The three roles of the control plane. Run once a Postgres cluster by its superuser, with psql variables
-- owner_password, app_password and system_password; safe to run again.
--   sluice_owner   owns the schema and runs migrations; serves nothing
--   sluice_app     tenants' requests: sees only the organisation set in its transaction
--   sluice_system  loops, jobs, sign-in, operator: sees all organisations by explicit policies
do $$
begin
    if not exists (select from pg_roles where rolname = 'sluice_owner') then create role sluice_owner login; end if;
    if not exists (select from pg_roles where rolname = 'sluice_app') then create role sluice_app login; end if;
    if not exists (select from pg_roles where rolname = 'sluice_system') then create role sluice_system login; end if;
end $$;
alter role sluice_owner nosuperuser nobypassrls nocreatedb nocreaterole password :'owner_password';
alter role sluice_app nosuperuser nobypassrls nocreatedb nocreaterole password :'app_password';
alter role sluice_system nosuperuser nobypassrls nocreatedb nocreaterole password :'system_password';
