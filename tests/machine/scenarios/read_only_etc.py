"""A read-only /etc: everything works that needs no change there."""

from machine import Machine, eventually, expect
from traffic import configure


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    configure(machine)
    machine.power_off()
    machine.boot()
    machine.shell("mount --bind /etc /etc && mount -o remount,ro,bind /etc")
    expect(machine.run("touch", "/etc/toolgate/x", check=False).returncode != 0, "/etc can be written")
    machine.run("systemctl", "restart", "toolgated")
    eventually("the service runs", machine.healthy)
    machine.run("systemctl", "reload", "toolgated")
    machine.run("systemctl", "daemon-reload")
    machine.run("toolgated", "check")
    change = machine.run("toolgate", "key", "create", "--owner", "me", "--write", check=False)
    expect(change.returncode != 0 and "Read-only file system" in change.stdout, f"a change says: {change.stdout}")
    expect(machine.healthy(), "the service does not run")
