-- Levels that do not stand in the configuration file: added and removed by hand, also while the daemon runs.

create table rules (
    id integer primary key autoincrement, -- in the order of adding
    name text not null,
    price text not null, -- as it was written
    terms text not null, -- the other cells of the row as JSON: key and text
    added_at integer not null,
    removed_at integer, -- null while it is in force
    change integer not null -- of which change this is the result; changes are counted from 1
) strict;

create unique index rules_by_name on rules (name) where removed_at is null;
create index rules_by_change on rules (change);
