-- Limits of client connections that were chosen for a running instance; null: what was sold.
alter table instances
    add column max_connections integer check (max_connections > 0),
    add column max_connections_per_ip integer check (max_connections_per_ip > 0),
    -- The most that its tenant may choose, where an operator gave more than was sold, or less.
    add column allowed_connections integer check (allowed_connections > 0);
