// Every feature of the protocol, one after the other: the steps of `matrix.py` for Node clients, as
// `features.py` has them for Python. Given the adapter of `steps.mjs` with, besides,
// `read(uri)`, `prompt(name)`, `complete(name, argument, value)` -> results, `follow(uri)`, `watch()`, `level(level)`,
// and `heard`, which its handlers fill. Each feature yields `{failed, text}`, and what else is to be judged.

import { plan, shown, sleep } from "./steps.mjs";

// What a client answers when it is asked.
export const USER = { action: "accept", content: { username: "ada", email: "ada@example.org" } };
export const MODEL = { role: "assistant", content: { type: "text", text: "Berlin" }, model: "none" };

// What arrives aside from answers, in order.
export class Heard {
  updates = [];
  changes = 0;
  logs = [];
  updated = (note) => void this.updates.push(note.params.uri);
  changed = () => void (this.changes += 1);
  logged = (note) => void this.logs.push(note.params.level);
}

async function until(condition) {
  for (const began = Date.now(); !(await condition()) && Date.now() - began < plan.patience * 1000; ) await sleep(20);
}

async function attempt(step) {
  try {
    return { failed: false, ...(await step()) };
  } catch (error) {
    return { failed: true, text: String(error.message ?? error) };
  }
}

export async function features(client) {
  const { heard, call } = client;
  const said = (name, given = {}, options) => shown(call(name, given, options));
  const steps = {
    list: async () => ({ text: (await client.list()).join(" ") }),
    call: () => said("test_simple_text"),
    failing: () => said("test_error_handling"),
    progress: async () => {
      let reports = 0;
      const seen = await said("test_tool_with_progress", {}, { onprogress: () => (reports += 1) });
      return { ...seen, reports };
    },
    cancel: async () => {
      const stop = new AbortController();
      const call = said("slow", { seconds: 20, tag: plan.tag }, { signal: stop.signal });
      const counts = async () => JSON.parse((await said("counts")).text)[plan.tag] ?? {};
      await until(async () => (await counts()).began === 1);
      stop.abort("no longer wanted");
      const seen = await call;
      await until(async () => (await counts()).cancelled === 1);
      return { ...seen, ...(await counts()) };
    },
    elicitation: () => said("test_elicitation", { message: "Who are you?" }),
    sampling: () => said("test_sampling", { prompt: "What is the capital of Germany?" }),
    read: async () => ({ text: (await client.read("test://static-text")).contents[0].text }),
    subscription: async () => {
      await client.follow("test://watched-resource");
      const seen = await said("test_trigger_resource_update");
      await until(() => heard.updates.length > 0);
      return { ...seen, updates: heard.updates };
    },
    change: async () => {
      await client.watch();
      const seen = await said("test_trigger_tool_change");
      await until(() => heard.changes > 0);
      return { ...seen, changes: heard.changes };
    },
    prompt: async () => ({ text: (await client.prompt("test_simple_prompt")).messages[0].content.text }),
    completion: async () => {
      const { completion } = await client.complete("test_prompt_with_arguments", "arg1", "te");
      return { text: completion.values.join(" ") };
    },
    logging: async () => {
      await client.level("warning");
      const seen = await said("log_levels");
      await until(() => heard.logs.length > 0);
      return { ...seen, logs: heard.logs };
    },
  };
  const seen = {};
  for (const name of Object.keys(steps)) seen[name] = await attempt(steps[name]);
  return seen;
}
