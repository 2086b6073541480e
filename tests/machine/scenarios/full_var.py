"""A full /var: the service starts, serves, reloads and says what it cannot keep."""

from machine import Machine, eventually, expect
from traffic import Traffic


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    machine.run("systemctl", "stop", "toolgate.target")
    # What the service has made so far stays; beside it there is room for nothing.
    machine.shell(
        "cp -a /var/lib/toolgate /tmp/kept && mount -t tmpfs -o size=2M,mode=700 tmpfs /var/lib/toolgate &&"
        " chown toolgate: /var/lib/toolgate && cp -a /tmp/kept/. /var/lib/toolgate/ &&"
        " cat /dev/zero > /var/lib/toolgate/filler",
        check=False,
    )
    expect(machine.shell("df --output=avail /var/lib/toolgate").split()[-1] == "0", "/var is not full")
    machine.run("systemctl", "start", "toolgate.target")
    eventually("the service runs", machine.healthy)
    with Traffic(machine, clients=4) as traffic:
        traffic.event(lambda: machine.run("systemctl", "reload", "toolgated"))
        traffic.settle()
        traffic.check()
        machine.run("rm", "/var/lib/toolgate/filler")
        traffic.event(lambda: machine.run("systemctl", "reload", "toolgated"))
        traffic.end("a full disk")
    expect(machine.active(), "the service ended")
    said = machine.journal(lines=200)
    told = "No space left" in said or "cannot be kept" in said
    expect(told, f"the journal does not say that the disk is full:\n{said}")
