-- What can be bought (product.md §1). Read by everybody, written by the platform; prices are numeric CNY.

create table regions (
    name text primary key,
    title text not null
);

-- Room of a zone; what is used is the sum of reservations, counted under a lock of the zone's row.
create table zones (
    name text primary key,
    region text not null references regions,
    vcpus integer not null check (vcpus >= 0),
    memory_gib integer not null check (memory_gib >= 0),
    storage_gb bigint not null check (storage_gb >= 0),
    updated_at timestamptz not null default now()
);

create table disk_types (
    name text primary key,
    title text not null,
    latency_ms text not null,
    throughput_mb_per_s integer not null,
    price_per_gb_month numeric(12, 4) not null check (price_per_gb_month >= 0),
    price_per_gb_hour numeric(12, 4) not null check (price_per_gb_hour >= 0),
    available boolean not null default true
);

create table specs (
    name text primary key,
    bandwidth_mb_per_s integer not null check (bandwidth_mb_per_s > 0),
    brokers integer not null check (brokers >= 3),
    broker_vcpus integer not null check (broker_vcpus > 0),
    broker_memory_gib integer not null check (broker_memory_gib > 0),
    disk_types text[] not null check (cardinality(disk_types) > 0),
    tps_high_throughput integer not null,
    tps_synchronous_replication jsonb not null,
    partitions integer not null check (partitions > 0),
    client_connections integer not null check (client_connections > 0),
    consumer_groups integer not null check (consumer_groups > 0),
    advised_traffic_mb_per_s integer not null,
    storage_gb_min integer not null check (storage_gb_min > 0),
    storage_gb_max integer not null check (storage_gb_max >= storage_gb_min),
    price_per_month numeric(12, 4) not null check (price_per_month >= 0),
    price_per_hour numeric(12, 4) not null check (price_per_hour >= 0),
    available boolean not null default true
);

create table kafka_versions (
    version text primary key,
    is_default boolean not null default false,
    oldest_client text not null,
    available boolean not null default true
);
create unique index kafka_versions_one_default on kafka_versions (is_default) where is_default;

grant select on regions, zones, disk_types, specs, kafka_versions to sluice_app;
grant select, insert, update, delete on regions, zones, disk_types, specs, kafka_versions to sluice_system;

insert into disk_types values
    ('high', 'High I/O', '1-3', 150, 0.60, 0.0013, true),
    ('ultra', 'Ultra-high I/O', '1', 350, 1.50, 0.0032, true);
insert into specs values
    ('kafka.100', 100, 3, 2, 4, '{high,ultra}', 100000, '[{"disk_type":"high","tps":60000},{"disk_type":"ultra","tps":80000}]', 300, 3000, 60, 70, 600, 90000, 1300, 2.71, true),
    ('kafka.300', 300, 3, 4, 8, '{high,ultra}', 300000, '[{"disk_type":"high","tps":150000},{"disk_type":"ultra","tps":200000}]', 900, 10000, 300, 210, 1200, 90000, 2100, 4.38, true),
    ('kafka.600', 600, 4, 8, 16, '{ultra}', 600000, '[{"disk_type":"ultra","tps":300000}]', 1800, 20000, 600, 420, 2400, 90000, 4005, 8.34, true),
    ('kafka.1200', 1200, 8, 8, 16, '{ultra}', 1200000, '[{"disk_type":"ultra","tps":400000}]', 1800, 20000, 600, 840, 4800, 90000, 7270, 15.15, true);
insert into kafka_versions values ('4.3.1', true, '2.1', true), ('3.9.2', false, '0.10', true);
