"""The other side, made of public libraries: an SMTP server, an HTTP receiver, and a configuration that names them.

Everything listens on loopback, on ports that are free. Nothing here judges; the scripts do.
"""

import base64
import json
import logging
import os
import pathlib
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

USER = "alerts"
PASSWORD = "correct horse battery staple"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
FEED_KEY = "a-key-of-the-venue"
SYMBOL = "RTYZ4"
BODY_MAX = 1 << 20

logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # refused handshakes are part of the test


class Receiver:
    """Takes POSTs, answers 204, and keeps them in `requests` as dicts of `headers` and `body`."""

    def __init__(self, on_request=None):
        self.requests = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                length = min(int(self.headers.get("content-length", 0)), BODY_MAX)
                body = self.rfile.read(length).decode()
                request = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
                if on_request is not None:
                    on_request(request)
                receiver.requests.append(request)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/breakwatch"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()


class MailServer:
    """SMTP with STARTTLS and AUTH, both required; keeps what it took in `mails` as dicts.

    `exclude` names ways to log in that it does not offer.
    """

    def __init__(self, folder, authority=None, exclude=()):
        authority = authority or trustme.CA()
        self.ca_file = pathlib.Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.mails = []
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._authenticate,
            auth_exclude_mechanism=list(exclude),
        )
        self.controller.start()
        self.port = self.controller.port

    @staticmethod
    def _authenticate(_server, _session, _envelope, _mechanism, login):
        right = (login.login, login.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)

    async def handle_DATA(self, _server, session, envelope):
        self.mails.append(
            {
                "from": envelope.mail_from,
                "to": list(envelope.rcpt_tos),
                "content": envelope.content,
                "encrypted": session.ssl is not None,
                "authenticated": bool(session.authenticated),
            }
        )
        return f"250 2.0.0 queued as {len(self.mails)}"

    def stop(self):
        self.controller.stop()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def secret_file(folder, name, value):
    """Writes a secret that only its owner can read, and returns its path."""
    path = pathlib.Path(folder) / name
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(value)
    return path


def configuration(folder, levels=(2450,), venue="ws://127.0.0.1:9/futures", mail=None, webhook=None):
    """Writes a whole configuration into `folder` and returns its path."""
    folder = pathlib.Path(folder)
    key = secret_file(folder, "feed-key", FEED_KEY)
    parts = [
        f"""
[storage]
path = "{folder}/breakwatch.db"

[control]
socket = "{folder}/control.sock"

[[feed]]
name = "venue"
kind = "json"
url = "{venue}"
secrets = {{ key = {{ file = "{key}" }} }}
instruments = {{ RTY = "{SYMBOL}" }}
greet = [
    {{ expect = {{ "/0/status" = "connected" }} }},
    {{ send = '{{"action":"auth","params":"${{key}}"}}', expect = {{ "/0/status" = "auth_success" }} }},
]
subscribe = '{{"action":"subscribe","params":"T.${{symbol}}"}}'
refuse = {{ "/0/status" = ["auth_failed", "not authorized"] }}
ws_ping = "20s"
transport_silence = "45s"
market_silence = "2m"
realtime = true

[feed.trade]
each = "/*"
where = {{ "/ev" = "T" }}
symbol = "/sym"
price = "/p"
size = "/s"
time = {{ at = "/t", unit = "ms" }}
sequence = "/q"
"""
    ]
    for level in levels:
        parts.append(
            f"""
[[level]]
name = "{level}"
instrument = "RTY"
price = "{level}"
"""
        )
    if mail is not None:
        password = secret_file(folder, "smtp-password", PASSWORD)
        parts.append(
            f"""
[[channel]]
name = "mail"
kind = "email"
to = ["desk@example.com"]
from = "Breakwatch <alerts@example.com>"
smtp = {{ host = "localhost", port = {mail.port}, tls = "starttls", user = "{USER}", password = {{ file = "{password}" }}, ca_file = "{mail.ca_file}" }}
"""
        )
    if webhook is not None:
        secret = secret_file(folder, "webhook-secret", SECRET)
        parts.append(
            f"""
[[channel]]
name = "ops"
kind = "webhook"
url = "{webhook.url}"
secret = {{ file = "{secret}" }}
"""
        )
    channels = [name for name, peer in (("mail", mail), ("ops", webhook)) if peer is not None]
    parts.append(f"\n[[route]]\nto = {json.dumps(channels)}\n")
    path = folder / "breakwatch.toml"
    path.write_text("".join(parts))
    return path


def run(binary, *arguments, seconds=60):
    """Runs one command to its end, shows what it printed, and returns it; a failure ends the script."""
    done = subprocess.run(
        [binary, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds
    )
    print(f"$ breakwatch {' '.join(map(str, arguments))}", done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    if done.returncode != 0:
        raise SystemExit(f"breakwatch {arguments[0]} ended with {done.returncode}")
    return done
