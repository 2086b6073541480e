"""systemd-analyze security: the scores that were promised, and every directive of a list that scores hardly notice."""

import re

from machine import Machine, expect
from traffic import configure

GATE, SERVER = 1.2, 0.3

# Of both: what must be there whatever the score says.
COMMON = {
    "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict",
    "PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateMounts": "yes", "PrivateIPC": "yes",
    "ProtectProc": "invisible", "ProcSubset": "pid", "ProtectClock": "yes", "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes", "ProtectKernelModules": "yes", "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
    "KeyringMode": "private", "RemoveIPC": "yes", "SystemCallArchitectures": "native", "DevicePolicy": "closed",
    "UMask": "0077", "LimitCORE": "0",
}  # fmt: skip
GATE_ONLY = {
    "MemoryDenyWriteExecute": "yes", "NoExecPaths": "/", "User": "toolgate", "ProtectHome": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "StateDirectoryMode": "0700",
}  # fmt: skip
SERVER_ONLY = {
    "DynamicUser": "yes", "PrivateNetwork": "yes", "PrivateUsers": "yes", "ProtectHome": "yes",
    "RestrictAddressFamilies": "AF_UNIX", "Slice": "toolgate-servers.slice", "KillMode": "mixed",
}  # fmt: skip


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    configure(machine)
    look(machine, "toolgated.service", GATE, {**COMMON, **GATE_ONLY})
    look(machine, "toolgate-server-counter@x.service", SERVER, {**COMMON, **SERVER_ONLY})


def look(machine: Machine, unit: str, allowed: float, wanted: dict[str, str]) -> None:
    said = machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
    score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1])
    left = re.findall(r"✗ (\S+).*? (0\.\d)$", said, re.MULTILINE)
    print(f"   {unit}: {score}, of which {', '.join(f'{name} {points}' for name, points in left)}")
    expect(score <= allowed, f"{unit} scores {score}, more than {allowed}")
    shown = machine.run("systemctl", "show", unit, *(f"--property={name}" for name in wanted)).stdout
    present = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    missing = {}
    for name, value in wanted.items():
        # Lists come in an order of systemd's.
        if sorted((present.get(name) or "").split()) != sorted(value.split()):
            missing[name] = present.get(name)
    expect(not missing, f"{unit} has, instead of what must be there: {missing}")
    print(f"   {unit}: all {len(wanted)} directives: {' '.join(wanted)}")
