"""apt install: the service runs at once, says what to do next, and answers over TLS."""

from machine import Machine, eventually, expect


def run(machine: Machine) -> None:
    machine.boot()
    said = machine.install()
    expect("error" not in said.lower(), f"apt complains:\n{said}")

    expect(machine.active(), "the service does not run")
    expect(machine.run("systemctl", "is-enabled", "toolgated").stdout.strip() == "enabled", "it is not enabled")
    status = machine.run("systemctl", "status", "--no-pager", "toolgated").stdout
    expect("no server yet" in status and "/etc/toolgate" in status, f"its status does not say what to do:\n{status}")
    main = machine.read("/etc/toolgate/toolgate.toml")
    expect("What to do next" in main, "the default configuration does not say what to do")

    expect(machine.healthy(), "/health does not answer")
    expect('"ready"' in machine.get("/ready"), "/ready does not say ready")
    listening = machine.run("ss", "--listening", "--tcp", "--numeric", "--no-header").stdout.split("\n")
    elsewhere = [line for line in listening if line and "127.0.0.1:" not in line and "[::1]:" not in line]
    expect(not elsewhere, f"it listens beyond loopback: {elsewhere}")

    expect("toolgate.toml" in machine.run("man", "--where", "5", "toolgate.toml").stdout, "there is no man page")
    owner = machine.shell("stat -c '%n %U:%G %a' /var/lib/toolgate /etc/toolgate/tls /etc/toolgate/credentials")
    expect(owner.split("\n")[:3] == [
        "/var/lib/toolgate toolgate:toolgate 700",
        "/etc/toolgate/tls root:toolgate 750",
        "/etc/toolgate/credentials root:root 700",
    ], f"folders have other owners:\n{owner}")  # fmt: skip

    machine.power_off()
    machine.boot()
    eventually("the service runs after a boot", machine.healthy)
