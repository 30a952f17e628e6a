-- Bars and trade dates: the history from which derived levels follow.
-- Prices are counts of 1e-9 points, times counts of nanoseconds since 1970, UTC.

-- The rank says whose word counts: 2 = own ticks, 1 = an import, 0 = own ticks of a day that was not watched whole.
create table bars (
    instrument text not null,
    contract text not null, -- empty: the front months one after the other, as imported
    length integer not null check (length > 0), -- seconds
    start integer not null,
    front integer not null check (front in (0, 1)), -- the contract was in force: it belongs to the chained series too
    open integer not null,
    high integer not null,
    low integer not null,
    close integer not null,
    volume integer not null,
    value text, -- sum of price times size, in 1e-9 points; null when the trades are not known
    square text, -- sum of price squared times size, in 1e-18
    rank integer not null check (rank in (0, 1, 2)),
    primary key (instrument, contract, length, start)
) strict, without rowid;

create index bars_by_time on bars (start);

create table days (
    instrument text not null,
    contract text not null,
    date integer not null, -- yyyymmdd
    front integer not null check (front in (0, 1)),
    open integer not null,
    high integer not null,
    low integer not null,
    close integer not null,
    volume integer not null,
    rth_open integer,
    rth_high integer,
    rth_low integer,
    rth_close integer,
    settlement integer,
    unwatched integer not null, -- nanoseconds of open market
    rank integer not null check (rank in (0, 1, 2)),
    primary key (instrument, contract, date)
) strict, without rowid;
