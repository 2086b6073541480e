"""A client on Python's `mcp` 1.x that shows its user URLs, legacy. `user_v1.py PLAN`."""

import asyncio
import json
import subprocess
import sys

from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamablehttp_client

plan = json.loads(sys.argv[1])
HEADERS = {"Authorization": f"Bearer {plan['key']}"}


async def visit(url: str) -> None:
    await asyncio.to_thread(subprocess.run, [sys.executable, plan["browser"], url, plan["user"]], check=True)


async def elicited(_context, params):
    await visit(params.url)
    return types.ElicitResult(action="accept")


async def main():
    async with (
        streamablehttp_client(plan["url"], headers=HEADERS) as (read, write, _),
        ClientSession(read, write, elicitation_callback=elicited) as session,
    ):
        await session.initialize()
        tools, urls = [tool.name for tool in (await session.list_tools()).tools], 0
        try:
            answer = await session.call_tool(plan["tool"], {})
        except McpError as error:
            assert error.error.code == -32042, error.error
            urls = len(error.error.data["elicitations"])
            await visit(error.error.data["elicitations"][0]["url"])
            answer = await session.call_tool(plan["tool"], {})
        await asyncio.sleep(plan["pause"])
        after = await session.call_tool(plan["tool"], {})
        print(json.dumps({"tools": tools, "urls": urls, "text": answer.content[0].text, "after": after.content[0].text}))


asyncio.run(main())
