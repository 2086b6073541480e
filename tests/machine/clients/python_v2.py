"""A client on Python's `mcp` 2.x that calls without a pause, in the era that PLAN names. `python_v2.py PLAN`."""

import contextlib

import httpx2
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from calls import headers, listen, run


@contextlib.asynccontextmanager
async def connect(plan: dict, kept: dict):
    async with create_mcp_http_client(headers=headers(plan, kept), timeout=httpx2.Timeout(40)) as http:
        http.event_hooks = listen(kept)
        async with streamable_http_client(plan["url"], http_client=http) as (incoming, outgoing):
            async with ClientSession(incoming, outgoing) as session:
                if "introduced" in kept:
                    session.adopt(kept["introduced"])
                elif plan["era"] == "modern":
                    kept["introduced"] = await session.discover()
                else:
                    kept["introduced"] = await session.initialize()
                yield lambda arguments: session.call_tool("count", arguments)


run(connect)
