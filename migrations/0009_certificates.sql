-- Certificates that instances show to clients, and those that they showed before. Keys lie sealed in instance_secrets.
create table certificates (
    id uuid primary key,
    instance_id uuid not null,
    org_id uuid not null,
    source text not null check (source in ('platform', 'own')),
    reason text not null check (reason in ('created', 'uploaded', 'rotated', 'renewed')),
    -- As it is shown: leaf first, without the root.
    certificate_pem text not null,
    -- The root that clients must trust for it.
    trust_pem text not null,
    not_after timestamptz not null,
    -- When the service issues the next one. Own certificates are their tenants' to renew.
    renew_at timestamptz,
    -- When the tenant was told that it ends soon: [{"days_left": 30, "at": …}].
    notices jsonb not null default '[]',
    -- Null: the service itself.
    created_by text,
    job_id uuid,
    created_at timestamptz not null,
    replaced_at timestamptz,
    replaced_by uuid,
    -- Clients are told to trust it until then, after it was replaced.
    trusted_until timestamptz,
    check ((source = 'platform') = (renew_at is not null)),
    check ((replaced_at is null) = (trusted_until is null) and (replaced_at is null) = (replaced_by is null)),
    foreign key (org_id, instance_id) references instances (org_id, id) on delete cascade
);
-- One is served.
create unique index certificates_served on certificates (instance_id) where replaced_at is null;
create index certificates_earlier on certificates (instance_id, replaced_at desc) where replaced_at is not null;
create index certificates_ending on certificates (not_after) where replaced_at is null;
call protect_tenant_table('certificates', 'select');
