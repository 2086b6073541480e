#!/usr/bin/env python3
"""Real clients through the gate: a matrix of clients and servers, each cell five calls and what came of them.

A client lists tools, calls one that succeeds, one that fails, one with progress and one that it cancels, and then
the first again. `run.py` does so through a gate, `--direct` without one, `--control` through nginx. `--refusals`
gives the gate a limit of one call instead: the refusal must be shown, and the next call must work.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import CACHE, FIXTURE, NODE_BIN, PYTHON, TARGET, Gate, Stage, run_client  # noqa: E402

RMCP = TARGET / "debug" / "examples" / "rmcp_client"
# name: its command, and the eras in which it is run
CLIENTS = {
    "TypeScript 1.32": (["node", HERE / "typescript_v1.mjs"], ["legacy"]),
    "TypeScript 2.4": (["node", HERE / "typescript_v2.mjs"], ["legacy", "modern"]),
    "Python 1.30": ([PYTHON["1"], HERE / "python_v1.py"], ["legacy"]),
    "Python 2.3": ([PYTHON["2"], HERE / "python_v2.py"], ["legacy", "modern"]),
    "Inspector 2.12": ([sys.executable, HERE / "inspector.py"], ["legacy", "modern"]),
    "rmcp 3.9": ([RMCP], ["legacy", "modern"]),
}
BOTH = ("legacy", "modern")
LIMIT = '{ per = "client-tool", rate = "10/min", burst = 1 }'


def step(tool: str, expect: str = "", **arguments) -> dict:
    return {"tool": tool, "arguments": arguments, "expect": expect}


class Server:
    """A server behind the gate, and what a client calls on it."""

    def __init__(self, eras, succeed, fail, progress=None, cancel=None, command=None, sse=False):
        self.eras, self.command, self.sse = eras, command, sse
        # A tool that reports nothing, or is over at once, is called all the same.
        self.steps = {"succeed": succeed, "fail": fail, "progress": progress or succeed, "cancel": cancel or succeed}
        self.reports, self.waits = progress is not None, cancel is not None


def everything(command=None, sse=False) -> Server:
    long = "trigger-long-running-operation"
    return Server(
        ("legacy",),
        step("echo", "hello", message="hello"),
        step("get-sum", "", a="one", b="two"),
        step(long, "completed", duration=0.5, steps=5),
        step(long, "", duration=20, steps=20),
        command,
        sse,
    )


def servers(folder: pathlib.Path) -> dict[str, Server]:
    nowhere = [{"entityName": "nobody", "contents": ["nothing"]}]
    fixture = (
        step("test_simple_text", "simple text response"),
        step("test_error_handling", "intentionally"),
        step("slow", "Took", seconds=0.5),
        step("slow", "", seconds=20),
    )
    return {
        "fixture": Server(BOTH, *fixture),
        "fixture-stdio": Server(BOTH, *fixture, command=[PYTHON["2"], FIXTURE]),
        "everything": everything(),
        "everything-sse": everything(sse=True),
        "everything-stdio": everything([NODE_BIN / "mcp-server-everything", "stdio"]),
        "filesystem": Server(
            ("legacy",),
            step("list_allowed_directories", str(folder)),
            step("read_text_file", "", path="/nowhere/at/all"),
            command=[NODE_BIN / "mcp-server-filesystem", folder],
        ),
        "memory": Server(
            ("legacy",),
            step("read_graph", "entities"),
            step("add_observations", "nobody", observations=nowhere),
            command=[NODE_BIN / "mcp-server-memory"],
        ),
        "time": Server(
            BOTH,
            step("get_current_time", "UTC", timezone="UTC"),
            step("get_current_time", "", timezone="Nowhere/Else"),
            command=[CACHE / "py2" / "bin" / "mcp-server-time"],
        ),
    }


def gate_tables(known: dict[str, Server], urls: dict[str, str]) -> str:
    tables = []
    for name, server in known.items():
        if server.command:
            where = f"command = {json.dumps([str(part) for part in server.command])}"
        else:
            where = f'endpoints = ["{urls[name]}"]' + ('\ntransport = "sse"' if server.sse else "")
        tables.append(f"[server.{name}]\n{where}\n")
    return "\n".join(tables)


def problems(seen: dict, server: Server, plan: dict) -> list[str]:
    """What is wrong with a cell, each as a sentence."""
    if "error" in seen:
        return [f"ended: {seen['error']}"]
    out = []
    if plan["succeed"]["tool"] not in seen["tools"]:
        out.append(f"list: {len(seen['tools'])} tools without {plan['succeed']['tool']}")
    for name in ("succeed", "after", "progressed"):
        wanted = plan["progress" if name == "progressed" else "succeed"]["expect"]
        if seen[name]["failed"] or wanted not in seen[name]["text"]:
            out.append(f"{name}: {seen[name]['text'][:200]!r}")
    if not seen["fail"]["failed"] or plan["fail"]["expect"] not in seen["fail"]["text"]:
        out.append(f"fail: {seen['fail']['text'][:200]!r}")
    if server.reports and seen["progress"] is not None and seen["progress"] < 4:
        out.append(f"progress: {seen['progress']} reports")
    if server.waits and not seen["cancel"]["failed"]:
        out.append("cancel: the call was not cancelled")
    return out


def refusal_problems(seen: dict, *_) -> list[str]:
    if "error" in seen:
        return [f"ended: {seen['error']}"]
    out = []
    if seen["first"]["failed"]:
        out.append(f"the first call was refused: {seen['first']['text'][:200]!r}")
    text = seen["refused"]["text"]
    if not seen["refused"]["failed"] or "limit" not in text.lower() and "too many" not in text.lower():
        out.append(f"the refusal's message is not shown: {text[:600]!r}")
    if seen["after"]["failed"]:
        out.append(f"the next call fails: {seen['after']['text'][:200]!r}")
    return out


def fixture_counts(url: str) -> dict:
    """What became of each tagged call of `slow`, asked at the fixture itself."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "counts", "_meta": meta}}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "counts",
    }
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
        text = answer.read().decode()
    if text.startswith("{"):
        return json.loads(json.loads(text)["result"]["content"][0]["text"])
    data = [line[5:] for line in text.splitlines() if line.startswith("data:")]
    return json.loads(json.loads(data[-1])["result"]["content"][0]["text"])


class Cell:
    """One client at one server, by one way."""

    def __init__(self, client: str, era: str, name: str, column: str, url: str, prefix: str = ""):
        self.client, self.era, self.name, self.column, self.url, self.prefix = client, era, name, column, url, prefix
        self.tag = f"{client} {era} {column}"

    def plan(self, server: Server, key: str | None, mode: str) -> dict:
        plan = {"url": self.url, "key": key, "era": self.era, "mode": mode}
        for name, wanted in server.steps.items():
            arguments = dict(wanted["arguments"])
            if wanted["tool"] == "slow":
                arguments["tag"] = self.tag
            plan[name] = {**wanted, "tool": self.prefix + wanted["tool"], "arguments": arguments}
        return plan


def cells(known: dict[str, Server], url_of, merged: bool, crossing: bool) -> list[Cell]:
    out = []
    for client, (_, eras) in CLIENTS.items():
        for era in eras:
            for name, server in known.items():
                # Without a gate a client meets only servers of its own era.
                if crossing or era in server.eras:
                    out.append(Cell(client, era, name, name, url_of(name)))
            if merged:
                # One column for the merged view of all servers; its calls go to two of them.
                for name in ("fixture", "everything-stdio"):
                    out.append(Cell(client, era, name, f"/mcp {name}", url_of(None), f"{name}__"))
    return out


def table(results: dict) -> None:
    columns = list(dict.fromkeys(column for _, column in results))
    width = max(10, *(len(column) for column in columns)) + 2
    print("".ljust(24) + "".join(column.ljust(width) for column in columns))
    for row in dict.fromkeys(row for row, _ in results):
        cell = {column: results.get((row, column)) for column in columns}
        marks = ["-" if cell[c] is None else "FAILED" if cell[c] else "ok" for c in columns]
        print(row.ljust(24) + "".join(mark.ljust(width) for mark in marks))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", action="store_true", help="no gate: the two HTTP servers only")
    parser.add_argument("--control", action="store_true", help="nginx in the gate's place, before the fixture only")
    parser.add_argument("--refusals", action="store_true", help="a limit of one call per tool")
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only this one; may be repeated")
    parser.add_argument("--server", action="append", help="only this one; may be repeated")
    parser.add_argument("--at-once", type=int, default=3, help="clients that run at the same time")
    given = parser.parse_args()
    for client in set(CLIENTS) - set(given.client or CLIENTS):
        del CLIENTS[client]
    with Stage() as stage:
        known = servers(stage.folder)
        if given.server:
            known = {name: server for name, server in known.items() if name in given.server}
        if given.direct or given.control:
            known = {name: server for name, server in known.items() if not server.command and not server.sse}
        if given.control or given.refusals:
            known = {"fixture": known["fixture"]}
        urls = {}
        if "fixture" in known:
            urls["fixture"] = stage.fixture()
        if "everything" in known:
            urls["everything"] = stage.everything()
        if "everything-sse" in known:
            urls["everything-sse"] = stage.everything("sse")
        gate: Gate | None = None
        if given.control:
            gate = stage.control(urls["fixture"])
        elif not given.direct:
            # A limit counts by client: each program is one, with a key of its own.
            tables, clients = gate_tables(known, urls), sum(len(eras) for _, eras in CLIENTS.values())
            gate = stage.gate(tables, LIMIT, clients) if given.refusals else stage.gate(tables)
        crossing = bool(gate) and not given.control
        todo = cells(known, gate.url if gate else urls.get, crossing and len(known) > 2, crossing)
        mode, judge = ("refusal", refusal_problems) if given.refusals else ("calls", problems)

        def one(cell: Cell) -> list[str]:
            server = known[cell.name]
            key = gate and (gate.keys[todo.index(cell)] if given.refusals else gate.key)
            plan = cell.plan(server, key, mode)
            seen = run_client(CLIENTS[cell.client][0], plan, gate and gate.ca)
            found = judge(seen, server, plan)
            if given.refusals and not found:
                print(f"{cell.client} {cell.era}: {seen['refused']['text']!r}", flush=True)
            return found

        with concurrent.futures.ThreadPoolExecutor(given.at_once) as pool:
            outcomes = list(pool.map(one, todo))
        results = {(f"{c.client} {c.era}", c.column): found for c, found in zip(todo, outcomes)}
        if mode == "calls" and "fixture" in urls:
            reached(todo, fixture_counts(urls["fixture"]), results)
    table(results)
    failed = {where: found for where, found in results.items() if found}
    for (row, column), found in failed.items():
        for problem in found:
            print(f"{row} at {column}: {problem}")
    print(f"{len(results) - len(failed)} of {len(results)} cells passed")
    return 1 if failed or not results else 0


def reached(todo: list[Cell], counts: dict, results: dict) -> None:
    """Whether a cancellation came as far as the server. The Inspector, killed, sends none in the legacy era."""
    for cell in todo:
        if cell.name != "fixture" or (cell.client, cell.era) == ("Inspector 2.12", "legacy"):
            continue
        if counts.get(cell.tag, {}).get("cancelled", 0) != 1:
            results[(f"{cell.client} {cell.era}", cell.column)].append(
                f"the server saw no cancellation: {counts.get(cell.tag)}"
            )


if __name__ == "__main__":
    sys.exit(main())
