"""A front that hangs, or one core of it, is restarted within WatchdogSec and a second; one that idles is not."""

import contextlib
import ctypes
import os
import pathlib
import signal
import time

from machine import LIBC, Machine, eventually, expect

# Seconds; the packaged 15 would only make the scenario longer.
WATCHDOG = 3.0
PTRACE_SEIZE, PTRACE_INTERRUPT, ALL_THREADS = 0x4206, 0x4207, 0x40000000


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    packaged = machine.property("toolgated.service", "WatchdogUSec")
    expect(packaged == "15s", f"the packaged watchdog is {packaged}")
    machine.shell("mkdir -p /etc/systemd/system/toolgated.service.d")
    machine.write("/etc/systemd/system/toolgated.service.d/watchdog.conf", f"[Service]\nWatchdogSec={WATCHDOG:g}s\n")
    machine.write("/etc/toolgate/conf.d/cores.toml", "[daemon]\ncores = 2\n")
    machine.shell("systemctl daemon-reload && systemctl restart toolgated")
    idle = machine.pid()
    time.sleep(3 * WATCHDOG)
    expect(machine.pid() == idle, f"an idle daemon was restarted:\n{machine.journal()}")
    hang(machine, "all of it", lambda pid: os.kill(pid, signal.SIGSTOP))
    hang(machine, "one core of two", stop_one_core)


def hang(machine: Machine, what: str, stop) -> None:
    """Makes it hang, and measures from there."""
    eventually("the daemon runs", lambda: machine.active() and machine.healthy())
    before = machine.pid()
    stop(machine.host_pid())
    began = time.monotonic()
    eventually("the daemon was ended", lambda: reaped() and machine.pid() != before, within=WATCHDOG + 10)
    noticed = time.monotonic() - began
    eventually("the daemon runs again", lambda: machine.active() and machine.healthy())
    served = time.monotonic() - began
    expect("watchdog" in machine.journal().lower(), "the journal does not name the watchdog")
    print(f"   {what}, WatchdogSec={WATCHDOG:g}s: ended after {noticed:.1f} s, serving after {served:.1f} s")
    expect(noticed <= WATCHDOG + 1, f"it took {noticed:.1f} s until it was ended")


def reaped() -> bool:
    """A thread that was traced is gone only when its tracer has heard of its end."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG | ALL_THREADS)
    return True


def stop_one_core(pid: int) -> None:
    """Stops a single thread, as a debugger does: SIGSTOP would stop them all."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    threads = [task for task in tasks if "core" in (task / "comm").read_text()]
    expect(len(threads) == 2, f"the daemon has {len(threads)} cores")
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if LIBC.ptrace(request, int(threads[0].name), None, None) != 0:
            raise OSError(ctypes.get_errno(), f"thread {threads[0].name} cannot be stopped")
