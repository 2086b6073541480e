"""A client on Python's `mcp` 2.x, in the era that PLAN names. `python_v2.py PLAN`."""

import anyio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from steps import plan, run

MODES = {"legacy": "legacy", "auto": "auto", "modern": "2026-07-28"}


class Adapter:
    def __init__(self, client: Client):
        self.client = client

    async def list(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, arguments, progress=None):
        return await self.client.call_tool(tool, arguments, progress_callback=progress)

    async def cancelled(self, tool, arguments, seconds):
        """Leaving the scope makes the SDK cancel, in the way of the era."""
        with anyio.move_on_after(seconds) as scope:
            await self.client.call_tool(tool, arguments)
        return {"failed": scope.cancelled_caught, "text": "cancelled"}


async def main():
    headers = {"Authorization": f"Bearer {plan['key']}"} if plan["key"] else {}
    async with create_mcp_http_client(headers=headers) as http:
        transport = streamable_http_client(plan["url"], http_client=http)
        async with Client(transport, mode=MODES[plan["era"]]) as client:
            await run(Adapter(client))


anyio.run(main)
