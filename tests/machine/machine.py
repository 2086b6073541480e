"""A Debian that runs: systemd as its process 1, in a container of its own, gone when the `with` block ends.

Scenarios drive it. Its files are a copy in memory of a tree, its network is its own and has nothing but loopback.
Nothing here waits a guessed time: `eventually` polls for a state, with a deadline.
"""

import contextlib
import ctypes
import itertools
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable

BOOT_WITHIN = 60.0  # seconds; it takes two, on a machine that does other things as well
COUNTER = itertools.count()
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
}


class Failed(Exception):
    """What a scenario expected and did not find."""


def expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Failed(otherwise)


def eventually(what: str, condition: Callable[[], object], within: float = 10.0):
    """The first answer of `condition` that is true; errors of commands count as "not yet"."""
    deadline = time.monotonic() + within
    while True:
        problem = None
        try:
            if answer := condition():
                return answer
        except (Failed, OSError) as error:
            problem = error
        if time.monotonic() > deadline:
            raise Failed(f"not within {within:g} s: {what}" + (f" ({problem})" if problem else ""))
        time.sleep(0.02)


class Machine(contextlib.ExitStack):
    """A machine that has booted, or boots again."""

    def __init__(self, tree: pathlib.Path, packages: list[pathlib.Path], full: bool = False, optimised: bool = False):
        super().__init__()
        self.tree, self.packages, self.full, self.optimised = tree, packages, full, optimised
        self.release = tree.name.removeprefix("debian-")
        self.name = f"toolgate-{os.getpid()}-{next(COUNTER)}"
        self.leader = 0

    def __enter__(self):
        super().__enter__()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="toolgate-machine-")))
        self.root = self.folder / "root"
        self.mount()
        self.callback(self.stop)
        return self

    def mount(self) -> None:
        """The tree with a layer in memory above it, which outlives reboots of the machine."""
        memory = self.folder / "memory"
        for folder in (self.root, memory):
            folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", memory], check=True)
        self.callback(subprocess.run, ["umount", memory], check=False)
        for folder in ("upper", "work"):
            (memory / folder).mkdir(mode=0o755)
        layers = f"lowerdir={self.tree},upperdir={memory}/upper,workdir={memory}/work"
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", self.root], check=True)
        self.callback(subprocess.run, ["umount", self.root], check=False)

    def times(self, full: int, quick: int | None = None) -> int:
        """How often something happens: as often as is promised, or a fifth of that where time is short."""
        return full if self.full else quick or full // 5

    # Power

    def boot(self, *options: str, wait: bool = True) -> None:
        """Starts systemd, and waits until it has started everything that it was going to."""
        command = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--boot",
            # Servers confine themselves by it; nspawn of systemd 252 does not know it, and would refuse it.
            "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
            f"--machine={self.name}", f"--directory={self.root}", *options,
        ]  # fmt: skip
        self.console = (self.folder / "console").open("ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.console,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            preexec_fn=self.group,
            start_new_session=True,
        )
        self.leader = eventually("systemd has started", self.find_leader, BOOT_WITHIN)
        if wait:
            eventually("systemd can be asked", lambda: self.exists("/run/systemd/private"), BOOT_WITHIN)
            self.run("systemctl", "is-system-running", "--wait", check=False, timeout=BOOT_WITHIN)

    def group(self) -> None:
        """Control groups of its own, in each hierarchy that systemd looks at."""
        for hierarchy in cgroups():
            folder = hierarchy / self.name
            folder.mkdir(exist_ok=True)
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def find_leader(self) -> int:
        expect(self.process.poll() is None, f"systemd-nspawn ended:\n{self.said()}")
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        return 0

    def stop(self) -> None:
        """Cuts the power."""
        if not self.leader:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader, signal.SIGKILL)
        self.leader = 0
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.console.close()
        for hierarchy in cgroups():
            for folder in sorted((hierarchy / self.name).rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                (hierarchy / self.name).rmdir()

    def power_off(self) -> None:
        """Shuts down in good order."""
        os.kill(self.leader, signal.SIGRTMIN + 4)
        self.process.wait(90)
        self.stop()

    def said(self) -> str:
        return (self.folder / "console").read_text(errors="replace")[-4000:]

    # Commands

    def inside(self, *command: str) -> list[str]:
        """A command line that runs `command` in the machine."""
        within = ["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return ["nsenter", "--target", str(self.leader), *within, "--", *command]

    def enter_network(self) -> None:
        """From now on the calling thread makes its sockets in the machine's network."""
        with open(f"/proc/{self.leader}/ns/net") as network:
            if LIBC.setns(network.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "the machine's network cannot be entered")

    def run(
        self, *command: str, check: bool = True, input: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess:
        """Runs a command to its end; standard error is part of the output."""
        done = subprocess.run(
            self.inside(*command),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}")
        return done

    def shell(self, script: str, check: bool = True, timeout: float = 60.0) -> str:
        return self.run("sh", "-c", script, check=check, timeout=timeout).stdout

    def exists(self, path: str) -> bool:
        return self.run("test", "-e", path, check=False).returncode == 0

    def read(self, path: str) -> str:
        return self.run("cat", path).stdout

    def write(self, path: str, text: str) -> None:
        self.run("tee", path, input=text)

    def copy(self, file: pathlib.Path, path: str) -> None:
        with file.open("rb") as content:
            subprocess.run(self.inside("cp", "/dev/stdin", path), stdin=content, check=True, env=ENVIRONMENT)

    # systemd

    def property(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def status_text(self) -> str:
        return self.property("toolgated.service", "StatusText")

    def pid(self) -> int:
        """The front's process id, as the machine counts."""
        return int(self.property("toolgated.service", "MainPID"))

    def host_pid(self) -> int:
        """The front's process id, as this machine counts: for signals, which then need no process inside."""
        wanted = str(self.pid())
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                if lines["Name"].strip() == "toolgated" and lines["NSpid"].split()[-1] == wanted:
                    if os.readlink(status.parent / "ns/pid") == os.readlink(f"/proc/{self.leader}/ns/pid"):
                        return int(status.parent.name)
        raise Failed(f"there is no process {wanted} inside")

    def active(self, unit: str = "toolgated.service") -> bool:
        return self.property(unit, "ActiveState") == "active"

    def journal(self, unit: str = "toolgated.service", lines: int = 60) -> str:
        return self.run("journalctl", "--no-pager", "--unit", unit, "--lines", str(lines), check=False).stdout

    def sockets(self) -> dict[str, str]:
        """The listening TCP sockets: inode by address. A socket that was closed and bound again has another."""
        said = self.run("ss", "--listening", "--tcp", "--numeric", "--extended", "--no-header").stdout
        found = {}
        for line in said.splitlines():
            words = line.split()
            found[words[3]] = next(word for word in words if word.startswith("ino:"))
        return found

    # Toolgate

    def install(self, packages: list[pathlib.Path] | None = None, *options: str) -> str:
        """apt install ./*.deb, of the packages under test where none are named; what apt said."""
        paths = []
        for package in packages or self.packages:
            paths.append(f"/root/{package.name}")
            self.copy(package, paths[-1])
        keep = ["-o", "Dpkg::Options::=--force-confold"]
        return self.run("apt-get", "install", "--yes", "--quiet", *keep, *options, *paths, timeout=180).stdout

    def get(self, path: str, timeout: float = 5.0) -> str:
        """A page of the installed service over TLS, by curl, which trusts the certificate that the service made."""
        command = [
            "curl", "--silent", "--show-error", "--fail", "--max-time", str(timeout),
            "--cacert", "/var/lib/toolgate/tls/local.crt", f"https://localhost:8443{path}",
        ]  # fmt: skip
        return self.run(*command).stdout

    def healthy(self) -> bool:
        return '"status"' in self.get("/health")


def cgroups() -> list[pathlib.Path]:
    """The unified hierarchy, and systemd's own where there are several."""
    found = []
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, path, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(pathlib.Path(path))
    return found
