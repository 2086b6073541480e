// The door of an MCP server that checks tokens (RFC 7662): asks the provider about each, and lets no request without one
// pass. `guard.mjs PORT PROVIDER SERVER`; GET /seen tells whose tokens came with calls of tools.

import http from "node:http";

const [port, provider, server] = process.argv.slice(2);
const own = `http://127.0.0.1:${port}/mcp`;
const secret = Buffer.from("server:a-secret-of-the-server-alone").toString("base64");
const seen = [];

async function about(token) {
  const answer = await fetch(`${provider}/token/introspection`, {
    method: "POST",
    headers: { authorization: `Basic ${secret}`, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ token }),
  });
  return answer.json();
}

async function take(request, response) {
  if (request.url === "/seen") return response.end(JSON.stringify(seen));
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  const said = scheme === "Bearer" && token ? await about(token) : { active: false };
  if (!said.active || said.aud !== own || said.scope !== "mcp") {
    response.writeHead(401, { "www-authenticate": 'Bearer error="invalid_token"' });
    return response.end();
  }
  const message = body.length ? JSON.parse(body) : {};
  if (message.method === "tools/call") seen.push(said.sub ?? said.client_id);
  const headers = { ...request.headers, host: new URL(server).host };
  delete headers.authorization;
  // A connection of its own for each: one that the server closes meanwhile would fail a request.
  const onward = http.request(server, { method: request.method, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  onward.end(body);
}

const listening = http.createServer((request, response) => take(request, response).catch(() => response.destroy()));
listening.listen(Number(port), "127.0.0.1", () => console.log(JSON.stringify({ url: own })));
