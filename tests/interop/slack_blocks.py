"""Reads what the Slack channels really send with Slack's own models, whose limits they must keep.

The daemon tells the same short day by an incoming webhook and by a bot, once for a plain level and once for one whose
name and note are as long and as hostile as the configuration allows. A planted message beyond the limits must be found.
"""

import argparse
import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block, ContextBlock, HeaderBlock, PlainTextObject, SectionBlock

import short_day

TOKEN = "xoxb-1-2-a-token-of-the-tests"
DIGEST = "One message for all of them."
CHANNEL = "C0123456789"
HOSTILE = "<!channel> & <@U012AB3CD> *x* _y_ `z` <https://evil.example|click> \u202e\u200b \"'\\ \U0001f4c8 "
BLOCKS_MAX, TEXT_MAX, TOTAL_MAX = 50, 4_000, 12_000


class Slack:
    """Answers as Slack does, and keeps the bodies by the way on which they came."""

    def __init__(self):
        self.webhook, self.bot = [], []
        slack = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path == "/api/chat.postMessage":
                    self.answer(slack.post(self.headers, body))
                else:
                    slack.webhook.append(body)
                    self.answer("ok")

            def answer(self, text):
                self.send_response(200)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def post(self, headers, body):
        if headers["authorization"] != f"Bearer {TOKEN}":
            return json.dumps({"ok": False, "error": "invalid_auth"})
        if not headers["content-type"].startswith("application/json"):
            return json.dumps({"ok": False, "error": "invalid_post_type"})
        ts = f"1732566672.{len(self.bot):06}"
        self.bot.append({**body, "ts": ts})
        message = {key: body[key] for key in ("text", "thread_ts") if key in body}
        return json.dumps({"ok": True, "channel": CHANNEL, "ts": ts, "message": message})


def texts(value):
    """Every text object of a block."""
    if isinstance(value, dict):
        if value.get("type") in ("plain_text", "mrkdwn"):
            yield value["text"]
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def check(body):
    """Raises when Slack would not take the message, or would make something else of it."""
    blocks = Block.parse_all(body["blocks"])
    assert None not in blocks, f"a block is not known: {body['blocks']}"
    assert len(blocks) == len(body["blocks"]) <= BLOCKS_MAX, f"{len(blocks)} of {len(body['blocks'])} blocks are read"
    for block, sent in zip(blocks, body["blocks"]):
        # The models check their limits when they are written out again.
        block.validate_json()
        assert set(sent) == set(block.to_dict()), f"{sent} is read as {block.to_dict()}"
        if isinstance(block, ContextBlock):
            assert 1 <= len(sent["elements"]) <= 10, sent
        if isinstance(block, SectionBlock):
            assert all(len(field["text"]) <= 2_000 for field in sent.get("fields", ())), sent
            assert len(sent.get("text", {}).get("text", "")) <= 3_000, sent
    assert 0 < len(body["text"]) <= TEXT_MAX, body["text"]
    every = [body["text"], *texts(body["blocks"])]
    assert all(text for text in every), body
    assert sum(map(len, every)) - len(body["text"]) <= TOTAL_MAX, f"{sum(map(len, every))} characters"
    for text in every:
        for start in ("<!", "<@", "<#", "<https://evil"):
            assert start not in text, f"a value can mention or link: {text}"


def planted():
    """Messages that must not pass."""
    header = HeaderBlock(text=PlainTextObject(text="x")).to_dict()
    header["text"]["text"] = "x" * 151
    section = {"type": "section", "fields": [{"type": "plain_text", "text": "x"}] * 11}
    long = {"type": "section", "text": {"type": "plain_text", "text": "x" * 3_001}}
    mention = {"type": "section", "text": {"type": "mrkdwn", "text": "<!channel>"}}
    for block in (header, section, long, mention, {"type": "unknown_block"}):
        yield {"text": "x", "blocks": [block]}


def check_threads(bot):
    """Every message of a thread but its first answers to the first, and what is critical is shown in the channel."""
    answers = [body for body in bot if "thread_ts" in body]
    roots = {body["ts"] for body in bot if "thread_ts" not in body}
    assert answers, "no message answered to another one"
    assert all(body["thread_ts"] in roots for body in answers), answers
    shown = {body["reply_broadcast"] for body in answers}
    assert shown == {True, False}, f"shown in the channel: {shown}"
    assert all(body["channel"] == CHANNEL and body["unfurl_links"] is False for body in bot), bot


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", required=True)
    given = arguments.parse_args()
    for body in planted():
        try:
            check(body)
        except (SlackObjectFormationError, AssertionError):
            continue
        raise SystemExit(f"the check lets through: {body}")
    slack = Slack()
    with tempfile.TemporaryDirectory() as folder:
        url = short_day.secret(folder, "slack-url", f"{slack.url}/services/T0/B0/x")
        token = short_day.secret(folder, "slack-token", TOKEN)
        name = (HOSTILE * 9)[:80].strip()
        rules = "\n".join(
            (
                short_day.level("plain", note="a note"),
                short_day.level(name, note=(HOSTILE * 99)[:4_000], said_by=(HOSTILE * 9)[:500], tags=[HOSTILE] * 20),
                f'[[channel]]\nname = "hook"\nkind = "slack"\nurl = {url}\n',
                f'[[channel]]\nname = "bot"\nkind = "slack"\ntoken = {token}\n',
                # The bot tells each by itself; the webhook makes digests of what Slack's rate holds back.
                f'channel = "{CHANNEL}"\napi = "{slack.url}/api"\ngroup_wait = "0s"\n',
                short_day.route("hook", "bot"),
            )
        )
        with short_day.running(given.binary, folder, rules) as daemon:
            count = 2 * short_day.STEPS
            short_day.until(daemon, f"{count} messages of the bot", lambda: len(slack.bot) >= count)
            short_day.until(daemon, "a digest", lambda: any(DIGEST in json.dumps(body) for body in slack.webhook))
    for body in slack.webhook + slack.bot:
        check(body)
    assert any("&lt;!channel&gt;" in json.dumps(body) for body in slack.webhook), "nothing hostile was told"
    assert any("failed" in body["text"] for body in slack.webhook), "no failure was told"
    check_threads(slack.bot)
    print(f"{len(slack.webhook)} messages by webhook and {len(slack.bot)} by a bot are within the limits")
    for body in slack.bot:
        print("  " if "thread_ts" in body else "", body["text"].splitlines()[0][:100])


if __name__ == "__main__":
    main()
