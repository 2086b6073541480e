"""The first hour, as an operator types it: from apt install to an upgrade, with a typing error on the way."""

import json

import package
import traffic
from machine import Failed, Machine, eventually, expect


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    types(machine, "systemctl status --no-pager toolgated", says="toolgate server add")

    machine.run("mkdir", "-p", "/opt/mcp")
    machine.copy(traffic.HERE / "counter.py", "/opt/mcp/counter.py")
    types(machine, "toolgate server add broken -- python3 /opt/mcp/missing.py", fails=True, says="missing.py")
    expect(not machine.exists("/etc/toolgate/conf.d/broken.toml"), "a server that does not start left its file")
    types(machine, "toolgate server add files -- python3 /opt/mcp/counter.py", says="count")
    types(machine, "systemctl status --no-pager toolgated", says="toolgate key create")

    made = types(machine, "toolgate --json key create --owner me --write")
    key = json.loads(next(line for line in made.splitlines() if line.startswith("{")))["key"]
    printed = types(machine, f"toolgate client-config --for mcp-servers --key {key} https://localhost:8443/mcp")
    expect(key in printed, "the client's configuration lacks the key")
    expect(call(machine, key)["count"] == 1, "the client's first call does not count 1")

    machine.write("/etc/toolgate/conf.d/limits.toml", '[[limit]]\nper = "client"\nrate = "2/min"\n')
    types(machine, "systemctl reload toolgated")
    refused = None
    for _ in range(4):
        try:
            call(machine, key)
        except Failed as failure:
            refused = str(failure)
    expect(refused is not None and "-31429" in refused, f"the limit did not refuse: {refused}")

    revision = int(json.loads(types(machine, "toolgate --json config show"))["revision"])
    machine.write("/etc/toolgate/conf.d/limits.toml", '[[limit]]\nper = "client"\nraet = "2/min"\n')
    before = machine.shell("date +%s").strip()
    types(machine, "systemctl reload toolgated", fails=True)
    said = machine.shell(f"journalctl --no-pager --unit toolgated --since @{before} --output cat")
    for part in ("limits.toml:3:1", "did you mean `rate`", f"revision {revision} is still serving"):
        expect(part in said, f"the refusal does not say {part!r}:\n{said}")
    types(machine, "toolgate config rollback --yes")
    expect('rate = "2/min"' in machine.read("/etc/toolgate/conf.d/limits.toml"), "the file was not written back")
    types(machine, "toolgate config history", says=f"{revision}*")
    machine.run("rm", "/etc/toolgate/conf.d/limits.toml")
    types(machine, "systemctl reload toolgated")

    machine.install(package.versioned(machine.packages, "+1"))
    eventually("the new version serves", machine.healthy)
    expect(call(machine, key)["id"] == "1", "a call fails after the upgrade")
    types(machine, "toolgate server remove files")
    types(machine, "systemctl status --no-pager toolgated", says="toolgate server add")
    eventually("no unit of the removed server is left", lambda: not units(machine))


def units(machine: Machine) -> str:
    return machine.run("systemctl", "list-units", "--plain", "--no-legend", "toolgate-server-*").stdout.strip()


def types(machine: Machine, command: str, fails: bool = False, says: str = "") -> str:
    """What a command prints; it succeeds, or fails where that is what is to be seen."""
    done = machine.run("sh", "-c", command, check=False)
    print("   # " + command + "".join(f"\n   {line}" for line in done.stdout.splitlines()[:12]))
    expect((done.returncode != 0) == fails, f"`{command}` exited {done.returncode}:\n{done.stdout}")
    expect(says in done.stdout, f"`{command}` does not say {says!r}:\n{done.stdout}")
    return done.stdout


def call(machine: Machine, key: str) -> dict:
    """A session with one call, through `toolgate bridge`: what a client that only speaks stdio does."""
    asked = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "first", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": asked},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "count", "arguments": {"id": "1"}}},
    ]
    lines = "\n".join(json.dumps(message) for message in messages) + "\n"
    bridge = ["toolgate", "bridge", "--ca", "/var/lib/toolgate/tls/local.crt", "https://localhost:8443/mcp/files"]
    said = machine.run("env", f"TOOLGATE_KEY={key}", *bridge, input=lines, timeout=30).stdout
    answers = {}
    for line in said.splitlines():
        if line.startswith("{"):
            message = json.loads(line)
            answers[message.get("id")] = message
    answer = answers.get(1) or {}
    if "result" not in answer:
        raise Failed(f"the call was answered {said}")
    return json.loads(answer["result"]["content"][0]["text"])
