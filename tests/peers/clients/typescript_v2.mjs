// A client on `@modelcontextprotocol/client` 2.x, in the era that PLAN names. `typescript_v2.mjs PLAN`;
// TOOLGATE_NODE names the folder whose node_modules has the SDK.

import { createRequire } from "node:module";
import { Heard, MODEL, USER, features } from "./features.mjs";
import { plan, run } from "./steps.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client, LOG_LEVEL_META_KEY, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const headers = plan.key ? { Authorization: `Bearer ${plan.key}` } : {};
const modern = plan.era === "modern";
const mode = modern ? { pin: "2026-07-28" } : plan.era;
const client = new Client(
  { name: "toolgate-tests", version: "1.0.0" },
  { versionNegotiation: { mode }, capabilities: { elicitation: {}, sampling: {} } },
);
const heard = new Heard();
client.setRequestHandler("elicitation/create", async () => USER);
client.setRequestHandler("sampling/createMessage", async () => MODEL);
client.setNotificationHandler("notifications/resources/updated", heard.updated);
client.setNotificationHandler("notifications/tools/list_changed", heard.changed);
client.setNotificationHandler("notifications/message", heard.logged);
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers } }));

let meta = undefined;
const adapter = {
  heard,
  list: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: (name, given, options) => client.callTool({ name, arguments: given, _meta: meta }, options),
  read: (uri) => client.readResource({ uri }),
  prompt: (name) => client.getPrompt({ name }),
  complete: (prompt, name, value) =>
    client.complete({ ref: { type: "ref/prompt", name: prompt }, argument: { name, value } }),
  follow: (uri) => (modern ? client.listen({ resourceSubscriptions: [uri] }) : client.subscribeResource({ uri })),
  // A legacy server announces changes of lists unasked.
  watch: async () => modern && (await client.listen({ toolsListChanged: true })),
  // The level of a modern request is its own; the SDK leaves it to its user.
  level: async (level) => {
    if (modern) meta = { [LOG_LEVEL_META_KEY]: level };
    else await client.setLoggingLevel(level);
  },
  close: () => client.close(),
};
await run(adapter, features);
