#!/usr/bin/env python3
"""An MCP server over stdio that takes all that it gets: `eat` memory, `fork` processes. For the virtual machine."""

import json
import os
import sys
import time

TOOLS = [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in ("eat", "fork", "hello")]


def eat() -> str:
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))


def fork() -> str:
    """As many processes as there may be, each of which does the same."""
    made = 0
    for _ in range(1000):
        try:
            if os.fork() == 0:
                while True:
                    try:
                        os.fork()
                    except OSError:
                        time.sleep(0.2)
            made += 1
        except OSError as error:
            return f"after {made} processes: {error.strerror}"
    return f"{made} processes, and no end"


def answer(message: dict) -> dict:
    method = message["method"]
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "greedy", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        said = {"eat": eat, "fork": fork, "hello": lambda: "hello"}[message["params"]["name"]]()
        return {"content": [{"type": "text", "text": said}]}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer(asked)}), flush=True)
