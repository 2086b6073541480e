"""A client on Python's `mcp` 1.x, legacy only. `python_v1.py PLAN`."""

import anyio
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

from features import Heard, features
from steps import HEADERS, interrupted, plan, run


class Adapter:
    def __init__(self, session: ClientSession, heard: Heard):
        self.session, self.heard = session, heard

    async def list(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, tool, arguments, progress=None):
        return await self.session.call_tool(tool, arguments, progress_callback=progress)

    async def cancelled(self, tool, arguments, enough):
        """This SDK sends no cancellation by itself: the id is the one that its next request gets."""
        request_id = self.session._request_id
        stopped = await interrupted(self.session.call_tool(tool, arguments), enough)
        if stopped:
            params = types.CancelledNotificationParams(requestId=request_id, reason="no longer wanted")
            await self.session.send_notification(
                types.ClientNotification(types.CancelledNotification(params=params))
            )
        return {"failed": stopped, "text": "cancelled"}

    async def read(self, uri):
        return await self.session.read_resource(AnyUrl(uri))

    async def prompt(self, name):
        return await self.session.get_prompt(name)

    async def complete(self, prompt, name, value):
        reference = types.PromptReference(type="ref/prompt", name=prompt)
        return await self.session.complete(reference, {"name": name, "value": value})

    async def follow(self, uri):
        await self.session.subscribe_resource(AnyUrl(uri))

    async def watch(self):
        """A legacy server announces changes of lists unasked."""

    async def level(self, level):
        await self.session.set_logging_level(level)


async def main():
    heard = Heard()
    async with streamablehttp_client(plan["url"], headers=HEADERS) as (incoming, outgoing, _):
        async with ClientSession(incoming, outgoing, **heard.callbacks(types)) as session:
            await session.initialize()
            await run(Adapter(session, heard), features)


anyio.run(main)
