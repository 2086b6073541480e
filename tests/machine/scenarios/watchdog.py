"""A front that hangs is restarted within WatchdogSec and a second; one that idles is not."""

import os
import signal
import time

from machine import Machine, eventually, expect

# Seconds; the packaged 15 would only make the scenario longer.
WATCHDOG = 3.0


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    packaged = machine.property("toolgated.service", "WatchdogUSec")
    expect(packaged == "15s", f"the packaged watchdog is {packaged}")
    machine.shell("mkdir -p /etc/systemd/system/toolgated.service.d")
    machine.write(
        "/etc/systemd/system/toolgated.service.d/watchdog.conf", f"[Service]\nWatchdogSec={WATCHDOG:g}s\n"
    )
    machine.shell("systemctl daemon-reload && systemctl restart toolgated")
    idle = machine.pid()
    time.sleep(3 * WATCHDOG)
    expect(machine.pid() == idle, f"an idle daemon was restarted:\n{machine.journal()}")

    pid = machine.host_pid()
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    eventually("the daemon was ended", lambda: machine.pid() != idle, within=WATCHDOG + 10)
    noticed = time.monotonic() - began
    eventually("the daemon runs again", lambda: machine.active() and machine.healthy())
    expect(noticed <= WATCHDOG + 1, f"it took {noticed:.1f} s")
    expect("watchdog" in machine.journal().lower(), "the journal does not name the watchdog")
    print(f"   stopped with WatchdogSec={WATCHDOG:g}s: ended after {noticed:.1f} s, serving {time.monotonic() - began:.1f} s after")
