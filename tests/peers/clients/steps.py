"""What each Python client does, in order; one line of JSON at the end.

Given an adapter of one SDK with `list()`, `call(tool, arguments, progress)` and `cancelled(tool, arguments,
seconds)`. A result is shown as the text that a model would read, a raised error as its message.
"""

import json
import sys

import anyio

plan = json.loads(sys.argv[1])


async def shown(awaitable) -> dict:
    try:
        result = await awaitable
    except Exception as error:  # whatever the SDK raises is what its user sees
        return {"failed": True, "text": str(error) or repr(error)}
    failed = getattr(result, "is_error", None) or getattr(result, "isError", None)
    text = " ".join(getattr(item, "text", item.type) for item in result.content)
    return {"failed": bool(failed), "text": text}


async def calls(client) -> dict:
    progress = []

    async def count(done, total, message):
        progress.append(done)

    succeed, fail, report, cancel = (plan[step] for step in ("succeed", "fail", "progress", "cancel"))
    return {
        "tools": await client.list(),
        "succeed": await shown(client.call(succeed["tool"], succeed["arguments"])),
        "fail": await shown(client.call(fail["tool"], fail["arguments"])),
        "progressed": await shown(client.call(report["tool"], report["arguments"], count)),
        "progress": len(progress),
        "cancel": await client.cancelled(cancel["tool"], cancel["arguments"], 0.7),
        "after": await shown(client.call(succeed["tool"], succeed["arguments"])),
    }


async def refusal(client) -> dict:
    def call():
        return shown(client.call(plan["succeed"]["tool"], plan["succeed"]["arguments"]))

    first, refused = await call(), await call()
    after = refused
    with anyio.move_on_after(20):
        while after["failed"]:
            await anyio.sleep(0.5)
            after = await call()
    return {"first": first, "refused": refused, "after": after}


async def run(client) -> None:
    seen = await (refusal(client) if plan["mode"] == "refusal" else calls(client))
    print(json.dumps(seen), flush=True)
