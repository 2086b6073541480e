#!/usr/bin/env python3
"""An MCP server over stdio for scenarios: each call is told the process that answers and how many it has answered.

A scenario copies it into the machine. What a client reads off it is whether the process is still the same one.
"""

import json
import os
import sys
import time

TOOL = {"name": "count", "description": "Counts", "inputSchema": {"type": "object"}}
UNKNOWN = {"code": -32601, "message": "Method not found"}


def answer(message: dict, count: int) -> dict | None:
    """The result, or none for what a server of the legacy era does not know: `server/discover` above all."""
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "counter", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        arguments = params.get("arguments", {})
        time.sleep(arguments.get("seconds", 0))
        said = {"pid": os.getpid(), "count": count, "id": arguments.get("id")}
        return {"content": [{"type": "text", "text": json.dumps(said)}]}
    return {} if method == "ping" else None


def main() -> None:
    count = 0
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            count += message["method"] == "tools/call"
            result = answer(message, count)
            said = {"error": UNKNOWN} if result is None else {"result": result}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)


main()
