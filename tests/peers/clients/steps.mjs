// What each Node client does, in order; one line of JSON at the end. Given an adapter of one SDK:
// `list()` -> names, `call(tool, arguments, {onprogress, signal})` -> result, `close()`.
// A result is shown as the text that a model would read, a thrown error as its message.

const plan = JSON.parse(process.argv[2]);
export { plan };

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function shown(promise) {
  try {
    const result = await promise;
    const text = result.content.map((item) => item.text ?? item.type).join(" ");
    return { failed: result.isError === true, text };
  } catch (error) {
    return { failed: true, text: String(error.message ?? error) };
  }
}

async function calls(client) {
  const tools = await client.list();
  const succeed = await shown(client.call(plan.succeed.tool, plan.succeed.arguments));
  const fail = await shown(client.call(plan.fail.tool, plan.fail.arguments));
  let progress = 0;
  const onprogress = () => (progress += 1);
  const progressed = await shown(client.call(plan.progress.tool, plan.progress.arguments, { onprogress }));
  const stop = new AbortController();
  const cancelled = shown(client.call(plan.cancel.tool, plan.cancel.arguments, { signal: stop.signal }));
  setTimeout(() => stop.abort("no longer wanted"), 700);
  const cancel = await cancelled;
  const after = await shown(client.call(plan.succeed.tool, plan.succeed.arguments));
  return { tools, succeed, fail, progressed, progress, cancel, after };
}

async function refusal(client) {
  const first = await shown(client.call(plan.succeed.tool, plan.succeed.arguments));
  const refused = await shown(client.call(plan.succeed.tool, plan.succeed.arguments));
  let after = refused;
  for (let waited = 0; after.failed && waited < 20000; waited += 500) {
    await sleep(500);
    after = await shown(client.call(plan.succeed.tool, plan.succeed.arguments));
  }
  return { first, refused, after };
}

// `features` is the function of `features.mjs`, which needs more of the adapter.
export async function run(client, features) {
  const modes = { calls, refusal, features };
  const seen = await modes[plan.mode](client);
  console.log(JSON.stringify(seen));
  await client.close();
  process.exit(0);
}
