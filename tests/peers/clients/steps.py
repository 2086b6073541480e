"""What each Python client does, in order; one line of JSON at the end.

Given an adapter of one SDK with `list()`, `call(tool, arguments, progress)` and `cancelled(tool, arguments, enough)`,
which cancels the call when the coroutine of `enough` returns. A result is shown as the text that a model would read, a raised error as its message.
"""

import json
import sys

import anyio

plan = json.loads(sys.argv[1])
HEADERS = {"Authorization": f"Bearer {plan['key']}"} if plan["key"] else {}


async def shown(awaitable) -> dict:
    try:
        result = await awaitable
    except Exception as error:  # whatever the SDK raises is what its user sees
        return {"failed": True, "text": str(error) or repr(error)}
    failed = getattr(result, "is_error", None) or getattr(result, "isError", None)
    text = " ".join(getattr(item, "text", item.type) for item in result.content)
    return {"failed": bool(failed), "text": text}


async def interrupted(call, enough) -> bool:
    """Cancels the awaitable `call` when `enough()` returns; whether it was running until then."""
    running = True

    async def watched():
        nonlocal running
        await call
        running = False

    async with anyio.create_task_group() as group:
        group.start_soon(watched)
        await anyio.sleep(0)  # the call is sent before whatever `enough` sends
        await enough()
        group.cancel_scope.cancel()
    return running


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
        "cancel": await client.cancelled(cancel["tool"], cancel["arguments"], lambda: anyio.sleep(0.7)),
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


async def run(client, features) -> None:
    """`features` is the function of `features.py`, which needs more of the adapter."""
    modes = {"calls": calls, "refusal": refusal, "features": features}
    seen = await modes[plan["mode"]](client)
    print(json.dumps(seen), flush=True)
