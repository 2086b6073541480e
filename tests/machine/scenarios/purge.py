"""apt remove leaves the configuration, apt purge leaves nothing; a later installation is as new each time."""

from machine import Machine, expect
from traffic import Traffic

# Users stay, as Debian's policy says: what they own elsewhere must not become somebody else's.
ALLOWED = ("/root/", "/var/lib/dpkg/", "/var/lib/apt/", "/var/log/", "/var/cache/", "/proc/", "/sys/", "/etc/passwd",
           "/etc/group", "/etc/shadow", "/etc/gshadow", "/opt/mcp", "/run/log/")  # fmt: skip


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    with Traffic(machine, clients=4) as traffic:
        traffic.event(lambda: None)
        traffic.settle()
        traffic.check()
        expect(processes(machine, "counter.py") >= 2, "there are no instances to leave behind")
        traffic.ended.set()
    machine.run("apt-get", "remove", "--yes", "toolgated", timeout=120)
    expect(machine.exists("/etc/toolgate/conf.d/traffic.toml"), "a removal took the configuration along")
    expect(processes(machine, "toolgate") == 0 and processes(machine, "counter.py") == 0, "a process is left")
    expect(not machine.sockets(), f"sockets are left: {machine.sockets()}")
    expect(not units(machine), f"units are left: {units(machine)}")

    machine.install()
    modes = machine.shell("stat --format='%a %U:%G' /etc/toolgate/credentials /etc/toolgate/tls").splitlines()
    expect(modes == ["700 root:root", "750 root:toolgate"], f"after a removal, an installation makes {modes}")
    machine.shell("chown root:root /etc/toolgate/tls && chmod 0755 /etc/toolgate/tls")
    machine.run("dpkg-statoverride", "--add", "root", "root", "0755", "/etc/toolgate/tls")
    machine.run("dpkg-reconfigure", "toolgated", timeout=120)
    kept = machine.run("stat", "--format=%a", "/etc/toolgate/tls").stdout.strip()
    expect(kept == "755", f"the mode that an operator had registered has become {kept}")
    machine.run("dpkg-statoverride", "--remove", "/etc/toolgate/tls")

    machine.run("apt-get", "purge", "--yes", "toolgated", "toolgate", timeout=120)
    ours = "-iname '*toolgate*' -o -user toolgate -o -group toolgate"
    left = machine.shell(f"find / -xdev \\( {ours} \\) 2>/dev/null; ls -d /run/toolgate 2>/dev/null", check=False)
    left = [path for path in left.split() if not path.startswith(ALLOWED)]
    expect(not left, f"files are left: {left}")
    left = machine.shell("ls -Ad /var/*/toolgate* /var/*/private/toolgate* 2>/dev/null", check=False)
    expect(not left, f"folders are left:\n{left}")

    machine.install()
    expect(machine.healthy() and "no server yet" in machine.status_text(), "it does not begin anew")


def processes(machine: Machine, name: str) -> int:
    said = machine.run("pgrep", "--full", "--count", name, check=False).stdout
    return int(said.split()[0])


def units(machine: Machine) -> str:
    """Those that are loaded; until the purge one is remembered as enabled."""
    said = machine.run("systemctl", "list-units", "--all", "--no-legend", "--plain", "*toolgate*").stdout
    return "\n".join(line for line in said.splitlines() if "not-found" not in line)
