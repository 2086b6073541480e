// A client on `@modelcontextprotocol/sdk` 1.x, legacy only. `typescript_v1.mjs PLAN`; TOOLGATE_NODE names the
// folder whose node_modules has the SDK.

import { createRequire } from "node:module";
import { plan, run } from "./steps.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");

const headers = plan.key ? { Authorization: `Bearer ${plan.key}` } : {};
const client = new Client({ name: "toolgate-tests", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } }));

await run({
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: (name, given, options) => client.callTool({ name, arguments: given }, undefined, options),
  close: () => client.close(),
});
