"""The OAuth flows of Python's `mcp` 2.x, in the era that PLAN names. `python_v2.py PLAN`."""

from contextlib import asynccontextmanager

import anyio
from flow import METADATA, Person, Storage, plan, run
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult

MODES = {"legacy": "legacy", "modern": "2026-07-28"}


class Adapter:
    def __init__(self, client: Client, sessions: set):
        self.client, self.sessions = client, sessions

    async def list(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, arguments):
        return await self.client.call_tool(tool, arguments)

    def session(self):
        return ",".join(sorted(self.sessions)) or None


@asynccontextmanager
async def connected(provider):
    sessions = set()

    async def note(response):
        if name := response.headers.get("mcp-session-id"):
            sessions.add(name)

    async with create_mcp_http_client(auth=provider) as http:
        http.event_hooks["response"].append(note)
        transport = streamable_http_client(plan["url"], http_client=http)
        async with Client(transport, mode=MODES[plan["era"]]) as client:
            yield Adapter(client, sessions)


async def main():
    storage, person = Storage(), Person()

    async def callback():
        landed = person.landed
        return AuthorizationCodeResult(code=landed["code"], state=landed.get("state"), iss=landed.get("iss"))

    if plan["grant"] == "code":
        provider = OAuthClientProvider(plan["url"], METADATA, storage, person.redirect, callback)
    else:
        provider = ClientCredentialsOAuthProvider(plan["url"], storage, "machine", plan["secret"])
    await run(connected, provider, storage, person)


anyio.run(main)
