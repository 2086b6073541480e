// A client on `@modelcontextprotocol/client` 2.x that shows its user URLs, in the era that PLAN names. `user_v2.mjs PLAN`.

import { createRequire } from "node:module";
import { elicited, headers, plan, run } from "./user.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const mode = plan.era === "modern" ? { pin: "2026-07-28" } : plan.era;
const client = new Client(
  { name: "toolgate-tests", version: "1.0.0" },
  { versionNegotiation: { mode }, capabilities: { elicitation: { url: {} } } },
);
client.setRequestHandler("elicitation/create", elicited);
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } }));
await run({
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: () => client.callTool({ name: plan.tool, arguments: {} }),
  close: () => client.close(),
});
