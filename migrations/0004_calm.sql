-- What keeps a channel calm: what is urgent goes first, a digest carries the deliveries that it stands for, and a
-- level can be snoozed.

alter table deliveries add column urgent integer not null default 0 check (urgent in (0, 1));
-- The delivery of the digest in which this one is told; it ends as that one ends.
alter table deliveries add column carried_by integer references deliveries (id) on delete set null;

update deliveries set urgent = 1 where event in (select seq from events where severity = 'critical');

create index deliveries_to_send on deliveries (channel, urgent desc, due_at, event)
    where state = 'due' and carried_by is null;
create index deliveries_carried on deliveries (carried_by) where carried_by is not null;

create table snoozes (
    level text primary key,
    until integer not null -- what is not urgent about the level is told then
) strict, without rowid;
