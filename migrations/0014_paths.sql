-- Addresses on the public network: one a broker, while public access is on.
alter table broker_addresses
    add column network text not null default 'private' check (network in ('private', 'public')),
    drop constraint broker_addresses_instance_id_node_id_key,
    add constraint broker_addresses_node_key unique (instance_id, node_id, network);
-- In use, that is told to clients. Reserved before that, and given back after.
alter table brokers add column public_host text;
-- A certificate is issued anew when brokers are given names that the one before does not cover.
alter table certificates
    drop constraint certificates_reason_check,
    add constraint certificates_reason_check check (reason in ('created', 'uploaded', 'rotated', 'renewed', 'addresses'));
