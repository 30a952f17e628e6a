"""Records what the webhook channel really sends, one JSON line per request, for `webhook_verify.*`."""

import argparse
import json
import tempfile

import peers


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", required=True)
    arguments.add_argument("--out", required=True)
    given = arguments.parse_args()
    receiver = peers.Receiver()
    with tempfile.TemporaryDirectory() as folder:
        config = peers.configuration(folder, webhook=receiver)
        peers.run(given.binary, "test-alert", "ops", "--config", config)
    receiver.stop()
    with open(given.out, "w") as out:
        for request in receiver.requests:
            out.write(json.dumps({"secret": peers.SECRET, **request}) + "\n")
    if not receiver.requests:
        raise SystemExit("the channel reported success, but nothing arrived")
    print(f"recorded {len(receiver.requests)} requests")


if __name__ == "__main__":
    main()
