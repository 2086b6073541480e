"""A stdio server in its unit: the same process before and after a restart, shut in, and gone after a real stop."""

import json

from machine import Machine, eventually, expect
from traffic import Traffic

# The users that systemd gives out for the time that a unit runs.
DYNAMIC = range(61184, 65520)

# The server that tries things out: in its own unit, by its own socket, under the wrapper and Landlock, as every other.
TRYING = """
[server.trying]
command = ["/usr/bin/python3", "/opt/mcp/trying.py"]
read = ["/srv/granted"]
write = ["/srv/given"]
"""

# What it must be able to do, so that what it is refused says something.
ALLOWED = {
    "writes to its home": "open(os.environ['HOME'] + '/x', 'w').write('x')",
    "writes to its cache": "open(os.environ['XDG_CACHE_HOME'] + '/x', 'w').write('x')",
    "reads what it was granted": "open('/srv/granted/text').read()",
    "writes where it was granted": "open('/srv/given/x', 'w').write('x')",
    "sees itself": "open('/proc/self/cmdline').read()",
    "makes a socket": "socket.socket(socket.AF_UNIX).close()",
}

# What it must be refused, and the only errors that say so.
FORBIDDEN = {
    "reads credentials": ("os.listdir('/etc/toolgate/credentials')", "EACCES"),
    "sees the state of the gate": ("os.listdir('/var/lib/toolgate')", "EACCES ENOENT"),
    "reads beside what it was granted": ("open('/srv/beside/text').read()", "EACCES"),
    "writes to what it may read": ("open('/srv/granted/x', 'w')", "EACCES EROFS"),
    "writes beside its home": ("open('/var/lib/x', 'w')", "EACCES EROFS"),
    "writes to /etc": ("open('/etc/x', 'w')", "EACCES EROFS"),
    "connects to another machine": ("socket.create_connection(('127.0.0.1', 8443), 1)", "EAFNOSUPPORT EPERM"),
    "sees another process": ("open('/proc/1/cmdline').read()", "ENOENT EACCES"),
    "becomes root": ("os.setuid(0)", "EPERM EINVAL"),
    "makes a namespace": ("call('unshare', 0x10000000)", "EPERM"),
    "traces": ("call('ptrace', 0, 0, 0, 0)", "EPERM"),
}  # fmt: skip

# It waits for a line, does all of it, and tells errors by name; what is not an OSError is a mistake in this table.
SCRIPT = """
import ctypes, errno, json, os, socket, sys

def call(name, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)

sys.stdin.readline()
said = {}
for name, code in json.loads(CODES).items():
    try:
        eval(code)
        said[name] = "done"
    except OSError as error:
        said[name] = errno.errorcode.get(error.errno, repr(error))
    except BaseException as error:
        said[name] = repr(error)
print(json.dumps({"tries": said}), flush=True)
"""

# As the gate does: connects to the server's socket, and speaks lines.
ASK = """
import socket
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(20)
connection.connect("/run/toolgate/servers/trying.sock")
connection.sendall(b"\\n")
for line in connection.makefile():
    print(line, end="", flush=True)
    if line.startswith('{"tries"'):
        break
"""

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
        tries(machine)
        traffic.end("a restart")

    machine.run("systemctl", "stop", "toolgate.target")
    eventually("no process is left", lambda: not left(machine))


def instances(machine: Machine) -> set[int]:
    """Process ids of the servers' programs, not of the wrapper that started them."""
    said = machine.run("pgrep", "--full", "--list-full", "counter.py", check=False).stdout
    return {int(line.split()[0]) for line in said.splitlines() if "toolgated" not in line}


def left(machine: Machine) -> str:
    return machine.run("pgrep", "--full", "counter.py|toolgated", check=False).stdout.strip()


def tries(machine: Machine) -> None:
    """Does what is allowed and what is forbidden within an instance of a server that only tries."""
    codes = {**ALLOWED, **{name: code for name, (code, _) in FORBIDDEN.items()}}
    machine.write("/opt/mcp/trying.py", SCRIPT.replace("CODES", repr(json.dumps(codes))))
    machine.shell(
        "mkdir -p /srv/granted /srv/given /srv/beside && chmod 0777 /srv/given && "
        "echo granted > /srv/granted/text && echo beside > /srv/beside/text"
    )
    machine.write("/etc/toolgate/conf.d/trying.toml", TRYING)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "toolgate-server-trying.socket")
    said = machine.run("python3", "-c", ASK, check=False).stdout
    found = next((json.loads(line)["tries"] for line in said.splitlines() if line.startswith('{"tries"')), None)
    expect(found is not None, f"the server that tries said nothing:\n{said}\n{machine.journal('toolgate-server-*')}")
    for name in ALLOWED:
        expect(found[name] == "done", f"a server cannot do what it may: it {name}: {found[name]}")
    for name, (_, errors) in FORBIDDEN.items():
        expect(found[name] in errors.split(), f"a server {name}: {found[name]}, where only {errors} is a refusal")
        print(f"   when it {name}: {found[name]}")
