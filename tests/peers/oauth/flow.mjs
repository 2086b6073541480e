// What each Node client does, in order; one line of JSON at the end. Given an SDK's way to connect with a provider of
// its own: `connect(provider)` -> { list(), call(tool, arguments), session(), close() }, which throws the SDK's error where
// the user has to go to a browser first; `finish(provider, URLSearchParams)`; `machine(options)` -> a provider.

import { execFileSync } from "node:child_process";

const plan = JSON.parse(process.argv[2]);
export { plan };

// TypeScript 1 asks for no scope that it is not given, not even after a 403 that names it.
const MACHINE = { clientId: "machine", scope: "mcp" };

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The SDK's interface for whoever has a user at a browser; it keeps in memory what an application would keep on disk.
class Person {
  redirectUrl = "http://127.0.0.1:1/callback";
  renewed = 0;
  get clientMetadata() {
    return {
      client_name: "toolgate-tests",
      redirect_uris: [this.redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }
  state = () => "a-state-of-the-client";
  clientInformation = () => this.information;
  saveClientInformation = (information) => void (this.information = information);
  tokens = () => this.kept;
  saveTokens = (tokens) => {
    this.kept = tokens;
    this.renewed += 1;
  };
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  redirectToAuthorization(url) {
    const landed = execFileSync("python3", [plan.browser, String(url), plan.user], { encoding: "utf8" }).trim();
    this.asked = Object.fromEntries(url.searchParams);
    this.landed = new URL(landed).searchParams;
    if (this.landed.get("state") !== this.state()) throw new Error("the state is another");
  }
}

const text = (result) => result.content.map((item) => item.text ?? item.type).join(" ");

export async function run({ connect, finish, machine }) {
  const provider = plan.grant === "code" ? new Person() : machine({ ...MACHINE, clientSecret: plan.secret, expectedIssuer: plan.issuer });
  let renewed = 0;
  if (plan.grant !== "code") {
    const save = provider.saveTokens.bind(provider);
    provider.saveTokens = (...given) => ((renewed += 1), save(...given));
  }
  const count = () => (plan.grant === "code" ? provider.renewed : renewed);
  let client;
  try {
    client = await connect(provider);
  } catch (error) {
    if (!provider.landed) throw error;
    await finish(provider, provider.landed);
    client = await connect(provider);
  }
  const tools = await client.list();
  const first = text(await client.call(plan.tool, plan.arguments));
  const before = client.session();
  // Called again until the token had to be renewed.
  let after;
  for (let waited = 0; (!after || count() < 2) && waited < 30000; waited += 300) {
    await sleep(300);
    after = text(await client.call(plan.tool, plan.arguments));
  }
  const seen = { tools, first, after, tokens: count(), session: [before, client.session()] };
  console.log(JSON.stringify({ ...seen, asked: provider.asked ?? null, token: provider.tokens().access_token }));
  await client.close();
  process.exit(0);
}
