"""A client on Python's `mcp` 2.x, in the era that PLAN names. `python_v2.py PLAN`."""

from contextlib import AsyncExitStack

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from features import Heard, features
from steps import HEADERS, interrupted, plan, run

MODES = {"legacy": "legacy", "auto": "auto", "modern": "2026-07-28"}
MODERN = plan["era"] == "modern"


class Adapter:
    def __init__(self, client: Client, heard: Heard, streams: AsyncExitStack):
        self.client, self.heard, self.streams = client, heard, streams
        self.meta = None

    async def list(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, arguments, progress=None):
        return await self.client.call_tool(tool, arguments, progress_callback=progress, meta=self.meta)

    async def cancelled(self, tool, arguments, enough):
        """Leaving the call's scope makes the SDK cancel, in the way of the era."""
        return {"failed": await interrupted(self.client.call_tool(tool, arguments), enough), "text": "cancelled"}

    async def read(self, uri):
        return await self.client.read_resource(uri)

    async def prompt(self, name):
        return await self.client.get_prompt(name)

    async def complete(self, prompt, name, value):
        reference = types.PromptReference(type="ref/prompt", name=prompt)
        return await self.client.complete(reference, {"name": name, "value": value})

    async def follow(self, uri):
        if MODERN:
            await self.streams.enter_async_context(self.client.listen(resource_subscriptions=[uri]))
        else:
            await self.client.subscribe_resource(uri)

    async def watch(self):
        """A legacy server announces changes of lists unasked."""
        if MODERN:
            await self.streams.enter_async_context(self.client.listen(tools_list_changed=True))

    async def level(self, level):
        if MODERN:
            self.meta = {"io.modelcontextprotocol/logLevel": level}
        else:
            await self.client.set_logging_level(level)


async def main():
    heard = Heard()
    async with create_mcp_http_client(headers=HEADERS) as http:
        transport = streamable_http_client(plan["url"], http_client=http)
        client = Client(transport, mode=MODES[plan["era"]], **heard.callbacks(types))
        async with client, AsyncExitStack() as streams:
            await run(Adapter(client, heard, streams), features)


anyio.run(main)
