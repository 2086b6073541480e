"""Package upgrades under load: no failed call, no lost session, no restarted stdio server, no socket bound anew."""

import package
from machine import Machine, expect
from traffic import Traffic


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    machine.shell("echo '# mine' >> /etc/toolgate/conf.d/mine.toml")
    with Traffic(machine, sdks=True) as traffic:
        sockets = machine.sockets()
        for number in range(machine.times(5, quick=2)):
            newer, before = package.versioned(machine.packages, f"+{number + 1}"), machine.pid()
            traffic.event(lambda newer=newer: machine.install(newer))
            expect(machine.pid() != before, "the daemon of the old version still runs")
            traffic.check()
        expect(machine.sockets() == sockets, f"sockets changed from {sockets} to {machine.sockets()}")
        expect("# mine" in machine.read("/etc/toolgate/conf.d/mine.toml"), "the operator's file is gone")
        traffic.end("package upgrades")
    version = machine.run("dpkg-query", "--show", "--showformat=${Version}", "toolgated").stdout
    expect(version.endswith(f"+{machine.times(5, quick=2)}"), f"the installed version is {version}")
