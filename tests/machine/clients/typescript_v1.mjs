// A client on `@modelcontextprotocol/sdk` 1.x that calls without a pause. `typescript_v1.mjs PLAN`; TOOLGATE_NODE names
// the folder whose node_modules has the SDK. It says what `calls.py` says, line for line.

import { createRequire } from "node:module";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const CALL_WITHIN = 20_000;
const plan = JSON.parse(process.argv[2]);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const now = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let ended = false;
process.on("SIGTERM", () => (ended = true));

const headers = { Authorization: `Bearer ${plan.key}` };
const transport = new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } });
const client = new Client({ name: "traffic", version: "1" });
await client.connect(transport);
say({ opened: transport.sessionId });

for (let number = 0; !ended; number += 1) {
  const id = `${plan.name}.${number}`;
  say({ began: id, at: now() });
  try {
    const given = { name: "count", arguments: { id, seconds: plan.seconds } };
    const result = await client.callTool(given, undefined, { timeout: CALL_WITHIN });
    if (result.isError) throw new Error(result.content[0].text);
    say({ answered: JSON.parse(result.content[0].text), session: transport.sessionId });
  } catch (error) {
    say({ failed: id, error: `${error.name}: ${error.message}: ${error.cause?.message ?? error.cause ?? ""}` });
    await sleep(50);
  }
}
await transport.terminateSession();
await client.close();
process.exit(0);
