// The OAuth flows of `@modelcontextprotocol/client` 2.x, in the era that PLAN names. `typescript_v2.mjs PLAN`.

import { createRequire } from "node:module";
import { plan, run } from "./flow.mjs";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Client, ClientCredentialsProvider, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

let unfinished;

await run({
  machine: (options) => new ClientCredentialsProvider(options),
  async connect(authProvider) {
    const transport = (unfinished = new StreamableHTTPClientTransport(new URL(plan.url), { authProvider }));
    const mode = plan.era === "modern" ? { pin: "2026-07-28" } : plan.era;
    const client = new Client({ name: "toolgate-tests", version: "1.0.0" }, { versionNegotiation: { mode } });
    await client.connect(transport);
    return {
      list: async () => (await client.listTools()).tools.map((tool) => tool.name),
      call: (name, given) => client.callTool({ name, arguments: given }),
      session: () => transport.sessionId ?? null,
      close: () => client.close(),
    };
  },
  finish: (_, landed) => unfinished.finishAuth(landed),
});
