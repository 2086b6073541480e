"""Every feature of the protocol, one after the other: the steps of `matrix.py` for Python clients.

As `features.mjs` has them for Node. Given the adapter of `steps.py` with, besides, `read(uri)`, `prompt(name)`,
`complete(name, argument, value)` -> texts, `follow(uri)`, `watch()`, `level(level)`, and `heard`, which its
callbacks fill. Each feature yields `failed` and `text`, and what else is to be judged.
"""

import json

import anyio

from steps import plan, shown

# What a client answers when it is asked.
USER = {"username": "ada", "email": "ada@example.org"}
MODEL = {"role": "assistant", "content": {"type": "text", "text": "Berlin"}, "model": "none"}


class Heard:
    """What arrives aside from answers, in order."""

    def __init__(self):
        self.updates, self.changes, self.logs = [], 0, []

    def callbacks(self, types) -> dict:
        """What either SDK calls, given the module that has its types."""

        async def elicited(context, params):
            return types.ElicitResult(action="accept", content=USER)

        async def sampled(context, params):
            return types.CreateMessageResult.model_validate(MODEL)

        return {
            "elicitation_callback": elicited,
            "sampling_callback": sampled,
            "logging_callback": self.logged,
            "message_handler": self.noted,
        }

    async def noted(self, message) -> None:
        """A callback for the messages of either SDK: a notification, in version 1 within a model of its own."""
        note = getattr(message, "root", message)
        match getattr(note, "method", None):
            case "notifications/resources/updated":
                self.updates.append(str(note.params.uri))
            case "notifications/tools/list_changed":
                self.changes += 1

    async def logged(self, params) -> None:
        self.logs.append(params.level)


async def until(condition) -> None:
    with anyio.move_on_after(plan["patience"]):
        while not await condition():
            await anyio.sleep(0.02)


class Features:
    """Each method is a feature, in the order in which they are tried."""

    def __init__(self, client):
        self._client, self._heard = client, client.heard

    async def _said(self, tool, progress=None, **arguments) -> dict:
        return await shown(self._client.call(tool, arguments, progress))

    async def _counts(self) -> dict:
        return json.loads((await self._said("counts"))["text"]).get(plan["tag"], {})

    async def _count_is(self, name) -> bool:
        return (await self._counts()).get(name) == 1

    async def _heard_some(self, what) -> bool:
        return bool(getattr(self._heard, what))

    async def list(self):
        return {"text": " ".join(await self._client.list())}

    async def call(self):
        return await self._said("test_simple_text")

    async def failing(self):
        return await self._said("test_error_handling")

    async def progress(self):
        reports = []

        async def count(done, total, message):
            reports.append(done)

        return {**await self._said("test_tool_with_progress", count), "reports": len(reports)}

    async def cancel(self):
        arguments = {"seconds": 20, "tag": plan["tag"]}
        seen = await self._client.cancelled("slow", arguments, lambda: until(lambda: self._count_is("began")))
        await until(lambda: self._count_is("cancelled"))
        return {**seen, **await self._counts()}

    async def elicitation(self):
        return await self._said("test_elicitation", message="Who are you?")

    async def sampling(self):
        return await self._said("test_sampling", prompt="What is the capital of Germany?")

    async def read(self):
        return {"text": (await self._client.read("test://static-text")).contents[0].text}

    async def subscription(self):
        await self._client.follow("test://watched-resource")
        seen = await self._said("test_trigger_resource_update")
        await until(lambda: self._heard_some("updates"))
        return {**seen, "updates": self._heard.updates}

    async def change(self):
        await self._client.watch()
        seen = await self._said("test_trigger_tool_change")
        await until(lambda: self._heard_some("changes"))
        return {**seen, "changes": self._heard.changes}

    async def prompt(self):
        return {"text": (await self._client.prompt("test_simple_prompt")).messages[0].content.text}

    async def completion(self):
        completion = (await self._client.complete("test_prompt_with_arguments", "arg1", "te")).completion
        return {"text": " ".join(completion.values)}

    async def logging(self):
        await self._client.level("warning")
        seen = await self._said("log_levels")
        await until(lambda: self._heard_some("logs"))
        return {**seen, "logs": self._heard.logs}


async def features(client) -> dict:
    all_of_them, seen = Features(client), {}
    for name in vars(Features):
        if name.startswith("_"):
            continue
        try:
            seen[name] = {"failed": False, **await getattr(all_of_them, name)()}
        except Exception as error:  # as in `shown`
            seen[name] = {"failed": True, "text": str(error) or repr(error)}
    return seen
