#!/usr/bin/env python3
"""Real clients' OAuth flows at the gate, with an authorization server that is somebody else's.

Each client finds by itself where tokens come from (RFC 9728, RFC 8414), registers, sends its user to a browser
(authorization code with PKCE) or shows its secret (client credentials), calls, and calls on until its token had to be
renewed. Judged is what the client saw, and whom the gate took it for.
"""

import argparse
import base64
import concurrent.futures
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import CACHE, PYTHON, Stage, free_port, run_client  # noqa: E402

# name: its command, and the eras in which it is run
CLIENTS = {
    "TypeScript 1.32": (["node", HERE / "typescript_v1.mjs"], ["legacy"]),
    "TypeScript 2.4": (["node", HERE / "typescript_v2.mjs"], ["legacy", "modern"]),
    "Python 1.30": ([PYTHON["1"], HERE / "python_v1.py"], ["legacy"]),
    "Python 2.3": ([PYTHON["2"], HERE / "python_v2.py"], ["legacy", "modern"]),
}
GRANTS = ["code", "machine"]
LIFETIME = 3  # seconds that an access token lives
SECRET = "a-secret-of-the-machine-alone"  # as authority.mjs has it
TOOL, EXPECTED = "test_simple_text", "simple text response"


def claims(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def problems(seen: dict, plan: dict) -> list[str]:
    """What is wrong with a cell, each as a sentence."""
    if "error" in seen:
        return [f"ended: {seen['error']}"]
    out = []
    if TOOL not in seen["tools"]:
        out.append(f"list: {len(seen['tools'])} tools without {TOOL}")
    for name in ("first", "after"):
        if EXPECTED not in (seen[name] or ""):
            out.append(f"{name}: {seen[name]!r}")
    if seen["tokens"] < 2:
        out.append(f"{seen['tokens']} tokens: none was renewed")
    before, after = seen["session"]
    if before != after or (plan["era"] == "legacy" and not before):
        out.append(f"the session was {before} and is {after}")
    said = claims(seen["token"])
    if said["aud"] != plan["url"]:
        out.append(f"the token is for {said['aud']}")
    if plan["grant"] == "code":
        asked = seen["asked"]
        if asked.get("resource") != plan["url"] or asked.get("code_challenge_method") != "S256" or not asked.get("scope"):
            out.append(f"asked for {asked}")
    return out


def known(stage: Stage) -> set[str]:
    """The ids of the clients that the gate has seen."""
    socket = stage.folder / "run" / "view" / "view.sock"
    command = ["curl", "--silent", "--unix-socket", socket, "http://localhost/v1/clients?limit=1000"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {row["id"] for row in next(rows for rows in answer.values() if isinstance(rows, list))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only these")
    parser.add_argument("--grant", action="append", choices=GRANTS, help="only these")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with Stage() as stage:
        port = free_port()
        command = ["node", HERE / "authority.mjs", port, LIFETIME]
        issuer = stage.line(stage.start("authority", command, TOOLGATE_NODE=str(CACHE / "node")))["issuer"]
        upstream = stage.fixture()
        tables = f"""[server.fixture]
endpoints = ["{upstream}"]

[issuer.authority]
issuer = "{issuer}"
leeway = "0s"
required_scopes = ["mcp"]
"""
        gate = stage.gate(tables, auth='"jwt"')
        cells, failed = [], 0
        for client in options.client or CLIENTS:
            for era in CLIENTS[client][1]:
                for grant in options.grant or GRANTS:
                    user = f"{client.split()[0].lower()}-{client.split()[1]}-{era}"
                    plan = {"url": gate.url("fixture"), "era": era, "grant": grant, "user": user, "tool": TOOL}
                    plan |= {"arguments": {}, "browser": str(HERE / "browser.py"), "secret": SECRET, "issuer": issuer}
                    cells.append((client, plan))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            all_seen = list(pool.map(lambda cell: run_client(CLIENTS[cell[0]][0], cell[1], gate.ca), cells))
        clients = known(stage)
        for (client, plan), seen in zip(cells, all_seen):
            wrong = problems(seen, plan)
            subject = plan["user"] if plan["grant"] == "code" else "machine"
            if not wrong and f"jwt:authority/{subject}" not in clients:
                wrong.append(f"the gate knows no jwt:authority/{subject}, only {sorted(clients)}")
            failed += bool(wrong)
            verdict = "; ".join(wrong) or f"{seen['tokens']} tokens"
            print(f"{client:16} {plan['era']:7} {plan['grant']:8} {'FAILED' if wrong else 'ok':6} {verdict}", flush=True)
        if failed:
            print((stage.folder / "gate.log").read_text(errors="replace")[-3000:])
            print((stage.folder / "authority.log").read_text(errors="replace")[-3000:])
    print(f"{len(cells) - failed} of {len(cells)} flows")
    return 1 if failed else 0


sys.exit(main())
