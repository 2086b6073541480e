"""Boot: the sockets are up before the service, the service before multi-user.target, and nothing fails or waits."""

from machine import Machine, eventually, expect
from traffic import configure


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    configure(machine)
    machine.power_off()
    machine.boot()
    eventually("the service runs after a boot", machine.healthy)
    times = {unit: activated(machine, unit) for unit in (
        "sysinit.target", "toolgate-server-counter.socket", "toolgated-local.socket", "toolgated.service",
        "multi-user.target",
    )}  # fmt: skip
    order = sorted(times, key=times.get)
    expect(order[0] == "sysinit.target" and order[-1] == "multi-user.target", f"the order is {order}")
    expect(order[3] == "toolgated.service", f"the service was up before its sockets: {order}")
    failed = machine.run("systemctl", "list-units", "--failed", "--no-legend", "--plain").stdout.strip()
    expect(not failed, f"units failed at boot:\n{failed}")
    cycles = machine.shell("journalctl --boot --no-pager --output cat | grep -i 'ordering cycle'", check=False)
    expect(not cycles, f"systemd found a cycle:\n{cycles}")
    log = machine.journal()
    machine.power_off()
    expect("timed out" not in log, f"something timed out:\n{log}")


def activated(machine: Machine, unit: str) -> int:
    return int(machine.property(unit, "ActiveEnterTimestampMonotonic"))
