"""systemctl reload and restart under load: no failed call or lost session, the same stdio servers and sockets."""

from machine import Machine, expect
from traffic import Traffic


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    with Traffic(machine, sdks=True) as traffic:
        sockets, first = machine.sockets(), machine.pid()
        for _ in range(machine.times(100)):
            traffic.event(lambda: machine.run("systemctl", "reload", "toolgated"))
        traffic.check()
        expect(machine.pid() == first, "a reload ended the daemon")
        for _ in range(machine.times(20)):
            before = machine.pid()
            traffic.event(lambda: machine.run("systemctl", "restart", "toolgated"))
            expect(machine.pid() != before, "the daemon was not restarted")
            traffic.check()
        expect(machine.sockets() == sockets, f"sockets changed from {sockets} to {machine.sockets()}")
        traffic.end("reloads and restarts")
