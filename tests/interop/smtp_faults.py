"""Runs the daemon on one break of a level and lets every mail server in its way misbehave, each in its own manner.

Greylisting, a refused recipient among three, a server that dies before it answers, a black hole before a good server,
servers that know AUTH LOGIN or XOAUTH2 only: all made of aiosmtpd. Each mail must arrive all the same, at its right
place, under the same id however often it was sent; and what was given up must be told through the other channels.
"""

import argparse
import asyncio
import base64
import collections
import email
import email.policy
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import time

import trustme
from aiosmtpd.smtp import AuthResult, auth_mechanism

import peers
import rehearse_day

SPEED = 60
SECONDS = 45
TOKEN = "ya29.an-access-token"
REFUSED = "gone@example.com"
THREE = ["first@example.com", REFUSED, "third@example.com"]


class Greylisting(peers.MailServer):
    """451 to the first attempt at each recipient."""

    def __init__(self, *arguments, **options):
        self.seen = collections.Counter()
        super().__init__(*arguments, **options)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        self.seen[address] += 1
        if self.seen[address] == 1:
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"


class OneRefused(peers.MailServer):
    """550 to one recipient."""

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address == REFUSED:
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"


class Dying(peers.MailServer):
    """Takes the first mail and dies before it answers; is back for the next."""

    async def handle_DATA(self, server, session, envelope):
        answer = await super().handle_DATA(server, session, envelope)
        if len(self.mails) == 1:
            server.transport.abort()
        return answer


class Token(peers.MailServer):
    """XOAUTH2 and nothing else; says no in JSON, as the big providers do. After the first mail the token is void."""

    def __init__(self, *arguments, **options):
        self.refused = []
        self.good = f"{TOKEN}-2"  # the first one is that of the start
        super().__init__(*arguments, exclude=("PLAIN", "LOGIN"), **options)

    @auth_mechanism("XOAUTH2")
    async def auth_XOAUTH2(self, server, arguments):
        said = base64.b64decode(arguments[1]).decode()
        if said == f"user={peers.USER}\x01auth=Bearer {self.good}\x01\x01":
            return AuthResult(success=True)
        self.refused.append(said)
        answer = await server.challenge_auth(json.dumps({"status": "400", "schemes": "Bearer"}))
        assert answer == b"", f"the challenge was answered with {answer}"
        return AuthResult(success=False, handled=False)

    async def handle_DATA(self, server, session, envelope):
        answer = await super().handle_DATA(server, session, envelope)
        if len(self.mails) == 1:
            self.good = f"{TOKEN}-3"
            asyncio.get_running_loop().call_later(0.02, server.transport.close)
        return answer


def black_hole():
    """A port that takes connections and never says a word."""
    hole = socket.socket()
    hole.bind(("127.0.0.1", 0))
    hole.listen(64)
    return hole


def smtp(server, password, **more):
    keys = {"host": "localhost", "port": server.port, "user": peers.USER, "ca_file": str(server.ca_file), **more}
    pairs = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return f"{{ {', '.join(pairs)}, password = {password} }}"


def channel(name, servers, to=("desk@example.com",), timeout="4s"):
    return f"""
[[channel]]
name = "{name}"
kind = "email"
from = "Breakwatch <alerts@example.com>"
to = {json.dumps(list(to))}
timeout = "{timeout}"
smtp = [{", ".join(servers)}]
"""


def token_program(folder):
    """Prints another token each time it is asked."""
    path = pathlib.Path(folder) / "token"
    path.write_text(
        "#!/bin/sh\n"
        f'echo asked >>"{folder}/token-asked"\n'
        f'echo "{TOKEN}-$(($(wc -l <"{folder}/token-asked")))"\n'
    )
    path.chmod(0o700)
    return path


def configuration(folder, venue, servers, hole, receiver):
    config = peers.configuration(folder, levels=(2450,), venue=venue.url, webhook=receiver)
    password = f'{{ file = "{peers.secret_file(folder, "smtp-password", peers.PASSWORD)}" }}'
    token = f'{{ command = ["{token_program(folder)}"], ttl = "50m" }}'
    dead_end = f'{{ host = "127.0.0.1", port = {hole.getsockname()[1]}, tls = "none" }}'
    channels = {
        "grey": channel("grey", [smtp(servers["grey"], password)]),
        "three": channel("three", [smtp(servers["three"], password)], THREE),
        "dying": channel("dying", [smtp(servers["dying"], password)]),
        "hole": channel("hole", [dead_end, smtp(servers["hole"], password)]),
        "login": channel("login", [smtp(servers["login"], password, auth="login")]),
        "token": channel("token", [smtp(servers["token"], token, auth="xoauth2")]),
    }
    text = config.read_text().replace('to = ["ops"]', f"to = {json.dumps(['ops', *channels])}")
    retry = '\n[retry]\ndelays = ["0s", "1s", "1s", "1s"]\n'
    config.write_text(text + "".join(channels.values()) + retry)
    return config


def trades():
    """Up through 2,450 and on, a trade every five seconds of market time."""
    begin = rehearse_day.milliseconds(rehearse_day.START)
    prices = [2440.0, 2445.0, 2449.0, 2450.5, 2451.0, 2451.5]
    return [{"p": p, "s": 1, "t": begin + n * 5_000, "q": n + 1} for n, p in enumerate(prices)]


def broken(server):
    """The mails about the break: each as its recipient and its Message-ID."""
    found = []
    for mail in list(server.mails):
        message = email.message_from_bytes(mail["content"], policy=email.policy.default)
        if "broke" in message["Subject"]:
            found.append((mail["to"][0], message["Message-ID"]))
    return found


def deliveries(binary, config):
    done = subprocess.run(
        [binary, "deliveries", "--json", "--config", str(config)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    if done.returncode != 0:
        raise SystemExit(f"deliveries ended with {done.returncode}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def failures_told(receiver):
    bodies = [json.loads(request["body"]) for request in list(receiver.requests)]
    return [body for body in bodies if body["type"] == "channel.failing"]


def complete(servers, receiver):
    wanted = {"grey": 1, "three": 2, "dying": 2, "hole": 1, "login": 1, "token": 1}
    arrived = all(len(broken(servers[name])) >= count for name, count in wanted.items())
    return arrived and len(servers["token"].mails) >= 2 and failures_told(receiver)


def judge(servers, receiver, rows, findings):
    one = ["desk@example.com"]
    wanted = {"grey": one, "three": [THREE[0], THREE[2]], "dying": one * 2, "hole": one, "login": one, "token": one}
    ids = set()
    for name, recipients in wanted.items():
        found = broken(servers[name])
        findings.expect(sorted(to for to, _ in found) == sorted(recipients), f"{name}: arrived {found}")
        ids |= {identity for _, identity in found}
    findings.expect(len(ids) == 1, f"one event went out under several ids: {ids}")
    findings.expect(servers["grey"].seen["desk@example.com"] >= 2, "nothing was greylisted")
    findings.expect(len(servers["token"].refused) == 1, f"refused tokens: {servers['token'].refused}")
    told = [body["data"] for body in failures_told(receiver)]
    text = json.dumps(told)
    findings.expect("three" in text and "550 5.1.1 no such user here" in text, f"not told elsewhere: {text}")
    states = collections.defaultdict(list)
    for row in rows:
        if row.get("kind", "level.broken") == "level.broken":
            states[row["channel"]].append((row.get("target"), row["state"]))
    print(json.dumps(states, indent=1))
    three = dict(states["three"])
    findings.expect(
        [three.get(to) for to in THREE] == ["delivered", "dead", "delivered"], f"states of the three: {three}"
    )
    receipts = json.dumps([row for row in rows if row["channel"] == "hole"])
    findings.expect(
        re.search(r"queued as \d+ \(by localhost:\d+; 127\.0\.0\.1:\d+ failed .*no answer within 2s", receipts),
        f"the receipt does not tell of the black hole: {receipts}",
    )
    everything = json.dumps(rows) + text
    for secret in (TOKEN, peers.PASSWORD):
        findings.expect(secret not in everything, "a secret is in the ledger")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", required=True)
    given = arguments.parse_args()
    findings = rehearse_day.Findings()
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        servers = {
            "grey": Greylisting(folder, authority),
            "three": OneRefused(folder, authority),
            "dying": Dying(folder, authority),
            "hole": peers.MailServer(folder, authority),
            "login": peers.MailServer(folder, authority, exclude=("PLAIN",)),
            "token": Token(folder, authority),
        }
        hole, receiver = black_hole(), peers.Receiver()
        venue = rehearse_day.Venue(trades(), SPEED)
        config = configuration(folder, venue, servers, hole, receiver)
        daemon = rehearse_day.Daemon(given.binary, config, folder, SPEED)
        begun = time.monotonic()
        daemon.start(rehearse_day.START)
        done = rehearse_day.wait_until(lambda: complete(servers, receiver), SECONDS, daemon)
        findings.expect(done, f"not everything arrived within {SECONDS} s")
        code = daemon.stop()
        findings.expect(code == 0, f"the daemon ended with {code}")
        judge(servers, receiver, deliveries(given.binary, config), findings)
        findings.wrong.extend(f"venue: {problem}" for problem in venue.problems)
        daemon.log.flush()
        log = pathlib.Path(daemon.log.name).read_text()
        findings.expect(TOKEN not in log and peers.PASSWORD not in log, "a secret is in the log")
        if findings.wrong:
            daemon.show()
        for server in servers.values():
            server.stop()
        receiver.stop()
        hole.close()
    findings.end()
    print(f"smtp: six servers misbehaved, and everything arrived within {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
