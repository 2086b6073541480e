// A client on `@modelcontextprotocol/client` 2.x, in the era that PLAN names. `typescript_v2.mjs PLAN`;
// TOOLGATE_NODE names the folder whose node_modules has the SDK.

import { createRequire } from "node:module";
import { plan, run } from "./steps.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const headers = plan.key ? { Authorization: `Bearer ${plan.key}` } : {};
const mode = plan.era === "modern" ? { pin: "2026-07-28" } : plan.era;
const client = new Client({ name: "toolgate-tests", version: "1.0.0" }, { versionNegotiation: { mode } });
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } }));

await run({
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: (name, given, options) => client.callTool({ name, arguments: given }, options),
  close: () => client.close(),
});
