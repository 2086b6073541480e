"""The OAuth flows of Python's `mcp` 1.x, legacy only. `python_v1.py PLAN`."""

from contextlib import asynccontextmanager

import anyio
from flow import METADATA, Person, Storage, plan, run
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamablehttp_client


class Adapter:
    def __init__(self, session: ClientSession, name):
        self.client, self.session = session, name

    async def list(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, tool, arguments):
        return await self.client.call_tool(tool, arguments)


@asynccontextmanager
async def connected(provider):
    async with streamablehttp_client(plan["url"], auth=provider) as (incoming, outgoing, name):
        async with ClientSession(incoming, outgoing) as session:
            await session.initialize()
            yield Adapter(session, name)


async def main():
    storage, person = Storage(), Person()

    async def callback():
        return person.landed["code"], person.landed.get("state")

    if plan["grant"] == "code":
        provider = OAuthClientProvider(plan["url"], METADATA, storage, person.redirect, callback)
    else:
        provider = ClientCredentialsOAuthProvider(plan["url"], storage, "machine", plan["secret"])
    await run(connected, provider, storage, person)


anyio.run(main)
