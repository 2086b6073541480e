"""SIGKILL of the front under load: only calls in flight are lost; sessions and stdio servers go on."""

import statistics
import time

from machine import Machine, eventually, expect
from traffic import Traffic


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    took = []
    with Traffic(machine, sdks=True) as traffic:
        sockets = machine.sockets()
        for _ in range(machine.times(100)):
            inside, pid = machine.pid(), machine.host_pid()
            traffic.event(lambda pid=pid: traffic.kill(pid))
            began = time.monotonic()
            eventually("the daemon runs again", lambda inside=inside: machine.active() and machine.pid() != inside)
            took.append(time.monotonic() - began)
            traffic.settle()
            traffic.check()
        expect(machine.sockets() == sockets, "sockets were bound anew")
        expect(int(machine.property("toolgated.service", "NRestarts")) >= len(took), "systemd did not restart it")
        traffic.end("kills")
    print(f"   from the kill to READY: median {statistics.median(took):.2f} s, at most {max(took):.2f} s")
