"""The Inspector's command line, one run of it per step. `inspector.py PLAN`; prints one line of JSON.

A call is cancelled as its user would: by ending the program. Its output shows no progress.
"""

import concurrent.futures
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


def run(*arguments: str, within: float | None = None) -> tuple[dict, str]:
    try:
        done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=within)
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {within:.0f} s"
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    return answer.get("result", answer), (done.stderr or done.stdout).strip()


def tool_call(step: dict) -> list[str]:
    return ["--method", "tools/call", "--tool-name", step["tool"], "--tool-args-json", json.dumps(step["arguments"])]


def shown(step: dict, within: float | None = None) -> dict:
    result, errors = run(*tool_call(step), within=within)
    if "content" not in result:
        return {"failed": True, "text": errors}
    text = " ".join(item.get("text", item["type"]) for item in result["content"])
    return {"failed": result.get("isError", False), "text": text}


def cancelled(step: dict, enough) -> dict:
    """Ends the call's program when `enough()` returns."""
    process = subprocess.Popen(
        command(*tool_call(step)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    enough()
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
        # It takes about a second to start; a tool that ends sooner than this was not cancelled, and that shows.
        "cancel": cancelled(plan["cancel"], lambda: time.sleep(3)),
        "after": shown(plan["succeed"]),
    }


def tool(name: str, **arguments) -> dict:
    return {"tool": name, "arguments": arguments}


def result_of(*arguments: str) -> dict:
    """A run of any method: its result as JSON where it has one."""
    result, errors = run(*arguments)
    return {"failed": not result, "text": json.dumps(result) if result else errors}


def counted(name: str) -> dict:
    """The server's counts of the tag, once one of them is 1 or patience ends; each run takes about a second."""
    deadline = time.monotonic() + plan["patience"]
    while True:
        text = shown(tool("counts"))["text"]
        counts = json.loads(text).get(plan["tag"], {}) if text.startswith("{") else {}
        if counts.get(name) == 1 or time.monotonic() > deadline:
            return counts


def asked(name: str, **arguments) -> dict:
    """A tool that asks its client something: in the modern era the program waits for ever for what nobody answers."""
    return shown(tool(name, **arguments), within=2 * plan["patience"])


def cancel() -> dict:
    seen = cancelled(tool("slow", seconds=20, tag=plan["tag"]), lambda: counted("began"))
    return {**seen, **counted("cancelled")}


def subscription() -> dict:
    return {**result_of("--method", "resources/subscribe", "--uri", "test://watched-resource"), "updates": []}


def logging() -> dict:
    level = ["--metadata", "io.modelcontextprotocol/logLevel=warning"]
    return {**result_of(*tool_call(tool("log_levels")), *level), "logs": []}


# As in `features.py`. A run shows the result of its method and nothing else: what arrives aside counts as unheard.
FEATURES = {
    "elicitation": lambda: asked("test_elicitation", message="Who are you?"),
    "sampling": lambda: asked("test_sampling", prompt="What is the capital of Germany?"),
    "list": lambda: result_of("--method", "tools/list"),
    "call": lambda: shown(tool("test_simple_text")),
    "failing": lambda: shown(tool("test_error_handling")),
    "progress": lambda: {**shown(tool("test_tool_with_progress")), "reports": 0},
    "cancel": cancel,
    "read": lambda: result_of("--method", "resources/read", "--uri", "test://static-text"),
    "subscription": subscription,
    "change": lambda: {**shown(tool("test_trigger_tool_change")), "changes": 0},
    "prompt": lambda: result_of("--method", "prompts/get", "--prompt-name", "test_simple_prompt"),
    "completion": lambda: result_of("--method", "prompts/complete"),
    "logging": logging,
}


def features() -> dict:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = {name: pool.submit(step) for name, step in FEATURES.items()}
    return {name: future.result() for name, future in running.items()}


MODES = {"calls": calls, "refusal": refusal, "features": features}
print(json.dumps(MODES[plan["mode"]]()))
