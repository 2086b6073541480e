// The OAuth flows of `@modelcontextprotocol/sdk` 1.x, legacy only. `typescript_v1.mjs PLAN`.

import { createRequire } from "node:module";
import { plan, run } from "./flow.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { ClientCredentialsProvider } = require("@modelcontextprotocol/sdk/client/auth-extensions.js");

let unfinished;

await run({
  machine: (options) => new ClientCredentialsProvider(options),
  async connect(authProvider) {
    const transport = (unfinished = new StreamableHTTPClientTransport(new URL(plan.url), { authProvider }));
    const client = new Client({ name: "toolgate-tests", version: "1.0.0" });
    await client.connect(transport);
    return {
      list: async () => (await client.listTools()).tools.map((tool) => tool.name),
      call: (name, given) => client.callTool({ name, arguments: given }),
      session: () => transport.sessionId,
      close: () => client.close(),
    };
  },
  finish: (_, landed) => unfinished.finishAuth(landed.get("code")),
});
