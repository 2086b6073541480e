"""The Inspector's command line, one run of it per step. `inspector.py PLAN`; prints one line of JSON.

A call is cancelled as its user would: by ending the program. Its output shows no progress.
"""

import json
import os
import signal
import subprocess
import sys
import time

plan = json.loads(sys.argv[1])


def command(*arguments: str) -> list[str]:
    era = [] if plan["era"] == "legacy" else ["--protocol-era", plan["era"]]
    key = ["--header", f"Authorization: Bearer {plan['key']}"] if plan["key"] else []
    return ["mcp-inspector", "--cli", plan["url"], "--transport", "http", *era, *key, "--format", "json", *arguments]


def run(*arguments: str) -> tuple[dict, str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    return answer.get("result", answer), (done.stderr or done.stdout).strip()


def tool_call(step: dict) -> list[str]:
    return ["--method", "tools/call", "--tool-name", step["tool"], "--tool-args-json", json.dumps(step["arguments"])]


def shown(step: dict) -> dict:
    result, errors = run(*tool_call(step))
    if "content" not in result:
        return {"failed": True, "text": errors}
    text = " ".join(item.get("text", item["type"]) for item in result["content"])
    return {"failed": result.get("isError", False), "text": text}


def cancelled(step: dict) -> dict:
    process = subprocess.Popen(
        command(*tool_call(step)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    # It takes about a second to start; a tool that ends sooner than this was not cancelled, and that shows.
    time.sleep(3)
    ended = process.poll() is not None
    if not ended:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(10)
    return {"failed": not ended, "text": "cancelled"}


def refusal() -> dict:
    first, refused = shown(plan["succeed"]), shown(plan["succeed"])
    after, deadline = refused, time.monotonic() + 30
    while after["failed"] and time.monotonic() < deadline:
        time.sleep(1)
        after = shown(plan["succeed"])
    return {"first": first, "refused": refused, "after": after}


def calls() -> dict:
    listed, _ = run("--method", "tools/list")
    return {
        "tools": [tool["name"] for tool in listed.get("tools", [])],
        "succeed": shown(plan["succeed"]),
        "fail": shown(plan["fail"]),
        "progressed": shown(plan["progress"]),
        "progress": None,
        "cancel": cancelled(plan["cancel"]),
        "after": shown(plan["succeed"]),
    }


print(json.dumps(refusal() if plan["mode"] == "refusal" else calls()))
