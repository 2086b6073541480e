"""What a client on a Python SDK does: one session, call after call, and a line of JSON on standard output for each.

Given an adapter of one SDK, `connect(plan, kept)`: an asynchronous context whose value makes a call. It opens a session
where `kept` is empty, and goes on with the one that it kept where it is not: these SDKs end their transport, with
every call that it has, when one POST breaks, and a session must outlive that. No call is ever made again.
"""

import json
import os
import signal
import sys
import time

import anyio

CALL_WITHIN = 20.0  # seconds; a call without an answer by then has failed
PAUSE = 0.05  # seconds after a failure


class Lost(Exception):
    """Nothing can be sent any more on this transport."""


def say(**what) -> None:
    print(json.dumps(what), flush=True)


def reason(error: BaseException) -> str:
    """The first cause within groups of errors, by name."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


class Calls:
    def __init__(self, connect):
        self.connect, self.plan, self.kept = connect, json.loads(sys.argv[1]), {}
        self.number, self.calling, self.ended = 0, None, False

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.end_when_told)
            while not self.ended:
                try:
                    async with self.connect(self.plan, self.kept) as call:
                        say(opened=self.kept.get("session"))
                        await self.calls(call)
                except Exception as error:  # whatever the SDK raises is what its user sees
                    if self.calling:
                        self.fail(error)
                    say(broken=reason(error))
                    await anyio.sleep(PAUSE)
            group.cancel_scope.cancel()

    async def end_when_told(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self.ended = True

    async def calls(self, call) -> None:
        while not self.ended:
            self.calling = f"{self.plan['name']}.{self.number}"
            self.number += 1
            say(began=self.calling, at=time.monotonic())
            try:
                with anyio.fail_after(CALL_WITHIN):
                    result = await call({"id": self.calling, "seconds": self.plan["seconds"]})
                text = result.content[0].text
                if getattr(result, "is_error", False) or getattr(result, "isError", False):
                    raise RuntimeError(text)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
                raise Lost(reason(error)) from error
            except Exception as error:
                self.fail(error)
                await anyio.sleep(PAUSE)
            else:
                self.calling = None
                say(answered=json.loads(text), session=self.kept.get("session"))

    def fail(self, error: BaseException) -> None:
        say(failed=self.calling, error=reason(error))
        self.calling = None


def headers(plan: dict, kept: dict) -> dict:
    """The key, and the session that is gone on with: a transport that did not open it does not name it."""
    named = {"Authorization": f"Bearer {plan['key']}"}
    if "session" in kept:
        named["Mcp-Session-Id"] = kept["session"]
    if "version" in kept:
        named["MCP-Protocol-Version"] = kept["version"]
    return named


def listen(kept: dict):
    """A hook for answers: keeps the session's id, and a second one where it is told another."""

    async def hook(response) -> None:
        if session := response.headers.get("mcp-session-id"):
            kept["session"] = session

    return {"response": [hook]}


def run(connect) -> None:
    # The SDKs log each broken stream with its trace.
    sys.stderr = open(os.devnull, "w")
    anyio.run(Calls(connect).run)
