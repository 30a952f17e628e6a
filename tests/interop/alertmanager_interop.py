"""Tells a real Prometheus Alertmanager of a break and its end, and asks it what it knows.

Alertmanager listens on loopback, alone, with its data in a folder that is gone afterwards.
"""

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import peers
import short_day

RECEIVERS = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"
LEVEL = 'the "key" level\\2450'


class Alertmanager:
    def __init__(self, program, folder):
        self.url = f"http://127.0.0.1:{peers.free_port()}"
        config = f"{folder}/alertmanager.yml"
        with open(config, "w") as file:
            file.write(RECEIVERS)
        self.log = open(f"{folder}/alertmanager.log", "w+")
        self.process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.path={folder}/data",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + 30
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"Alertmanager is not ready:\n{self.said()}")
            time.sleep(0.05)

    def _ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def said(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()[-4_000:]

    def alerts(self):
        """What is open now, as the API says it."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return json.load(answer)

    def open_breaks(self):
        return [alert for alert in self.alerts() if alert["labels"]["alertname"] == "level.broken"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@contextlib.contextmanager
def alertmanager(program):
    with tempfile.TemporaryDirectory() as folder:
        server = Alertmanager(program, folder)
        try:
            yield server
        finally:
            server.stop()


def channel(server):
    return f'[[channel]]\nname = "am"\nkind = "webhook"\nformat = "alertmanager"\nurl = "{server.url}/api/v2/alerts"\n'


def check(alert):
    labels = alert["labels"]
    print(json.dumps({key: alert[key] for key in ("labels", "startsAt", "endsAt", "status")}, indent=2))
    assert labels["instrument"] == "RTY" and labels["level"] == LEVEL, labels
    assert labels["rehearsal"] == "true" and labels["thread"], labels
    assert set(labels) == {"alertname", "instrument", "level", "rehearsal", "thread"}, labels
    assert alert["annotations"]["severity"] == "high", alert["annotations"]
    assert "2,450.0" in alert["annotations"]["summary"], alert["annotations"]
    assert alert["status"]["state"] in ("active", "unprocessed"), alert["status"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", required=True)
    arguments.add_argument("--alertmanager", default="prometheus-alertmanager")
    given = arguments.parse_args()
    with alertmanager(given.alertmanager) as server, tempfile.TemporaryDirectory() as folder:
        assert server.alerts() == [], "it begins with nothing"
        rules = "\n".join((short_day.level(LEVEL), channel(server), short_day.route("am")))
        with short_day.running(given.binary, folder, rules) as daemon:
            short_day.until(daemon, "an open break", server.open_breaks)
            opened = server.open_breaks()
            check(opened[0])
            first = opened[0]["labels"]["thread"]
            # The level breaks again, under a new thread, once it was armed again: the first alert has an end then.
            others = lambda: {alert["labels"]["thread"] for alert in server.open_breaks()} - {first}
            short_day.until(daemon, "a second break", others)
            short_day.until(daemon, "the end of both", lambda: not server.open_breaks())
        peers.run(given.binary, "test-alert", "am", "--config", f"{folder}/breakwatch.toml")
        tests = [alert for alert in server.alerts() if alert["labels"].get("test") == "true"]
        assert [alert["labels"]["alertname"] for alert in tests] == ["test"], server.alerts()
        bad = [line for line in server.said().splitlines() if "level=error" in line or "level=warn" in line]
        assert not bad, bad
    print("the break was open, and its end ended it")


if __name__ == "__main__":
    main()
