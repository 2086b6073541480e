"""systemctl stop: /ready fails at once, calls in flight finish, new connections wait for the next start, exit 0."""

import json
import subprocess
import time

from machine import ENVIRONMENT, Machine, eventually, expect
from traffic import Traffic

SLOW = 3.0  # seconds of the call in flight


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    with Traffic(machine, clients=2, stdio=False) as traffic:
        slow = call(machine, traffic, SLOW)
        eventually("the slow call has arrived", lambda: traffic.server.seen["slow"] == 1)
        began = time.monotonic()
        stop = subprocess.Popen(machine.inside("systemctl", "stop", "toolgated.service"), env=ENVIRONMENT)
        state = lambda: machine.property("toolgated", "ActiveState")  # noqa: E731
        eventually("the daemon says that it stops", lambda: state() == "deactivating")
        answer, _ = slow.communicate(timeout=30)
        expect('"id": "slow"' in json.dumps(json.loads(answer)).replace("\\", ""), f"the call in flight got {answer!r}")
        stop.wait(30)
        took = time.monotonic() - began
        expect(took < SLOW + 5, f"the stop took {took:.1f} s after a call of {SLOW} s")
        # A client that waits in the socket is what starts the service again, so the result is of the run before.
        said = machine.shell("journalctl --no-pager --unit toolgated.service --output cat")
        expect("draining" in said and "ended" in said, f"the journal does not tell of a drain:\n{said[-2000:]}")
        for bad in ("status=", "timed out", "SIGKILL"):
            expect(bad not in said, f"the journal has {bad!r}:\n{said[-2000:]}")
        traffic.event(lambda: None)
        traffic.end("a stop that a waiting connection undoes")


def call(machine: Machine, traffic: Traffic, seconds: float) -> subprocess.Popen:
    """A call without a session, on a connection of its own, by curl in the machine."""
    machine.write("/root/ca.pem", machine.read("/var/lib/toolgate/tls/local.crt"))
    params = {"name": "count", "arguments": {"id": "slow", "seconds": seconds}}
    session = open_session(machine, traffic)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    return subprocess.Popen(
        machine.inside(*curl(traffic, body, session)), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def open_session(machine: Machine, traffic: Traffic) -> str:
    asked = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": asked})
    head = machine.run(*curl(traffic, body, None), "--include").stdout
    return next(line.split(":")[1].strip() for line in head.splitlines() if line.lower().startswith("mcp-session-id"))


def curl(traffic: Traffic, body: str, session: str | None) -> list[str]:
    headers = {
        "Authorization": f"Bearer {traffic.key}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
        **({"Mcp-Session-Id": session} if session else {}),
    }
    lines = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    url = "https://localhost:8443/mcp/web"
    options = ["--silent", "--show-error", "--max-time", "60", "--cacert", "/root/ca.pem"]
    return ["curl", *options, *lines, "--data", body, url]
