"""What each Python client does, in order; one line of JSON at the end.

Given `connected(provider)`, an asynchronous context of an adapter with `list()`, `call(tool, arguments)` and `session()`.
"""

import json
import subprocess
import sys
import urllib.parse

import anyio
from mcp.shared.auth import OAuthClientMetadata

plan = json.loads(sys.argv[1])


class Storage:
    """What an application would keep on disk."""

    def __init__(self):
        self.tokens, self.information, self.renewed = None, None, 0

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens, self.renewed = tokens, self.renewed + 1

    async def get_client_info(self):
        return self.information

    async def set_client_info(self, information):
        self.information = information


class Person:
    """A user at a browser: what the SDK calls when it needs one."""

    def __init__(self):
        self.asked, self.landed = None, {}

    async def redirect(self, url: str) -> None:
        self.asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        command = ["python3", plan["browser"], url, plan["user"]]
        done = await anyio.to_thread.run_sync(lambda: subprocess.run(command, capture_output=True, text=True, check=True))
        self.landed = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(done.stdout.strip()).query))


METADATA = OAuthClientMetadata(
    client_name="toolgate-tests",
    redirect_uris=["http://127.0.0.1:1/callback"],
    grant_types=["authorization_code", "refresh_token"],
    response_types=["code"],
    token_endpoint_auth_method="none",
)


def text(result) -> str:
    return " ".join(getattr(item, "text", item.type) for item in result.content)


async def run(connected, provider, storage: Storage, person: Person) -> None:
    async with connected(provider) as client:
        tools = await client.list()
        first, before, after = text(await client.call(plan["tool"], plan["arguments"])), client.session(), None
        # Called again until the token had to be renewed.
        with anyio.move_on_after(30):
            while after is None or storage.renewed < 2:
                await anyio.sleep(0.3)
                after = text(await client.call(plan["tool"], plan["arguments"]))
        seen = {"tools": tools, "first": first, "after": after, "tokens": storage.renewed}
        seen |= {"session": [before, client.session()], "asked": person.asked, "token": storage.tokens.access_token}
        print(json.dumps(seen), flush=True)
