// An authorization server behind the gate: oidc-provider, with opaque tokens that the server asks it about.
// `provider.mjs PORT SECONDS RESOURCE REDIRECT_URI`: tokens live for SECONDS. TOOLGATE_NODE names the folder whose
// node_modules has it.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const [port, lifetime, resource, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "gate",
      client_secret: "a-secret-of-the-gate-alone",
      grant_types: ["client_credentials", "authorization_code", "refresh_token"],
      redirect_uris: [redirect],
      response_types: ["code"],
      scope: "mcp",
    },
    {
      client_id: "server",
      client_secret: "a-secret-of-the-server-alone",
      grant_types: [],
      redirect_uris: [],
      response_types: [],
    },
  ],
  scopes: ["mcp"],
  pkce: { required: () => true },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, asked) => {
        if (asked !== resource) throw new Error(`a token for ${asked}`);
        return { scope: "mcp", audience: asked, accessTokenFormat: "opaque", accessTokenTTL: Number(lifetime) };
      },
    },
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ issuer })));
