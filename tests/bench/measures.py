"""What is measured of a server: clients that call as fast as they are answered, that call at a rate, that connect for each
call, and that hold connections.

Used by `run` for the table, and by `train` for what the gate spends its time with.
"""

import json
import re
import subprocess

from targets import binary, pinned


def load(server, *arguments: str) -> dict:
    """What the clients saw; `cpu` is the server's microseconds per call, without what connecting cost."""
    command = pinned("1") + [binary("load", "release"), *server.arguments(), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        opened = process.stdout.readline()
        before = server.cpu_seconds()
        if opened:
            process.stdin.write("go\n")
            process.stdin.flush()
        result = process.stdout.readline()
        used = server.cpu_seconds() - before
        problem = process.communicate()[1]
    if not result:
        raise RuntimeError(f"{server.name}: load failed: {problem.strip()[-300:]}")
    seen = json.loads(result)
    if seen["failed"] or not seen["calls"]:
        raise RuntimeError(f"{server.name}: {seen['failed']} of {seen['calls']} calls failed: {seen['reasons']}")
    return {"cpu": used * 1e6 / seen["calls"], "rps": seen["calls"] / seen["seconds"], "p50": seen["p50_us"]}


def closed(connections: int, tool: str = "echo", era: str = "legacy"):
    def measure(server, seconds: float) -> dict:
        arguments = ("--era", era, "--connections", str(connections), "calls", "--seconds", str(seconds), "--tool", tool)
        return load(server, *arguments)

    return measure


def http2(server, seconds: float) -> dict:
    body = server.stage.folder / "h2-body.json"
    meta = '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}'
    arguments = f'{{"text":"{"x" * 30}"}}'
    body.write_text(
        f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments},"_meta":{{{meta}}}}}}}'
    )
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "echo",
    }
    if server.key:
        headers["authorization"] = f"Bearer {server.key}"
    lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    url = f"https://localhost:{server.port}{server.path}"

    command = pinned("1") + ["h2load", "-c16", "-m16", "-t1", "-D", str(max(1, round(seconds))), "-d", str(body)]
    before = server.cpu_seconds()
    done = subprocess.run([*command, *lines, url], capture_output=True, text=True)
    used = server.cpu_seconds() - before
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
    if not found or int(found[1]) == 0 or int(found[3]) or int(found[4]):
        raise RuntimeError(f"{server.name}: h2load: {done.stdout[-400:]}{done.stderr[-200:]}")
    return {"cpu": used * 1e6 / int(found[1])}


def paced(server, seconds: float) -> dict:
    return load(server, "calls", "--rate", "2000", "--seconds", str(seconds))


def handshakes(server, seconds: float) -> dict:
    arguments = ("--era", "modern", "--connections", "16", "calls", "--connect", "--seconds", str(seconds))
    return load(server, *arguments)


def held(server, connections: int, streams: bool) -> float:
    """Kilobytes of resident memory per connection that is open and silent."""
    load(server, "--connections", "16", "calls", "--seconds", "0.5")
    before = server.resident_kb()
    command = pinned("1") + [binary("load", "release"), *server.arguments(), "--connections", str(connections), "hold"]
    process = subprocess.Popen(
        command + (["--streams"] if streams else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    opened = process.stdout.readline()
    after = server.resident_kb()
    process.communicate()
    if "open" not in opened:
        raise RuntimeError(f"{server.name}: could not hold {connections} connections")
    return (after - before) / connections
