#!/usr/bin/env python3
"""Real clients at a server that wants tokens, with an authorization server that is somebody else's.

`machine`: the gate gets its token by client credentials, of which the clients see nothing. `user`: each client's user is
led to the provider (authorization code with PKCE, by URL elicitation), and the gate shows the server that user's token.
Either goes on over a renewal. Judged is what the client saw, and whose tokens the server was shown.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import CACHE, PYTHON, Stage, free_port, run_client  # noqa: E402

# name: its command, and the eras in which it is run
CLIENTS = {
    "TypeScript 1.32": (["node", HERE / "user_v1.mjs"], ["legacy"]),
    "TypeScript 2.4": (["node", HERE / "user_v2.mjs"], ["legacy", "modern"]),
    "Python 1.30": ([PYTHON["1"], HERE / "user_v1.py"], ["legacy"]),
    "Python 2.3": ([PYTHON["2"], HERE / "user_v2.py"], ["legacy", "modern"]),
}
FLOWS = ["machine", "user"]
LIFETIME = 3  # seconds that a token lives
TOOL, EXPECTED = "test_simple_text", "simple text response"


def problems(seen: dict, plan: dict) -> list[str]:
    """What is wrong with a cell, each as a sentence."""
    if "error" in seen:
        return [f"ended: {seen['error']}"]
    out = []
    if TOOL not in seen["tools"]:
        out.append(f"list: {len(seen['tools'])} tools without {TOOL}")
    for name in ("text", "after"):
        if EXPECTED not in seen[name]:
            out.append(f"{name}: {seen[name][:200]!r}")
    if seen["urls"] != (1 if plan["flow"] == "user" else 0):
        out.append(f"its user was led to {seen['urls']} pages")
    return out


def tables(url: str, issuer: str, public: str) -> str:
    """Two ways to one server. Where users allow it, whoever only looks is answered with the gate's own token."""
    own = f'oauth = {{ issuer = "{issuer}", client_id = "gate", client_secret = "a-secret-of-the-gate-alone", scopes = ["mcp"] }}'
    user = (
        f'user_authorization = {{ issuer = "{issuer}", client_id = "gate", client_secret = "a-secret-of-the-gate-alone", '
        f'scopes = ["mcp"], public_url = "{public}" }}'
    )
    return f"""[server.machine]
endpoints = ["{url}"]
{own}

[server.user]
endpoints = ["{url}"]
{own}
{user}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only these")
    parser.add_argument("--flow", action="append", choices=FLOWS, help="only these")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with Stage() as stage:
        gate_port, provider_port, guard_port = free_port(), free_port(), free_port()
        public, url = f"https://localhost:{gate_port}", f"http://127.0.0.1:{guard_port}/mcp"
        command = ["node", HERE / "provider.mjs", provider_port, LIFETIME, url, f"{public}/oauth/callback"]
        issuer = stage.line(stage.start("provider", command, TOOLGATE_NODE=str(CACHE / "node")))["issuer"]
        fixture = stage.fixture()
        stage.line(stage.start("guard", ["node", HERE / "guard.mjs", guard_port, issuer, fixture]))
        todo = [
            (client, era, flow)
            for client in options.client or CLIENTS
            for era in CLIENTS[client][1]
            for flow in options.flow or FLOWS
        ]
        gate = stage.gate(tables(url, issuer, public), clients=len(todo), port=gate_port, serve='"mcp", "oauth"')
        cells = []
        for (client, era, flow), key in zip(todo, gate.keys):
            user = f"{client.split()[0].lower()}-{client.split()[1]}-{era}"
            plan = {"url": gate.url(flow), "key": key, "era": era, "flow": flow, "user": user, "tool": TOOL}
            cells.append((client, plan | {"browser": str(HERE / "browser.py"), "pause": LIFETIME + 1}))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            all_seen = list(pool.map(lambda cell: run_client(CLIENTS[cell[0]][0], cell[1], gate.ca), cells))
        with urllib.request.urlopen(f"http://127.0.0.1:{guard_port}/seen") as answer:
            shown = json.load(answer)
    failed = 0
    for (client, plan), seen in zip(cells, all_seen):
        wrong = problems(seen, plan)
        if plan["flow"] == "user" and not wrong and shown.count(plan["user"]) != 2:
            wrong = [f"the server was shown {plan['user']} {shown.count(plan['user'])} times in {shown}"]
        failed += bool(wrong)
        print(f"{client:16} {plan['era']:7} {plan['flow']:8} {'ok' if not wrong else '; '.join(wrong)}")
    machine = sum(plan["flow"] == "machine" for _, plan in cells)
    if shown.count("gate") != 2 * machine:
        failed += 1
        print(f"the server was shown the gate's own token {shown.count('gate')} times, for {machine} clients")
    print(f"{len(cells) - failed} of {len(cells)} passed")
    return 1 if failed else 0


sys.exit(main())
