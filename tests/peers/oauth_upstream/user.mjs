// What clients of both SDKs do that show their user URLs: list, call, visit where they are led, call again, and once more
// when the token has lapsed.

import { execFileSync } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";

export const plan = JSON.parse(process.argv[2]);
export const headers = { Authorization: `Bearer ${plan.key}` };
let urls = 0;

/// Answers an elicitation, after the user was there.
export async function elicited(request) {
  visit(request.params.url);
  return { action: "accept" };
}

function visit(url) {
  urls += 1;
  execFileSync("python3", [plan.browser, url, plan.user], { stdio: ["ignore", "ignore", "inherit"] });
}

/// `list` gives names, `call` the answer to the plan's tool.
export async function run({ list, call, close }) {
  const tools = await list();
  let answer;
  try {
    answer = await call();
  } catch (error) {
    if (error.code !== -32042) throw error;
    visit((error.data?.elicitations ?? error.elicitations)[0].url);
    answer = await call();
  }
  await pause(plan.pause * 1000);
  const after = await call();
  await close();
  console.log(JSON.stringify({ tools, urls, text: answer.content[0].text, after: after.content[0].text }));
  process.exit(0);
}
