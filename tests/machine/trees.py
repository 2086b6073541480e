"""Trees of Debian releases, made once by mmdebstrap and never written to again: machines boot from copies in memory.

Used by `run`. Packages come from wherever this machine's own apt takes them.
"""

import pathlib
import re
import shutil
import subprocess
import sys

import place

RELEASES = {"12": "bookworm", "13": "trixie"}

# What a server has that somebody operates, and python3 for MCP servers over stdio. Everything that the packages
# depend on is here, so that installing them needs no network.
PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "iproute2", "curl", "ca-certificates", "openssl", "procps", "python3", "man-db",
]  # fmt: skip


def tree(release: str, name: str = "debian", packages: list[str] = PACKAGES) -> pathlib.Path:
    """The folder of a release; made if it is not there, or was made with other packages."""
    folder = place.CACHE / f"{name}-{release}"
    made = folder.with_suffix(".made")
    if made.exists() and made.read_text() == " ".join(packages):
        return folder
    print(f"making a tree of Debian {release}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    place.CACHE.mkdir(parents=True, exist_ok=True)
    command = [
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", *apt_options(),
        "--dpkgopt=force-unsafe-io", RELEASES[release], str(folder), "-",
    ]  # fmt: skip
    subprocess.run(command, input=sources(RELEASES[release]), text=True, check=True)
    # What an installer writes, and mmdebstrap does not.
    (folder / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    made.write_text(" ".join(packages))
    return folder


def sources(codename: str) -> str:
    """This machine's sources of Debian, for another release: lines for apt."""
    own = re.search(r"(?m)^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text())[1]
    form = ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(CODENAME)", "Created-By: Packages"]
    said = subprocess.run(form, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = {}
    for uri, *names in (line.split("|") for line in said.splitlines()):
        for suite in (own, f"{own}-updates", f"{own}-security"):
            if suite in names:
                lines[f"deb {uri} {suite.replace(own, codename, 1)} main"] = None
    if not lines:
        sys.exit(f"apt of this machine has no source of Debian {own}, from which {codename} could be taken too")
    return "\n".join(lines)


def apt_options() -> list[str]:
    """How this machine reaches the archives: proxies and certificates."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], stdout=subprocess.PIPE, text=True, check=True).stdout
    settings = re.findall(r'(?m)^(Acquire::(?:\S*[Pp]roxy\S*|https::Ca\S+) ".+");$', dump)
    return [f"--aptopt={setting}" for setting in settings]
