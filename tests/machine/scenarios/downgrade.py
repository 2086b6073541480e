"""A downgrade: the previous version goes on with what the newer one left, or says why not."""

import package
from machine import Machine, eventually, expect
from traffic import Traffic


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    with Traffic(machine) as traffic:
        older = package.versioned(machine.packages, "~1")
        traffic.event(lambda: machine.install(older, "--allow-downgrades"))
        traffic.end("a downgrade")
    eventually("the older version runs", machine.healthy)
    version = machine.run("dpkg-query", "--show", "--showformat=${Version}", "toolgated").stdout
    expect(version.endswith("~1"), f"the installed version is {version}")
