"""The tests that the source package brings for the installed packages, judged as autopkgtest does."""

import place
from machine import Machine, expect

TESTS = place.ROOT / "debian" / "tests"


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    for names, restrictions in stanzas():
        for name in names:
            machine.copy(TESTS / name, f"/root/{name}")
            script = f"sh /root/{name} 2>/root/{name}.stderr || {{ cat /root/{name}.stderr; exit 1; }}"
            machine.shell(script, timeout=120)
            said = machine.read(f"/root/{name}.stderr")
            # A test that is not allowed to has failed where it wrote anything there.
            expect("allow-stderr" in restrictions or not said, f"{name} may not write to standard error:\n{said}")


def stanzas() -> list[tuple[list[str], list[str]]]:
    """Tests and the restrictions that they are declared with."""
    found = []
    for stanza in (TESTS / "control").read_text().strip().split("\n\n"):
        fields = dict(line.split(":", 1) for line in stanza.splitlines())
        found.append([fields.get(name, "").replace(",", " ").split() for name in ("Tests", "Restrictions")])
    return found
