#!/usr/bin/env python3
"""Runs the MCP conformance suite against the fixture directly and through the gate, check by check.

`run.py` starts the fixture, a gate before it and the shim; `--direct` stops after the direct part; `--url URL`
compares any other URL; `--control` puts nginx in the gate's place, which must differ in nothing: it tests the
shim and this program. `--update` rewrites `direct.json`. Fails when the direct run falls below `direct.json`,
and when the gate's differs in any check, but for those of `BETTER`, which the gate alone may pass.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from stage import NODE_BIN, Stage, environment  # noqa: E402

BASELINE = HERE / "direct.json"
REVISIONS = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
# The suite dates its scenarios from 2025-06-18 on; all but elicitation exist in 2025-03-26 too.
FORCED = {"2025-03-26": ("2025-06-18", {"tools-call-elicitation"})}
# What the gate says before any server hears of it, and rightly where the fixture, which has no tasks, does not.
BETTER = {"sep-2663-tasks-get-invalid-task-id-32602": "a task's id that was not made for its client is unknown"}
# INFO lines record traffic (dates, ids); they are no checks.
VERDICTS = {"SUCCESS", "FAILURE", "WARNING", "SKIPPED"}


def suite(*arguments: str) -> str:
    done = subprocess.run(
        [NODE_BIN / "conformance", *arguments], env=environment(NO_COLOR="1"), capture_output=True, text=True
    )
    return done.stdout + done.stderr


def scenarios(revision: str) -> list[str]:
    listed = suite("list", "--server", "--spec-version", revision)
    return re.findall(r"^  - (\S+)", listed, re.MULTILINE)


def checks(url: str, revision: str) -> dict[str, list]:
    """Every check of a revision: scenario -> sorted [id, name, n-th of that name, verdict, message]."""
    with tempfile.TemporaryDirectory() as folder:
        if revision in FORCED:
            known_from, without = FORCED[revision]
            for name in scenarios(known_from):
                if name not in without:
                    suite("server", "--url", url, "--scenario", name, "--spec-version", revision, "--force", "-o", folder)
        elif revision == "2025-06-18":
            suite("server", "--url", url, "--suite", "all", "--spec-version", revision, "-o", folder)
        else:
            suite("server", "--url", url, "--requirements", revision, "-o", folder)
        found = {}
        for file in pathlib.Path(folder).glob("*/checks.json"):
            name = re.sub(r"^server-|-\d{4}-\d\d-\d\dT[\d-]+Z$", "", file.parent.name)
            found[name] = verdicts(json.loads(file.read_text()))
        return found


def verdicts(raw: list[dict]) -> list:
    seen, out = collections.Counter(), []
    for check in raw:
        if check["status"] in VERDICTS:
            key = (check["id"], check["name"])
            out.append([*key, seen[key], check["status"], check.get("errorMessage", "")])
            seen[key] += 1
    return sorted(out)


def counts(found: dict[str, list]) -> dict:
    def of(wanted: str) -> dict:
        per = {name: sum(c[3] == wanted for c in listed) for name, listed in sorted(found.items())}
        return {name: n for name, n in per.items() if n}

    passed, failed = of("SUCCESS"), of("FAILURE")
    return {"passed": sum(passed.values()), "failed": sum(failed.values()), "scenarios": passed}


def below_baseline(revision: str, found: dict, baseline: dict) -> list[str]:
    now = counts(found)["scenarios"]
    expected = baseline[revision]["scenarios"]
    return [f"{revision} {s}: {now.get(s, 0)} of {n} checks pass" for s, n in expected.items() if now.get(s, 0) < n]


def differences(direct: dict, gate: dict) -> list[str]:
    out = []
    for name in sorted(direct.keys() | gate.keys()):
        left = {tuple(c[:3]): c[3:] for c in direct.get(name, [])}
        right = {tuple(c[:3]): c[3:] for c in gate.get(name, [])}
        for key in sorted(left.keys() | right.keys()):
            was, now = left.get(key, ["absent", ""]), right.get(key, ["absent", ""])
            if key[0] in BETTER and (was[0], now[0]) == ("FAILURE", "SUCCESS"):
                continue
            if was[0] != now[0]:
                why = " ".join((now[1] or was[1]).split())[:200]
                out.append(f"{name}: {key[0]}: direct {was[0]}, gate {now[0]} {why}")
    return out


def gate_url(stage: Stage, fixture: str, control: bool) -> str:
    gate = stage.control(fixture) if control else stage.gate(f'[server.fixture]\nendpoints = ["{fixture}"]\n')
    return f"{stage.shim(gate)}/mcp/fixture"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="compare this URL instead of a gate started here")
    parser.add_argument("--upstream", help="the server to run directly instead of the fixture started here")
    parser.add_argument("--direct", action="store_true", help="no gate")
    parser.add_argument("--control", action="store_true", help="nginx in the gate's place")
    parser.add_argument("--update", action="store_true", help="write the direct counts to direct.json")
    parser.add_argument("--revision", action="append", choices=REVISIONS, help="only this one; may be repeated")
    given = parser.parse_args()
    problems, baseline = [], json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    with Stage() as stage:
        fixture = given.upstream or stage.fixture()
        gate = None if given.direct or given.update else given.url or gate_url(stage, fixture, given.control)
        for revision in given.revision or REVISIONS:
            direct = checks(fixture, revision)
            now = counts(direct)
            line = f"{revision}: direct {now['passed']} passed, {now['failed']} failed"
            if given.update:
                baseline[revision] = now
            problems += below_baseline(revision, direct, baseline)
            if gate:
                through = checks(gate, revision)
                different = differences(direct, through)
                problems += [f"{revision} {d}" for d in different]
                seen = counts(through)
                line += f"; gate {seen['passed']} passed, {seen['failed']} failed, {len(different)} checks differ"
            print(line, flush=True)
    if given.update:
        BASELINE.write_text(json.dumps(baseline, indent=1, sort_keys=True) + "\n")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
