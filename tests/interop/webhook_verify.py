"""Verifies recorded webhook requests with the public Standard Webhooks library for Python.

Each line of the file is a request: `headers`, `body`, `secret`. A request with one byte changed, with another id
or with another secret must be refused.
"""

import base64
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def refused(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


def check(request):
    secret, body, headers = request["secret"], request["body"], request["headers"]
    event = Webhook(secret).verify(body, headers)
    assert event["type"] and event["timestamp"] and isinstance(event["data"], dict), f"not a Standard Webhook: {body}"
    assert len(body.encode()) < 20_000, "the body is larger than the standard recommends"
    assert refused(secret, body.replace('"', "'", 1), headers), "a tampered body was accepted"
    assert refused(secret, body, {**headers, "webhook-id": headers["webhook-id"] + "x"}), "another id was accepted"
    other = "whsec_" + base64.b64encode(b"another secret of some length").decode()
    assert refused(other, body, headers), "another secret was accepted"


def main():
    with open(sys.argv[1]) as tape:
        requests = [json.loads(line) for line in tape]
    assert requests, "no request was recorded"
    for request in requests:
        check(request)
    print(f"python: {len(requests)} requests verified, {3 * len(requests)} forgeries refused")


if __name__ == "__main__":
    main()
