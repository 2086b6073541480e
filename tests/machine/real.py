"""Clients of `traffic` that are made of the official SDKs: a process each, outside of the machine but in its network.

What they do is in `clients`; `tests/run install` fetches the SDKs. Used by `traffic`.
"""

import json
import os
import pathlib
import subprocess
import threading
from collections import Counter

import place
from ledger import Ledger
from machine import Failed

CLIENTS = pathlib.Path(__file__).parent / "clients"
INSTALLED = place.ROOT / ".cache"
PYTHON_1, PYTHON_2 = INSTALLED / "py1/bin/python", INSTALLED / "py2/bin/python"
NODE = INSTALLED / "node/node_modules/.bin/node"

# Name, program, era, server. The modern era has no sessions: what must stay the same there is the instance.
KINDS = [
    ("python-1", [PYTHON_1, CLIENTS / "python_v1.py"], "legacy", "web"),
    ("python-1", [PYTHON_1, CLIENTS / "python_v1.py"], "legacy", "counter"),
    ("python-2", [PYTHON_2, CLIENTS / "python_v2.py"], "legacy", "web"),
    ("python-2", [PYTHON_2, CLIENTS / "python_v2.py"], "legacy", "counter"),
    ("python-2-modern", [PYTHON_2, CLIENTS / "python_v2.py"], "modern", "counter"),
    ("typescript-1", [NODE, CLIENTS / "typescript_v1.mjs"], "legacy", "web"),
    ("typescript-1", [NODE, CLIENTS / "typescript_v1.mjs"], "legacy", "counter"),
]

# A client that waits for its own time limit when an answer breaks off within its body: the SDK hands that error to
# nobody who waits. Any other that waits so long was left waiting by the gate.
WAITS = "python-1"


# What SDKs say of a connection that was closed before they sent.
CLOSED = ("other side closed", "ECONNRESET", "EPIPE", "socket hang up", "Server disconnected", "ReadError", "WriteError")


class Real(Ledger, threading.Thread):
    """One process of an SDK; its lines are read as they come."""

    def __init__(self, traffic, kind: str, program: list[pathlib.Path], era: str, server: str, seconds: float):
        threading.Thread.__init__(self, daemon=True)
        Ledger.__init__(self, traffic, f"{kind}-{server}", server)
        if not program[0].exists():
            raise Failed(f"{program[0]} is not there: tests/run install fetches it")
        self.kind, self.session = kind, None
        self.broken = Counter()  # transports that the SDK ended, by what it said
        self.stale = 0  # calls sent into a connection that a kill had closed: no SDK looks before it sends
        self.waited = 0  # calls cut by a kill of which the SDK said nothing
        url = f"https://localhost:{traffic.port}/mcp/{server}"
        plan = {"url": url, "key": traffic.key, "name": self.name, "era": era, "seconds": seconds}
        network = f"--net=/proc/{traffic.machine.leader}/ns/net"
        authority = traffic.machine.folder / "ca.pem"
        self.process = subprocess.Popen(
            ["nsenter", network, "--", *program, json.dumps(plan)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "SSL_CERT_FILE": str(authority),
                "NODE_EXTRA_CA_CERTS": str(authority),
                "TOOLGATE_NODE": str(INSTALLED / "node"),
            },
        )

    def run(self) -> None:
        for line in self.process.stdout:
            self.hear(json.loads(line))
        self.process.wait()
        if not self.traffic.ended.is_set():
            self.failures.append(f"{self.name}: the client ended by itself: {self.process.returncode}")
        self.traffic.opened.release()

    def hear(self, said: dict) -> None:
        match said:
            case {"opened": session}:
                self.keeps(session)
                self.traffic.opened.release()
            case {"began": _, "at": at}:
                self.began = at
            case {"answered": answer, "session": session}:
                self.keeps(session)
                self.answer(answer["id"], answer)
                self.began = None
            case {"failed": name, "error": error}:
                self.fail(name, error)
                self.began = None
            case {"broken": why}:
                self.breaks(why)

    def fail(self, name: str, error: str) -> bool:
        late = error.startswith("TimeoutError") or "timed out" in error
        if late and self.kind != WAITS:
            self.failures.append(f"call {name} to {self.server}: {error}")
            return False
        in_flight = self.traffic.excuses(self.began)
        if not in_flight and any(word in error for word in CLOSED) and self.traffic.has_just_killed(self.began):
            self.cut, self.unheard, self.stale = self.cut + 1, self.unheard + 1, self.stale + 1
            return True
        excused = super().fail(name, error)
        self.waited += late and excused
        return excused

    def keeps(self, session: str | None) -> None:
        if self.session is not None and session != self.session:
            self.failures.append(f"{self.name}: its session was {self.session} and is {session}")
        self.session = session

    def breaks(self, why: str) -> None:
        """These SDKs end a transport at the first POST that breaks, as one does that is in flight at a kill."""
        if self.traffic.kills or self.traffic.dying:
            self.broken[why] += 1
        else:
            self.failures.append(f"{self.name}: the SDK ended its transport: {why}")

    def __str__(self) -> str:
        said = f"{self.name}: {len(self.answered)} answers, {self.cut} calls cut by a kill"
        if self.waited:
            said += f", {self.waited} of them without an error until the client's own time limit"
        if self.stale:
            said += f", {self.stale} of them sent into a connection that the kill had closed"
        for why, times in self.broken.items():
            said += f"; {times} transports ended by the SDK upon {why}"
        return said + (", its session gone on with by another transport" if self.broken else "")

    def join(self, timeout: float | None = None) -> None:
        self.process.terminate()
        super().join(timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
