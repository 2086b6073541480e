// A client on `@modelcontextprotocol/sdk` 1.x, legacy only. `typescript_v1.mjs PLAN`; TOOLGATE_NODE names the
// folder whose node_modules has the SDK.

import { createRequire } from "node:module";
import { Heard, MODEL, USER, features } from "./features.mjs";
import { plan, run } from "./steps.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const types = require("@modelcontextprotocol/sdk/types.js");

const headers = plan.key ? { Authorization: `Bearer ${plan.key}` } : {};
const client = new Client(
  { name: "toolgate-tests", version: "1.0.0" },
  { capabilities: { elicitation: {}, sampling: {} } },
);
const heard = new Heard();
client.setRequestHandler(types.ElicitRequestSchema, async () => USER);
client.setRequestHandler(types.CreateMessageRequestSchema, async () => MODEL);
client.setNotificationHandler(types.ResourceUpdatedNotificationSchema, heard.updated);
client.setNotificationHandler(types.ToolListChangedNotificationSchema, heard.changed);
client.setNotificationHandler(types.LoggingMessageNotificationSchema, heard.logged);
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } }));

const adapter = {
  heard,
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: (name, given, options) => client.callTool({ name, arguments: given }, undefined, options),
  read: (uri) => client.readResource({ uri }),
  prompt: (name) => client.getPrompt({ name }),
  complete: (prompt, name, value) =>
    client.complete({ ref: { type: "ref/prompt", name: prompt }, argument: { name, value } }),
  follow: (uri) => client.subscribeResource({ uri }),
  // A legacy server announces changes of lists unasked.
  watch: async () => {},
  level: (level) => client.setLoggingLevel(level),
  close: () => client.close(),
};
await run(adapter, features);
