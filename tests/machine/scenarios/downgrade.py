"""A downgrade: the previous version goes on with what the newer one left, and where it cannot, says why and serves."""

import json

import package
from machine import Machine, eventually, expect
from traffic import Traffic

STAMP = """
import json, pathlib
state = pathlib.Path("/var/lib/toolgate")
records = state / "sessions/records"
content = bytearray(records.read_bytes())
content[8:12] = (2).to_bytes(4, "little")
records.write_bytes(content)
newest = max((state / "config").glob("*.json"))
newest.write_text(json.dumps({**json.loads(newest.read_text()), "format": 2}))
"""


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

    before_its_time(machine, older)


def before_its_time(machine: Machine, older: list) -> None:
    """What the newer version left has formats that the older one does not know."""
    machine.install()
    machine.run("systemctl", "stop", "toolgate.target")
    eventually("the newer version has ended", lambda: machine.property("toolgated", "ActiveState") == "inactive")
    machine.run("python3", "-c", STAMP)
    machine.install(older, "--allow-downgrades")
    machine.run("systemctl", "start", "toolgate.target", "toolgated.service")
    eventually("the older version runs", machine.healthy)
    # Whoever asks for the history is told why a revision is not in it, by the log.
    history = json.loads(machine.run("toolgate", "--json", "config", "history").stdout)
    said = machine.journal(lines=200)
    for reason in ("it has format 2 of another version of toolgate", "a later release wrote it (format 2)"):
        expect(reason in said, f"the older version does not say {reason!r}:\n{said}")
    aside = machine.shell("ls /var/lib/toolgate/sessions")
    expect("records.aside" in aside, f"the newer records were not set aside:\n{aside}")
    newest = json.loads(machine.shell("cat $(ls /var/lib/toolgate/config/*.json | tail -1)"))
    expect(newest["format"] == 1, "what serves now is not in the history")
    print(f"   what a later format left was refused with its reason; revision {history['running']} serves")
