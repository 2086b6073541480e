"""The packages under test: built from this checkout, or given; and the same with another version, for upgrades.

Used by `run`.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import place

BUILT = place.CACHE / "packages"


def build() -> list[pathlib.Path]:
    """Builds the packages quickly: programs of cargo's dev profile, which other tests have built already."""
    shutil.rmtree(BUILT, ignore_errors=True)
    BUILT.mkdir(parents=True)
    options = f"noopt noautodbgsym nocheck parallel={os.cpu_count()}"
    # Without the check of build dependencies: `prepare` looked for the programs, wherever they came from.
    command = ["dpkg-buildpackage", "-us", "-uc", "-b", "-d"]
    log = BUILT / "log"
    with log.open("w") as output:
        env = {**os.environ, "DEB_BUILD_OPTIONS": options}
        done = subprocess.run(command, cwd=place.ROOT, stdout=output, stderr=subprocess.STDOUT, env=env)
    if done.returncode != 0:
        sys.exit(f"the packages cannot be built:\n{log.read_text()[-4000:]}")
    # It leaves them beside the checkout.
    for made in re.findall(r"(?:building package '\S+' in '| -O)(\.\./[^'\s]+)", log.read_text()):
        shutil.move(place.ROOT / made, BUILT)
    return given(BUILT)


def given(folder: pathlib.Path) -> list[pathlib.Path]:
    """toolgate and toolgated of a folder."""
    found = [sorted(folder.glob(f"{name}_*.deb")) for name in ("toolgate", "toolgated")]
    if [len(names) for names in found] != [1, 1]:
        sys.exit(f"{folder} must hold one toolgate_*.deb and one toolgated_*.deb")
    return [names[0] for names in found]


def versioned(packages: list[pathlib.Path], change: str) -> list[pathlib.Path]:
    """The same packages with `change` behind their version: "+1" is an upgrade, "~1" a downgrade."""
    folder = place.CACHE / f"packages{change}"
    newest = max(package.stat().st_mtime for package in packages)
    if folder.exists() and folder.stat().st_mtime > newest:
        return given(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in packages:
        unpacked = folder / "unpacked"
        subprocess.run(["dpkg-deb", "--raw-extract", package, unpacked], check=True)
        control = unpacked / "DEBIAN" / "control"
        text = control.read_text()
        version = re.search(r"(?m)^Version: (\S+)$", text)[1]
        control.write_text(text.replace(version, version + change))
        name = package.name.replace(version, version + change)
        command = ["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", unpacked, folder / name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(unpacked)
    os.utime(folder)
    return given(folder)
