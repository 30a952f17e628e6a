// Verifies recorded webhook requests with the public Standard Webhooks library for JavaScript.
//
// Each line of the file is a request: `headers`, `body`, `secret`. A request with one byte changed, with another
// id or with another secret must be refused. Runs in the folder that has the library in its `node_modules`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Webhook, WebhookVerificationError } = createRequire(`${process.cwd()}/`)("standardwebhooks");

const refused = (secret, body, headers) =>
  assert.throws(() => new Webhook(secret).verify(body, headers), WebhookVerificationError);

function check({ secret, body, headers }) {
  const event = new Webhook(secret).verify(body, headers);
  assert.ok(event.type && event.timestamp && typeof event.data === "object", `not a Standard Webhook: ${body}`);
  refused(secret, body.replace('"', "'"), headers);
  refused(secret, body, { ...headers, "webhook-id": `${headers["webhook-id"]}x` });
  refused(`whsec_${Buffer.from("another secret of some length").toString("base64")}`, body, headers);
}

const requests = readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
assert.ok(requests.length > 0, "no request was recorded");
requests.forEach(check);
console.log(`node: ${requests.length} requests verified, ${3 * requests.length} forgeries refused`);
