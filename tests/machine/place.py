"""Where things are, and what must be there before anything can run. Used by everything in this folder."""

import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "machine"

# What must be there, and the Debian package that brings it.
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "dh": "debhelper",
    "dh_apparmor": "dh-apparmor",
    "dpkg-buildpackage": "dpkg-dev",
    "apt-get": "apt",
}


def prepare() -> None:
    """Installs what is missing, or ends with what this machine cannot do; from then on nobody else uses the cache."""
    if os.geteuid() != 0:
        sys.exit("tests/machine boots systemd in containers of its own: run it as root")
    # So that machines and mounts are taken down, where a time limit ends it too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lock()
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        print(f"installing {' '.join(missing)}", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(install, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=True)
    for mount in pathlib.Path("/proc/mounts").read_text().splitlines():
        if mount.split()[2] == "cgroup2":
            break
    else:
        sys.exit("tests/machine needs the cgroup2 hierarchy, which is not mounted here")
    if "overlay" not in pathlib.Path("/proc/filesystems").read_text():
        sys.exit("tests/machine needs overlayfs, which this kernel does not have")


def lock() -> None:
    """One run at a time, until this process ends: each builds the packages anew, in the same place."""
    CACHE.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(CACHE / "lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another run that uses the same .cache/machine", flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
