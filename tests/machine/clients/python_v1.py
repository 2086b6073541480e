"""A client on Python's `mcp` 1.x that calls without a pause. `python_v1.py PLAN`."""

import contextlib

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from calls import headers, listen, run


@contextlib.asynccontextmanager
async def connect(plan: dict, kept: dict):
    async with create_mcp_http_client(headers=headers(plan, kept), timeout=httpx.Timeout(40)) as http:
        http.event_hooks = listen(kept)
        async with streamable_http_client(plan["url"], http_client=http) as (incoming, outgoing, _):
            async with ClientSession(incoming, outgoing) as session:
                if not kept:
                    kept["version"] = (await session.initialize()).protocolVersion
                    await session.list_tools()
                    kept["schemas"] = session._tool_output_schemas
                session._tool_output_schemas = kept["schemas"]
                yield lambda arguments: session.call_tool("count", arguments)


run(connect)
