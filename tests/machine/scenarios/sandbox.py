"""A stdio server in its unit: the same process before and after a restart, shut in, and gone after a real stop."""

import json

from machine import Machine, eventually, expect
from traffic import Traffic

# The users that systemd gives out for the time that a unit runs.
DYNAMIC = range(61184, 65520)

# What the server of this scenario tries; each must fail.
FORBIDDEN = {
    "reads credentials": "__import__('os').listdir('/etc/toolgate/credentials')",
    "writes outside of its home": "open('/var/tmp/../lib/x', 'w')",
    "writes to /etc": "open('/etc/x', 'w')",
    "sees the state of the gate": "__import__('os').listdir('/var/lib/toolgate')",
    "connects to another machine": "__import__('socket').create_connection(('127.0.0.1', 8443), 1)",
    "sees another process": "open('/proc/1/cmdline').read()",
    "becomes root": "__import__('os').setuid(0)",
    "makes a namespace": "__import__('ctypes').CDLL(None, use_errno=True).unshare(0x10000000) == 0 or 1/0",
}


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    with Traffic(machine, clients=4) as traffic:
        before = instances(machine)
        expect(len(before) >= 2, f"two sessions have {len(before)} instances")
        traffic.event(lambda: machine.run("systemctl", "restart", "toolgated"))
        traffic.settle()
        traffic.check()
        expect(instances(machine) >= before, f"instances were {before} and are {instances(machine)}")
        owner = int(machine.shell(f"stat -c %u /proc/{min(before)}"))
        expect(owner in DYNAMIC, f"an instance runs as {owner}, which is no user of its own")
        tries(machine, min(before))
        traffic.end("a restart")

    machine.run("systemctl", "stop", "toolgate.target")
    eventually("no process is left", lambda: not left(machine))


def instances(machine: Machine) -> set[int]:
    """Process ids of the servers' programs, not of the wrapper that started them."""
    said = machine.run("pgrep", "--full", "--list-full", "counter.py", check=False).stdout
    return {int(line.split()[0]) for line in said.splitlines() if "toolgated" not in line}


def left(machine: Machine) -> str:
    return machine.run("pgrep", "--full", "counter.py|toolgated", check=False).stdout.strip()


def tries(machine: Machine, pid: int) -> None:
    """Does what is forbidden within the unit of an instance: with its user, its view of the machine and its filters."""
    unit = machine.shell(f"grep -o 'toolgate-server-counter@[^/]*' /proc/{pid}/cgroup").split()[0]
    sandbox = machine.run("systemctl", "cat", "toolgate-server-counter@.service").stdout
    machine.write("/etc/systemd/system/try@.service", "\n".join(
        line for line in sandbox.splitlines()
        if not line.startswith(("ExecStart", "Standard", "CollectMode", "PartOf", "Before", "#"))
    ) + "\nExecStart=\nType=oneshot\nExecStart=/usr/bin/python3 /opt/mcp/try.py\nStandardOutput=journal\n")  # fmt: skip
    script = "import json\nsaid = {}\nfor name, code in " + repr(FORBIDDEN) + ".items():\n"
    script += "    try:\n        eval(code); said[name] = 'done'\n"
    script += "    except BaseException as error:\n        said[name] = repr(error)\n"
    machine.write("/opt/mcp/try.py", script + "print(json.dumps(said))\n")
    machine.shell("systemctl daemon-reload && systemctl start try@1.service", check=False)
    said = machine.shell("journalctl --no-pager --output cat --unit try@1.service")
    found = next((json.loads(line) for line in said.splitlines() if line.startswith("{")), None)
    expect(found is not None, f"the tries of {unit} said nothing:\n{said}")
    done = [name for name, outcome in found.items() if outcome == "done"]
    expect(not done, f"a server {', '.join(done)}")
    for name, outcome in found.items():
        print(f"   when it {name}: {outcome}")
