"""A client on Python's `mcp` 1.x, legacy only. `python_v1.py PLAN`."""

import anyio
from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client
from steps import plan, run


class Adapter:
    def __init__(self, session: ClientSession):
        self.session = session

    async def list(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, tool, arguments, progress=None):
        return await self.session.call_tool(tool, arguments, progress_callback=progress)

    async def cancelled(self, tool, arguments, seconds):
        """This SDK sends no cancellation by itself: the id is the one that its next request gets."""
        request_id = self.session._request_id
        with anyio.move_on_after(seconds) as scope:
            await self.session.call_tool(tool, arguments)
        if scope.cancelled_caught:
            params = types.CancelledNotificationParams(requestId=request_id, reason="no longer wanted")
            await self.session.send_notification(
                types.ClientNotification(types.CancelledNotification(params=params))
            )
        return {"failed": scope.cancelled_caught, "text": "cancelled"}


async def main():
    headers = {"Authorization": f"Bearer {plan['key']}"} if plan["key"] else {}
    async with streamablehttp_client(plan["url"], headers=headers) as (incoming, outgoing, _):
        async with ClientSession(incoming, outgoing) as session:
            await session.initialize()
            await run(Adapter(session))


anyio.run(main)
