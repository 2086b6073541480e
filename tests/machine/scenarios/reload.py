"""systemctl reload: a good configuration is taken over; a bad one is refused with its line, and harms nothing."""

import time

from machine import Machine, eventually, expect

GOOD = '[server.one]\nendpoints = ["http://127.0.0.1:1/mcp"]\n'
BAD = '[server.two]\nendpoints = ["http://127.0.0.1:1/mcp"]\nqueue = { max_sise = 5 }\n'


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    first = machine.pid()

    machine.write("/etc/toolgate/conf.d/one.toml", GOOD)
    machine.run("systemctl", "reload", "toolgated")
    expect("one" in machine.run("toolgate", "status", check=False).stdout, "the new server is not there")
    eventually("the status names the next step", lambda: "revision 2: no key yet" in machine.status_text())

    machine.write("/etc/toolgate/conf.d/two.toml", BAD)
    began = time.monotonic()
    refused = machine.run("systemctl", "reload", "toolgated", check=False)
    took = time.monotonic() - began
    expect(refused.returncode != 0, "a bad configuration was taken over")
    expect("journalctl -xeu toolgated.service" in refused.stdout, f"it does not say where to look:\n{refused.stdout}")
    # systemctl passes on no word of a service: those who look for the reason find it in any of these.
    asked = machine.run("toolgate", "config", "reload", check=False)
    expect(asked.returncode != 0, "toolgate took a bad configuration over")
    status = machine.run("systemctl", "status", "--full", "--no-pager", "toolgated", check=False).stdout
    reports = {"the journal": machine.journal(lines=40), "the status": status, "toolgate": asked.stdout}
    for where, report in reports.items():
        for part in ("two.toml:3:11", "max_sise", "max_size", "revision 2 is still serving"):
            expect(part in report, f"{where} does not say {part!r}:\n{report}")
    checked = machine.run("toolgated", "check", check=False)
    expect(checked.returncode == 78 and "two.toml:3:11" in checked.stdout, f"check says:\n{checked.stdout}")
    expect(machine.active() and machine.healthy() and machine.pid() == first, "the service did not go on")
    print(f"   refused in {1000 * took:.0f} ms, systemctl and the start of the command included")

    machine.run("rm", "/etc/toolgate/conf.d/two.toml")
    for _ in range(20):
        machine.run("systemctl", "reload", "toolgated")
    expect(machine.pid() == first and machine.healthy(), "the service did not outlive reloads")
