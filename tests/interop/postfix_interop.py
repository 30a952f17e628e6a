"""Mails a break through Postfix: STARTTLS required, every recipient greylisted once, and one of three unknown.

Postfix runs from a configuration and a queue of its own, on loopback only, and delivers into folders that are read
here. It must be installed, and this must run as root, as Postfix does.
"""

import argparse
import email
import email.policy
import json
import os
import pathlib
import re
import shutil
import socketserver
import subprocess
import tempfile
import threading
import time

import trustme

import peers
import rehearse_day
import smtp_faults

NOBODY = 65534
RETRY_SECONDS = 1

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
myhostname = mx.example.com
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = example.com
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/etc/users
virtual_minimum_uid = 100
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {folder}/etc/chain.pem
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = reject_unlisted_recipient, check_policy_service inet:127.0.0.1:{policy}
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


class Greylist(socketserver.ThreadingTCPServer):
    """Postfix asks it about each recipient, and is told to defer the first time."""

    daemon_threads = True

    def __init__(self):
        self.seen = set()
        super().__init__(("127.0.0.1", 0), Question)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Question(socketserver.StreamRequestHandler):
    def handle(self):
        recipient = None
        for line in self.rfile:
            key, _, value = line.decode().strip().partition("=")
            if key == "recipient":
                recipient = value
            elif not key:
                known = recipient in self.server.seen
                self.server.seen.add(recipient)
                self.wfile.write(b"action=DUNNO\n\n" if known else b"action=DEFER greylisted, come back later\n\n")


class Postfix:
    """One Postfix with all its files in `folder`."""

    def __init__(self, folder, policy):
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        os.chown(self.folder / "mail", NOBODY, NOBODY)
        authority = trustme.CA()
        self.ca_file = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(self.folder / "etc/chain.pem"))
        self.port = peers.free_port()
        users = [to for to in smtp_faults.THREE if to != smtp_faults.REFUSED]
        self.write("users", "".join(f"{user} {user.split('@')[0]}/\n" for user in users))
        self.write("main.cf", MAIN.format(folder=folder, nobody=NOBODY, policy=policy))
        self.write("master.cf", MASTER.format(port=self.port))
        self.command("start")

    def write(self, name, text):
        (self.folder / "etc" / name).write_text(text)

    def command(self, word):
        done = subprocess.run(
            ["postfix", "-c", str(self.folder / "etc"), word],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise SystemExit(f"postfix {word} ended with {done.returncode}\n{done.stdout}{done.stderr}{self.log()}")

    def log(self):
        log = self.folder / "postfix.log"
        return log.read_text() if log.exists() else ""

    def mails(self):
        """What was delivered: the recipient's folder and the mail."""
        files = sorted(self.folder.glob("mail/*/new/*"))
        return [
            (file.parent.parent.name, email.message_from_bytes(file.read_bytes(), policy=email.policy.default))
            for file in files
        ]


def configuration(folder, venue, postfix, receiver):
    config = peers.configuration(folder, levels=(2450,), venue=venue.url, webhook=receiver)
    server = f'{{ host = "localhost", port = {postfix.port}, ca_file = "{postfix.ca_file}" }}'
    text = config.read_text().replace('to = ["ops"]', 'to = ["ops", "postfix"]')
    retry = f'\n[retry]\ndelays = ["0s", "{RETRY_SECONDS}s"]\n'
    config.write_text(text + smtp_faults.channel("postfix", [server], smtp_faults.THREE, "10s") + retry)
    return config


def judge(postfix, receiver, rows, findings):
    mails = [(to, message) for to, message in postfix.mails() if "broke" in message["Subject"]]
    findings.expect([to for to, _ in mails] == ["first", "third"], f"delivered to {[to for to, _ in mails]}")
    findings.expect(len({message["Message-ID"] for _, message in mails}) == 1, "one event, several ids")
    for _, message in mails:
        findings.expect("with ESMTPS" in message["Received"], f"not encrypted: {message['Received']}")
        findings.expect(not message.defects, f"defects: {message.defects}")
    log = postfix.log()
    findings.expect(log.count("greylisted, come back later") == 2, "not greylisted once each")
    findings.expect("warning:" not in log, "Postfix warns")
    findings.expect(log.count(": connect from") == 1, "the connection was not used again")
    mailed = {row["target"]: row for row in rows if row["channel"] == "postfix"}
    states = [mailed[to]["state"] for to in smtp_faults.THREE]
    findings.expect(states == ["delivered", "dead", "delivered"], f"states: {states}")
    receipt = json.dumps(mailed[smtp_faults.THREE[0]])
    findings.expect(re.search(r"250 2\.0\.0 Ok: queued as \w+", receipt), f"no queue id: {receipt}")
    told = json.dumps(smtp_faults.failures_told(receiver))
    findings.expect("550 5.1.1" in told and "unknown" in told, f"not told elsewhere: {told}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", required=True)
    given = arguments.parse_args()
    findings = rehearse_day.Findings()
    with tempfile.TemporaryDirectory() as own, tempfile.TemporaryDirectory() as folder:
        greylist, receiver = Greylist(), peers.Receiver()
        postfix = Postfix(own, greylist.server_address[1])
        try:
            venue = rehearse_day.Venue(smtp_faults.trades(), smtp_faults.SPEED)
            config = configuration(folder, venue, postfix, receiver)
            daemon = rehearse_day.Daemon(given.binary, config, folder, smtp_faults.SPEED)
            begun = time.monotonic()
            daemon.start(rehearse_day.START)
            arrived = lambda: len(postfix.mails()) >= 2 and smtp_faults.failures_told(receiver)
            findings.expect(rehearse_day.wait_until(arrived, smtp_faults.SECONDS, daemon), "not everything arrived")
            findings.expect(daemon.stop() == 0, "the daemon did not end in good order")
            judge(postfix, receiver, smtp_faults.deliveries(given.binary, config), findings)
            if findings.wrong:
                daemon.show()
                print(postfix.log())
        finally:
            postfix.command("stop")
            greylist.shutdown()
            receiver.stop()
    findings.end()
    print(f"postfix: two of three mails delivered after greylisting, within {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
