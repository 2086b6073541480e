"""A client on Python's `mcp` 2.x that shows its user URLs, in the era that PLAN names. `user_v2.py PLAN`."""

import json
import subprocess
import sys

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

plan = json.loads(sys.argv[1])
HEADERS = {"Authorization": f"Bearer {plan['key']}"}
MODES = {"legacy": "legacy", "modern": "2026-07-28"}
urls = 0


async def visit(url: str) -> None:
    global urls
    urls += 1
    await anyio.run_process([sys.executable, plan["browser"], url, plan["user"]])


async def elicited(_context, params):
    await visit(params.url)
    return types.ElicitResult(action="accept")


async def main():
    async with create_mcp_http_client(headers=HEADERS) as http:
        transport = streamable_http_client(plan["url"], http_client=http)
        async with Client(transport, mode=MODES[plan["era"]], elicitation_callback=elicited) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            try:
                answer = await client.call_tool(plan["tool"], {})
            except MCPError as error:
                assert error.error.code == -32042, error.error
                await visit(error.error.data["elicitations"][0]["url"])
                answer = await client.call_tool(plan["tool"], {})
            await anyio.sleep(plan["pause"])
            after = await client.call_tool(plan["tool"], {})
            seen = {"tools": tools, "urls": urls, "text": answer.content[0].text, "after": after.content[0].text}
            print(json.dumps(seen))


anyio.run(main)
