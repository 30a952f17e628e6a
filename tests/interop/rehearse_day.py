"""Rehearses 25 November 2024, when RTYZ4 beat its record, against peers made of public libraries.

A WebSocket venue sends the recorded minutes as single trades on a fast clock; the daemon runs against it with a
mail server and an HTTP receiver. Every break that `breakwatch replay` finds in the same minutes must be mailed
once and posted once, marked as a rehearsal, and every signature must be right.

With `--kill-after N` the daemon is killed without warning after N seconds and started again. The venue then goes on
from a few trades before the last one it sent. Nothing may be missing; what is told twice must carry the same id.
"""

import argparse
import asyncio
import collections
import csv
import datetime
import email
import email.policy
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import websockets
import websockets.asyncio.server
from standardwebhooks.webhooks import Webhook

import peers

LEVELS = ("2450", "2460.8", "2475", "2477.1", "2500")
START = "2024-11-25T13:30:00Z"
BARS = "RTYZ4_1m_20241125_1330-1750Z.csv"
REPEATED_TRADES = 5
DRAIN_SECONDS = 60
STOP_SECONDS = 15


def milliseconds(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def rfc3339(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def trades_of(file):
    """Four trades a minute: the open, the extreme nearer to it, the other one, the close."""
    trades = []
    with open(file) as rows:
        for bar in csv.DictReader(rows):
            begin = milliseconds(bar["ts_open_utc"])
            open_, high, low, close = (bar[name] for name in ("open", "high", "low", "close"))
            high_first = float(high) - float(open_) <= float(open_) - float(low)
            path = [open_, *((high, low) if high_first else (low, high)), close]
            size = max(1, int(bar["volume"]) // 4)
            for quarter, price in enumerate(path):
                trades.append({"p": price, "s": size, "t": begin + quarter * 15_000, "q": len(trades) + 1})
    return trades


class Venue:
    """Speaks JSON as Massive's futures feed does, and sends each trade when its time on the fast clock has come.

    The clock starts when the daemon connects. A connection that comes later in the same run sees only what has
    not been sent; after `rewind` the clock starts again a few trades earlier.
    """

    def __init__(self, trades, speed):
        self.trades, self.speed = trades, speed
        self.position = 0
        self.run = 0
        self.begin = milliseconds(START)
        self.clock_from = None
        self.finished = threading.Event()
        self.problems = []
        self.port = None
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True).start()
        ready.wait(10)
        self.url = f"ws://127.0.0.1:{self.port}/futures"

    def rewind(self):
        """Goes back a few trades; returns the market time at which the next run begins."""
        self.run += 1
        self.position = max(0, self.position - REPEATED_TRADES)
        self.begin = self.trades[self.position]["t"]
        self.clock_from = None
        return rfc3339(self.begin)

    async def _serve(self, ready):
        async with websockets.asyncio.server.serve(self._client, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await asyncio.get_running_loop().create_future()

    async def _client(self, socket):
        try:
            await self._talk(socket)
        except websockets.exceptions.ConnectionClosed:
            pass
        except Exception as problem:  # shown at the end: a server must not hide its own errors
            self.problems.append(repr(problem))

    async def _talk(self, socket):
        await socket.send('[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
        request = json.loads(await socket.recv())
        if request != {"action": "auth", "params": peers.FEED_KEY}:
            self.problems.append(f"the client did not log in: {request}")
            await socket.send('[{"ev":"status","status":"auth_failed","message":"authentication failed"}]')
            return
        await socket.send('[{"ev":"status","status":"auth_success","message":"authenticated"}]')
        request = json.loads(await socket.recv())
        if request["action"] != "subscribe" or f"T.{peers.SYMBOL}" not in request["params"].split(","):
            self.problems.append(f"the client did not subscribe: {request}")
            return
        await socket.send(f'[{{"ev":"status","status":"success","message":"subscribed to: {request["params"]}"}}]')
        await socket.send(self._snapshot())
        stream = asyncio.create_task(self._stream(socket))
        try:
            async for _ in socket:  # further requests and pings
                pass
        finally:
            stream.cancel()

    def _snapshot(self):
        """The last trade before the next one, as a venue sends it after a subscription."""
        if self.position > 0:
            return self._row(self.trades[self.position - 1])
        return self._row({**self.trades[0], "t": milliseconds("2024-11-22T21:59:59Z"), "q": 0})

    @staticmethod
    def _row(trade):
        p, s, t, q = (trade[name] for name in "pstq")
        return f'[{{"ev":"T","sym":"{peers.SYMBOL}","p":{p},"s":{s},"t":{t},"q":{q}}}]'

    async def _stream(self, socket):
        run = self.run
        if self.clock_from is None:
            self.clock_from = time.monotonic()
        while self.position < len(self.trades):
            trade = self.trades[self.position]
            due = self.clock_from + (trade["t"] - self.begin) / 1000 / self.speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await socket.send(self._row(trade))
            if run != self.run:  # sent to a daemon that has been killed
                return
            self.position += 1
        self.finished.set()


class Daemon:
    """The program under test, and what it logs."""

    def __init__(self, binary, config, folder, speed):
        self.binary, self.config, self.speed = binary, config, speed
        self.log = open(pathlib.Path(folder) / "daemon.log", "w+")
        self.process = None

    def start(self, begin):
        command = [self.binary, "run", "--rehearse", f"{begin}@{self.speed}", "--config", str(self.config)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends it in good order; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"nothing within {STOP_SECONDS} s of SIGTERM"

    def check_alive(self):
        code = self.process.poll()
        if code is not None:
            self.show()
            raise SystemExit(f"the daemon ended by itself with {code}")

    def show(self):
        self.log.flush()
        self.log.seek(0)
        print("--- the daemon's last words", *self.log.read().splitlines()[-60:], sep="\n", file=sys.stderr)


def broken_by_replay(binary, config, file):
    """What must be found, as a multiset of level and minute, because a bar knows no more than the minute."""
    done = subprocess.run(
        [binary, "replay", str(file), "--format", "csv", "--instrument", peers.SYMBOL, "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    if done.returncode != 0:
        raise SystemExit(f"replay ended with {done.returncode}\n{done.stderr}")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return collections.Counter(place(row) for row in rows if row.get("kind") == "level.broken")


def place(event):
    return event["level"], event["occurred_at"][:16]


class Findings:
    """What is wrong, in words."""

    def __init__(self):
        self.wrong = []

    def expect(self, right, words):
        if not right:
            self.wrong.append(words)

    def same(self, expected, found, what):
        for place_, count in sorted((expected - found).items()):
            self.wrong.append(f"{what}: missing {count} x {place_}")
        for place_, count in sorted((found - expected).items()):
            self.wrong.append(f"{what}: too many, {count} x {place_}")

    def end(self):
        """Prints what is wrong, and ends the script when anything is."""
        for wrong in self.wrong:
            print(f"WRONG: {wrong}", file=sys.stderr)
        if self.wrong:
            raise SystemExit(1)


def verify(findings):
    """Checks a signature while its time stamp is fresh."""

    def on_request(request):
        try:
            Webhook(peers.SECRET).verify(request["body"], request["headers"])
        except Exception as problem:  # any refusal of the library is a finding
            findings.wrong.append(f"signature of {request['headers'].get('webhook-id')}: {problem}")

    return on_request


def posted_events(receiver, findings):
    """The breaks among the webhook's requests."""
    events = []
    for request in list(receiver.requests):
        body = json.loads(request["body"])
        event = body["data"]
        if body["type"] != "level.broken":
            continue
        findings.expect(request["headers"]["webhook-id"] == event["id"], f"webhook-id differs from {event['id']}")
        findings.expect(event.get("rehearsal") is True, f"{event['id']} is not marked as a rehearsal in its data")
        events.append(event)
    return events


def mailed_ids(server, findings):
    """The event ids of all mails: what stands before the @ of the Message-ID."""
    ids = []
    for mail in list(server.mails):
        message = email.message_from_bytes(mail["content"], policy=email.policy.default)
        findings.expect("REHEARSAL" in message["Subject"], f"not marked: {message['Subject']}")
        findings.expect(mail["encrypted"] and mail["authenticated"], f"not protected: {message['Subject']}")
        ids.append(message["Message-ID"].strip("<> ").split("@")[0])
    return ids


def drained(receiver, server, expected):
    """Whether both peers have as many distinct breaks as there are."""
    quiet = Findings()
    posted = {event["id"] for event in posted_events(receiver, quiet)}
    mailed = posted & set(mailed_ids(server, quiet))
    return len(posted) >= expected and len(mailed) >= expected


def wait_until(condition, seconds, daemon):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        daemon.check_alive()
        time.sleep(0.1)
    return condition()


def judge(expected, receiver, server, killed, findings):
    events = posted_events(receiver, findings)
    posts = collections.Counter(event["id"] for event in events)
    mails = collections.Counter(mailed_ids(server, findings))
    by_id = {event["id"]: event for event in events}
    distinct = collections.Counter(place(event) for event in by_id.values())
    findings.same(expected, distinct, "posted")
    mailed = collections.Counter(place(event) for id_, event in by_id.items() if mails[id_] > 0)
    findings.same(expected, mailed, "mailed")
    repeats = sum(posts.values()) - len(posts) + sum(mails[id_] - 1 for id_ in by_id if mails[id_] > 1)
    if not killed:
        findings.expect(repeats == 0, f"{repeats} messages were sent twice although nothing was killed")
    facts = collections.defaultdict(set)
    for event in events:
        facts[event["id"]].add((event["level"], event["occurred_at"], event["price"]))
    for id_, versions in facts.items():
        findings.expect(len(versions) == 1, f"{id_} means different things: {versions}")
    print(f"{sum(expected.values())} breaks by replay; {len(by_id)} told, {repeats} repeats, {len(server.mails)} mails")
    for (level, minute), count in sorted(expected.items(), key=lambda item: item[0][::-1]):
        print(f"  {minute}Z  {level:>7}  {count}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", required=True)
    arguments.add_argument("--data", required=True, type=pathlib.Path, help="the folder with the recorded minutes")
    arguments.add_argument("--speed", type=int, default=60)
    arguments.add_argument("--kill-after", type=float, metavar="SECONDS")
    given = arguments.parse_args()
    file = given.data / BARS
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        trades = trades_of(file)
        venue = Venue(trades, given.speed)
        receiver, server = peers.Receiver(verify(findings)), peers.MailServer(folder)
        config = peers.configuration(folder, LEVELS, venue.url, mail=server, webhook=receiver)
        expected = broken_by_replay(given.binary, config, file)
        findings.expect(expected, "the replay found no break at all")
        daemon = Daemon(given.binary, config, folder, given.speed)
        daemon.start(START)
        if given.kill_after is not None:
            wait_until(venue.finished.is_set, given.kill_after, daemon)
            daemon.kill()
            print(f"killed after {given.kill_after} s, at trade {venue.position} of {len(trades)}")
            daemon.start(venue.rewind())
        day = (trades[-1]["t"] - milliseconds(START)) / 1000 / given.speed
        findings.expect(wait_until(venue.finished.is_set, day + 60, daemon), "the venue could not send the whole day")
        count = sum(expected.values())
        if not wait_until(lambda: drained(receiver, server, count), DRAIN_SECONDS, daemon):
            findings.wrong.append(f"not everything was told within {DRAIN_SECONDS} s of the last trade")
        code = daemon.stop()
        findings.expect(code == 0, f"the daemon ended with {code}")
        judge(expected, receiver, server, given.kill_after is not None, findings)
        findings.wrong.extend(f"venue: {problem}" for problem in venue.problems)
        if findings.wrong:
            daemon.show()
        receiver.stop()
        server.stop()
    findings.end()


if __name__ == "__main__":
    main()
