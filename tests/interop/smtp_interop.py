"""Sends a test alert through aiosmtpd with STARTTLS and AUTH, and reads the mail as a mail program would.

A wrong password and a certificate of an unknown authority must be refused, and nothing may arrive then.
"""

import argparse
import datetime
import email
import email.policy
import email.utils
import subprocess
import tempfile

import peers


def check(mail):
    assert mail["encrypted"], "the mail came without TLS"
    assert mail["authenticated"], "the mail came without authentication"
    assert mail["to"] == ["desk@example.com"], mail["to"]
    assert mail["from"] == "alerts@example.com", mail["from"]
    assert b"\n" not in mail["content"].replace(b"\r\n", b""), "a bare line feed is in the mail"
    assert max(map(len, mail["content"].split(b"\r\n"))) <= 998, "a line is longer than RFC 5322 allows"
    message = email.message_from_bytes(mail["content"], policy=email.policy.default)
    assert not message.defects, message.defects
    print(*(f"{name}: {value}" for name, value in message.items()), sep="\n")
    identity = message["Message-ID"]
    assert identity.startswith("<") and identity.endswith(">") and "@" in identity, identity
    assert message["Auto-Submitted"] == "auto-generated", message["Auto-Submitted"]
    assert message["X-Auto-Response-Suppress"] == "All", message["X-Auto-Response-Suppress"]
    assert "<" in message["List-Id"] and ">" in message["List-Id"], message["List-Id"]
    assert message["Precedence"] is None, "Precedence is not used"
    sent = email.utils.parsedate_to_datetime(message["Date"])
    sent = sent if sent.tzinfo else sent.replace(tzinfo=datetime.timezone.utc)  # `-0000` is UTC too
    assert abs((datetime.datetime.now(datetime.timezone.utc) - sent).total_seconds()) < 60, message["Date"]
    assert message["To"].addresses[0].addr_spec == "desk@example.com"
    assert message["From"].addresses[0].addr_spec == "alerts@example.com"
    assert 0 < len(message["Subject"]) < 78, message["Subject"]
    assert "test" in message["Subject"].lower(), f"not marked as a test: {message['Subject']}"
    kinds = [part.get_content_type() for part in message.walk()]
    assert "multipart/alternative" in kinds, kinds
    assert kinds.index("text/plain") < kinds.index("text/html"), kinds
    assert message.get_body(("plain",)).get_content().strip(), "the plain text is empty"
    assert message.get_body(("html",)).get_content().strip(), "the HTML is empty"


def refused(binary, config, server, why):
    before = len(server.mails)
    done = subprocess.run(
        [binary, "test-alert", "mail", "--config", str(config)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0, f"{why}: the command reported success\n{said}"
    assert len(server.mails) == before, f"{why}: a mail arrived"
    assert peers.PASSWORD not in said and "wr0ng" not in said, f"{why}: the password was printed\n{said}"
    print(f"{why}: refused with exit {done.returncode}: {said.strip().splitlines()[-1]}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", required=True)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        server = peers.MailServer(folder)
        config = peers.configuration(folder, mail=server)
        peers.run(given.binary, "test-alert", "mail", "--config", config)
        assert len(server.mails) == 1, f"{len(server.mails)} mails arrived"
        check(server.mails[0])

        peers.secret_file(folder, "smtp-password", "wr0ng-password")
        refused(given.binary, config, server, "wrong password")

        stranger = peers.MailServer(other)
        stranger.ca_file = server.ca_file
        config = peers.configuration(folder, mail=stranger)
        refused(given.binary, config, stranger, "unknown authority")
        stranger.stop()
        server.stop()
    print("smtp: 1 mail taken and read, 2 attempts refused")


if __name__ == "__main__":
    main()
