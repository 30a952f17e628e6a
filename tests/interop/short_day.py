"""A few seconds in which much happens to levels, for scripts that look at what one channel sends.

The venue and the daemon are those of `rehearse_day`; the market is made up.
"""

import contextlib
import json
import pathlib
import time

import peers
import rehearse_day

LEVEL = 2450
# Near, broken, retested, held and armed again; and near, broken, failed and armed again.
PRICES = (
    "2430.0", "2430.1", "2442.0", "2442.1", "2450.1", "2450.2", "2451.5", "2452.0", "2450.2", "2450.1", "2451.6",
    "2451.8", "2430.0", "2429.9", "2442.0", "2450.1", "2450.2", "2449.0", "2448.5", "2430.0", "2430.1", "2430.0",
)  # fmt: skip
# What each level has to tell.
STEPS = 8
EVERY_MS = 250
WAIT_SECONDS = 60
KINDS = (
    "level.approached", "level.broken", "level.retested", "level.held", "level.failed", "level.rearmed",
    "level.suspended", "feed.down", "feed.up", "feed.quiet", "channel.failing", "channel.recovered",
)  # fmt: skip


def trades():
    begin = rehearse_day.milliseconds(rehearse_day.START) + 1_000
    return [{"p": p, "s": 5, "t": begin + n * EVERY_MS, "q": n + 1} for n, p in enumerate(PRICES)]


def level(name, **keys):
    """A level at 2450 with every step that can be told."""
    lines = [
        "[[level]]",
        f"name = {json.dumps(name, ensure_ascii=False)}",
        'instrument = "RTY"',
        f"price = {LEVEL}",
        'approach = "10 points"',
        'rearm = "5 points"',
        'cooldown = "0s"',
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in keys.items()),
    ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def running(binary, folder, rules):
    """The daemon on that day, with these levels, channels and routes, for as long as the block lasts."""
    venue = rehearse_day.Venue(trades(), 1)
    path = peers.configuration(folder, levels=(), venue=venue.url)
    text = path.read_text().split("[[route]]")[0]
    path.write_text(f"{text}\n{rules}")
    daemon = rehearse_day.Daemon(binary, path, folder, 1)
    daemon.start(rehearse_day.START)
    try:
        yield daemon
        code = daemon.stop()
        if code != 0 or venue.problems:
            daemon.show()
            raise SystemExit(f"the daemon ended with {code}; the venue: {venue.problems}")
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def route(*channels):
    return f"[[route]]\nmatch = {{ kind = {json.dumps(KINDS)} }}\nto = {json.dumps(channels)}\n"


def until(daemon, what, holds):
    """Waits for a condition; the daemon's end and a deadline end the script."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        daemon.check_alive()
        if time.monotonic() > deadline:
            daemon.show()
            raise SystemExit(f"not within {WAIT_SECONDS} s: {what}")
        time.sleep(0.05)


def secret(folder, name, value):
    """`{ file = … }` of a secret that is written here."""
    path = peers.secret_file(pathlib.Path(folder), name, value)
    return f"{{ file = {json.dumps(str(path))} }}"
