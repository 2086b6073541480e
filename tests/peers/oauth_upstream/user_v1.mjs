// A client on `@modelcontextprotocol/sdk` 1.x that shows its user URLs, legacy. `user_v1.mjs PLAN`.

import { createRequire } from "node:module";
import { elicited, headers, plan, run } from "./user.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { ElicitRequestSchema } = require("@modelcontextprotocol/sdk/types.js");

const client = new Client({ name: "toolgate-tests", version: "1.0.0" }, { capabilities: { elicitation: { url: {} } } });
client.setRequestHandler(ElicitRequestSchema, elicited);
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } }));
await run({
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: () => client.callTool({ name: plan.tool, arguments: {} }),
  close: () => client.close(),
});
