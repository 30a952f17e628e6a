-- The ledger: what was established, whom it is told to, and how that went; and where each level stands.
-- Every time is a count of nanoseconds since 1970, UTC.

-- "brkw": by this the program knows its own files.
pragma application_id = 0x62726b77;

create table events (
    seq integer primary key autoincrement, -- in the order of recording; never used twice
    id text not null unique,
    thread text not null,
    kind text not null,
    severity text not null,
    level text,
    instrument text,
    occurred_at integer not null,
    detected_at integer not null,
    committed_at integer not null,
    body text not null -- the whole event as JSON; the columns above are there to be searched
) strict;

create index events_by_thread on events (thread, seq);
create index events_by_time on events (occurred_at);
create index events_by_level on events (level, seq);

create table deliveries (
    id integer primary key autoincrement,
    event integer not null references events (seq),
    channel text not null,
    target text not null, -- the recipient; empty where the channel has only one
    state text not null check (state in ('due', 'sending', 'delivered', 'dead')),
    due_at integer not null, -- when the next attempt may begin
    opened_at integer not null, -- when it was made, or last sent again by hand: giving up counts from here
    attempts integer not null default 0 check (attempts >= 0),
    unique (event, channel, target)
) strict;

create index deliveries_by_state on deliveries (channel, state, due_at, event);

-- ended_at and outcome are both null while the attempt is under way. When only the outcome is null, the process
-- ended before the peer's answer was known.
create table attempts (
    delivery integer not null references deliveries (id),
    number integer not null check (number > 0),
    begun_at integer not null,
    ended_at integer,
    outcome text check (outcome is null or ended_at is not null),
    primary key (delivery, number)
) strict, without rowid;

create table levels (
    key text primary key,
    fingerprint text not null, -- of the rule for which the state holds
    state text not null
) strict, without rowid;

create table books (
    instrument text primary key,
    state text not null
) strict, without rowid;
