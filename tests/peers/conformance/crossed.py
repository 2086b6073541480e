#!/usr/bin/env python3
"""Runs the conformance suite with the eras crossed: a server of one era behind the gate, checked by the other's rules.

The server suite of 2025-11-25 runs against a fixture that speaks the modern era only, that of 2026-07-28 against
one that speaks the legacy era only. `crossed.json` names each check that may fail, `scenario:check-id`, with the
clause of the specification that makes it meaningless. Fails when another check fails, when a named one passes, and
when fewer checks pass than the file says. `--direct` counts what the same fixture passes without the gate.
"""

import argparse
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
from run import checks, counts  # noqa: E402
from stage import Stage  # noqa: E402

EXPECTED = HERE / "crossed.json"
# The revision of the suite, and the only era that the fixture speaks.
CROSSINGS = {"2025-11-25": "modern", "2026-07-28": "legacy"}


def failing(found: dict[str, list]) -> dict[str, str]:
    """`scenario:check-id` of each check that does not pass, with its message."""
    out = {}
    for scenario, listed in found.items():
        for check_id, _, _, verdict, message in listed:
            if verdict == "FAILURE":
                out[f"{scenario}:{check_id}"] = " ".join(message.split())[:300]
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", action="store_true", help="also count what passes without the gate")
    parser.add_argument("--revision", action="append", choices=CROSSINGS, help="only this one; may be repeated")
    given = parser.parse_args()
    expected, problems = json.loads(EXPECTED.read_text()), []
    with Stage() as stage:
        urls = {revision: stage.fixture(era) for revision, era in CROSSINGS.items()}
        tables = "\n".join(f'[server.{era}]\nendpoints = ["{urls[revision]}"]\n' for revision, era in CROSSINGS.items())
        gate = stage.shim(stage.gate(tables))
        for revision in given.revision or CROSSINGS:
            era, known = CROSSINGS[revision], expected[revision]
            found = checks(f"{gate}/mcp/{era}", revision)
            now, failed = counts(found), failing(found)
            line = f"{revision} on a {era} server: {now['passed']} passed, {now['failed']} failed, {len(known['excluded'])} excluded"
            if given.direct:
                direct = counts(checks(urls[revision], revision))
                line += f"; without the gate {direct['passed']} passed, {direct['failed']} failed"
            print(line, flush=True)
            problems += [f"{revision} {check}: {why}" for check, why in failed.items() if check not in known["excluded"]]
            problems += [
                f"{revision} {check} passes: strike it from crossed.json" for check in known["excluded"] if check not in failed
            ]
            if now["passed"] < known["passed"]:
                problems.append(f"{revision}: only {now['passed']} of {known['passed']} checks pass")
    for problem in problems:
        print(f"  {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
