-- From how much of the disk that was bought the capacity policy holds (product.md §4: 95 % by default).
alter table instances add column capacity_threshold_percent integer not null default 95
    check (capacity_threshold_percent between 1 and 98);
