"""What happens in the virtual machine: `vm` puts it there, and reads what it prints."""

import contextlib
import json
import pathlib
import subprocess
import sys
import time

SLICE = pathlib.Path("/sys/fs/cgroup/toolgate.slice/toolgate-servers.slice")
SERVER = """[server.greedy]
command = ["python3", "/opt/mcp/greedy.py"]
instances = { memory = "64M", tasks = 24, max = 5 }
timeout = { connect = "60s", first_byte = "90s" }  # the processor is emulated
"""


def run(command: str, check: bool = True) -> str:
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if check and done.returncode != 0:
        sys.exit(f"FAILED: `{command}` exited {done.returncode}:\n{done.stdout}")
    return done.stdout.strip()


def expect(what: str, found: bool, otherwise: str = "") -> None:
    print(f"passed: {what}" if found else f"FAILED: {what}: {otherwise}", flush=True)
    if not found:
        sys.exit(1)


def eventually(what: str, condition, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            expect(what, False, f"not within {within:g} s")
        time.sleep(0.2)


def healthy() -> bool:
    certificate = "/var/lib/toolgate/tls/local.crt"
    said = run(f"curl --silent --max-time 20 --cacert {certificate} https://localhost:8443/health", check=False)
    return '"status"' in said


def call(key: str, tool: str) -> dict:
    """A session with one call, through `toolgate bridge`; what the call was answered."""
    asked = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "vm", "version": "1"}}
    messages = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": asked},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}},
    ]
    bridge = ["toolgate", "bridge", "--ca", "/var/lib/toolgate/tls/local.crt", "https://localhost:8443/mcp/greedy"]
    # Its input stays open until the answer is there: at the end of its input a client has gone.
    with subprocess.Popen(
        ["env", f"TOOLGATE_KEY={key}", *bridge], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        client.stdin.write("\n".join(map(json.dumps, messages)) + "\n")
        client.stdin.flush()
        for line in client.stdout:
            answer = json.loads(line)
            if answer.get("id") == 1:
                client.stdin.close()
                return answer
    return {}


def processes() -> int:
    found = 0
    for file in SLICE.rglob("cgroup.procs"):
        # Groups go while they are looked at.
        with contextlib.suppress(OSError):
            found += len(file.read_text().split())
    return found


def main() -> None:
    run("DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet /root/*.deb")
    eventually("the service runs", healthy)
    profile()
    run("mkdir -p /opt/mcp && cp /root/greedy.py /opt/mcp/")
    pathlib.Path("/etc/toolgate/conf.d/greedy.toml").write_text(SERVER)
    run("systemctl daemon-reload && systemctl start toolgate-server-greedy.socket")
    key = json.loads(run("toolgate --json key create --owner vm --write").splitlines()[0])["key"]
    expect("a server answers", "hello" in json.dumps(call(key, "hello")), str(call(key, "hello")))

    answer = call(key, "eat")
    expect("memory ends at the unit's bound", "error" in answer, f"the call was answered {answer}")
    print("   the call was answered:", answer["error"]["message"])
    killed = run("journalctl --no-pager --output cat --grep 'oom|out of memory' | tail -3", check=False)
    expect("the kernel killed for want of memory", bool(killed), run("journalctl --no-pager -n 20"))
    print("   the journal says:", killed.splitlines()[-1])
    print("   toolgate server show:", run("toolgate server show greedy", check=False).replace("\n", " | ")[:400])
    expect("the gate goes on", healthy() and "hello" in json.dumps(call(key, "hello")))

    answer = call(key, "fork")
    print("   the fork bomb:", json.dumps(answer)[:300])
    expect("the fork bomb was answered", "result" in answer or "error" in answer, "nothing came back")
    expect("a fork bomb ends at the unit's bound", "processes, and no end" not in json.dumps(answer), str(answer))
    expect("the gate goes on beside it", healthy())
    run("systemctl stop toolgate.target")
    eventually("no process is left", lambda: processes() == 0)
    expect("no process is left", True)
    expect("everything", True)


def profile() -> None:
    """The front runs under its profile; in complain mode, the kernel says what it would have refused."""
    pid = run("systemctl show --property MainPID --value toolgated")
    current = pathlib.Path(f"/proc/{pid}/attr/current").read_text().strip()
    expect("the gate runs under AppArmor's profile", current == "toolgated (complain)", current)
    run("systemctl reload toolgated; systemctl restart toolgated")
    eventually("the service runs", healthy)
    said = run("journalctl --dmesg --no-pager --output cat | grep 'profile=\"toolgated\"' | grep ALLOWED", check=False)
    telling = ("operation=", "name=", "requested_mask=", "class=")
    kinds = {" ".join(word for word in line.split() if word.startswith(telling)) for line in said.splitlines()}
    refused = sorted(kinds)
    for line in refused:
        print("   would be refused:", line)
    expect("the profile allows all that the gate does", not refused, f"{len(refused)} kinds")


try:
    main()
except Exception as error:  # noqa: BLE001: whoever reads the line waits for an end
    expect("nothing unforeseen", False, f"{type(error).__name__}: {error}")
