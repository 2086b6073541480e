// An authorization server: oidc-provider, with a resource per MCP path (RFC 8707), JWT access tokens and PKCE.
// `authority.mjs PORT SECONDS`: tokens live for SECONDS. TOOLGATE_NODE names the folder whose node_modules has it.

import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.TOOLGATE_NODE}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const [port, lifetime] = process.argv.slice(2).map(Number);
const issuer = `http://127.0.0.1:${port}`;

function key(type, options, use) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: "jwk" }), use: "sig", ...use };
}

const provider = new Provider(issuer, {
  jwks: {
    keys: [
      key("ec", { namedCurve: "P-256" }, { kid: "ec-1", alg: "ES256" }),
      key("rsa", { modulusLength: 2048 }, { kid: "rsa-1", alg: "RS256" }),
    ],
  },
  clients: [
    {
      client_id: "machine",
      client_secret: "a-secret-of-the-machine-alone",
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
    },
  ],
  scopes: ["openid", "offline_access", "mcp"],
  pkce: { required: () => true },
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  clientBasedCORS: () => true,
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: "mcp",
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: lifetime,
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});
provider.listen(port, "127.0.0.1", () => console.log(JSON.stringify({ issuer })));
