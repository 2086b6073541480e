"""The tests that the source package brings for the installed packages (autopkgtest)."""

import pathlib

import place
from machine import Machine

TESTS = place.ROOT / "debian" / "tests"


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    for name in names():
        machine.copy(TESTS / name, f"/root/{name}")
        machine.run("sh", f"/root/{name}", timeout=120)


def names() -> list[str]:
    lines = pathlib.Path(TESTS / "control").read_text().splitlines()
    return [name for line in lines if line.startswith("Tests:") for name in line.removeprefix("Tests:").split()]
