#!/usr/bin/env python3
"""Both eras meet: every client, at servers of every era, through the gate, and each feature of the protocol.

Each cell either works, or `CANNOT` holds the reason why it cannot. Fails when another one does not work, when one of
`CANNOT` does, and when a client did not try a feature. `--direct` leaves the gate out and each client with servers of
its own era; `--all` prints every cell. A column is a fixture of its own that meets one client at a time, so that what
a client hears is what it caused.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))
from run import CLIENTS  # noqa: E402
from stage import FIXTURE, PYTHON, Gate, Stage, run_client  # noqa: E402

PATIENCE = 5  # seconds that a client waits for what should arrive
# Column: the era that the fixture is limited to, and whether it is a stdio server.
COLUMNS = {
    "legacy": ("legacy", False),
    "modern": ("modern", False),
    "both": ("both", False),
    "legacy-stdio": ("legacy", True),
    "modern-stdio": ("modern", True),
}

# Feature: whether what the client saw of it is right.
FEATURES = {
    "list": lambda seen: "test_simple_text" in seen["text"],
    "call": lambda seen: "simple text response" in seen["text"],
    "failing": lambda seen: "intentionally returns an error" in seen["text"],
    "progress": lambda seen: "three steps" in seen["text"] and seen["reports"] == 3,
    "cancel": lambda seen: (seen.get("began"), seen.get("ended"), seen.get("cancelled")) == (1, 0, 1),
    "elicitation": lambda seen: '"accept"' in seen["text"] and "ada@example.org" in seen["text"],
    "sampling": lambda seen: "LLM response: Berlin" in seen["text"],
    "read": lambda seen: "content of the static text resource" in seen["text"],
    "subscription": lambda seen: set(seen["updates"]) == {"test://watched-resource"},
    "change": lambda seen: seen["changes"] >= 1,
    "prompt": lambda seen: "simple prompt for testing" in seen["text"],
    "completion": lambda seen: "test" in seen["text"].split(),
    "logging": lambda seen: seen["logs"] == ["warning"],
}
FAILS = {"failing", "cancel"}  # a client sees these calls fail where all is well

INSPECTOR = "Inspector 2.12"
BOTH = ("legacy", "modern")
# Clients, eras, columns (none: all), feature: the clause that allows to be without it.
CANNOT = [
    ([INSPECTOR], BOTH, None, "progress", "Progress: sent to who asks for it with a token; --cli prints its result only"),
    (
        [INSPECTOR], ("legacy",), None, "cancel",
        "2025-11-25 Transports: a disconnect is no cancellation, and --cli sends nothing else when it is ended",
    ),
    ([INSPECTOR], BOTH, None, "elicitation", "Client capabilities: elicitation is optional; --cli has no user to ask"),
    ([INSPECTOR], BOTH, None, "sampling", "Client capabilities: sampling is optional (deprecated, SEP-2577); --cli has no model"),
    ([INSPECTOR], BOTH, None, "subscription", "Resources: to subscribe is optional; --cli refuses resources/subscribe"),
    ([INSPECTOR], BOTH, None, "change", "Tools: a notification needs no receiver; --cli ends with its first answer"),
    ([INSPECTOR], BOTH, None, "completion", "Completion: optional for clients; --cli refuses prompts/complete"),
    ([INSPECTOR], BOTH, None, "logging", "Logging: optional for clients (deprecated, SEP-2577); --cli prints its result only"),
    (
        [client for client in CLIENTS if client != INSPECTOR], BOTH, ("modern-stdio",), "logging",
        "2026-07-28 Logging: a message belongs to a request's stream and does not name it; over stdio there is none, "
        'and of an instance that all clients share (per = "all", the default) nobody can tell whose it is',
    ),
]


def reason(client: str, era: str, column: str, feature: str) -> str | None:
    for clients, eras, columns, what, why in CANNOT:
        if client in clients and era in eras and (columns is None or column in columns) and what == feature:
            return why
    return None


def works(feature: str, seen: dict) -> bool:
    return seen["failed"] == (feature in FAILS) and FEATURES[feature](seen)


class Row:
    """One client in one era."""

    def __init__(self, client: str, era: str):
        self.client, self.era, self.name = client, era, f"{client} {era}"

    def at(self, column: str, url: str, gate: Gate | None) -> dict[str, tuple[str, str]]:
        """Feature: `ok`, `-` (cannot) or `FAILED`, and why."""
        plan = {"url": url, "key": gate and gate.key, "era": self.era, "mode": "features"}
        plan |= {"tag": f"{self.name} {column}", "patience": PATIENCE}
        seen = run_client(CLIENTS[self.client][0], plan, gate and gate.ca)
        return {feature: self.verdict(column, feature, seen) for feature in FEATURES}

    def verdict(self, column: str, feature: str, seen: dict) -> tuple[str, str]:
        cannot = reason(self.client, self.era, column, feature)
        if "error" in seen:
            return "FAILED", f"the client ended: {seen['error']}"
        if feature not in seen:
            return "FAILED", "the client did not try"
        if not works(feature, seen[feature]):
            shown = json.dumps(seen[feature])
            return ("-", cannot) if cannot else ("FAILED", shown if len(shown) < 400 else f"{shown[:400]}…")
        return ("FAILED", "works: strike it from CANNOT") if cannot else ("ok", "")


def start(stage: Stage, columns: list[str], direct: bool) -> tuple[Gate | None, dict[str, str]]:
    """The gate before one fixture for each column, and the URL of each."""
    urls = {column: stage.fixture(COLUMNS[column][0]) for column in columns if not COLUMNS[column][1]}
    if direct:
        return None, urls
    tables = [f'[server.{column}]\nendpoints = ["{url}"]\n' for column, url in urls.items()]
    for column in columns:
        era, stdio = COLUMNS[column]
        if stdio:
            command = json.dumps([str(PYTHON["2"]), str(FIXTURE), "--era", era])
            tables.append(f"[server.{column}]\ncommand = {command}\n")
    gate = stage.gate("\n".join(tables))
    return gate, {column: gate.url(column) for column in columns}


def summary(rows: list[Row], cells: dict) -> None:
    """In each cell, how many features work of those that can."""
    columns = list(dict.fromkeys(column for _, column in cells))
    print("".ljust(24) + "".join(column.ljust(14) for column in columns))
    for row in rows:
        line = row.name.ljust(24)
        for column in columns:
            marks = [mark for mark, _ in cells.get((row.name, column), {}).values()]
            line += (f"{marks.count('ok')}/{len(marks) - marks.count('-')}" if marks else "").ljust(14)
        print(line.rstrip())


def every_cell(cells: dict) -> None:
    print("".ljust(38) + " ".join(FEATURES))
    for (row, column), cell in cells.items():
        print(f"{row} {column}".ljust(38) + " ".join(cell[name][0].ljust(len(name)) for name in FEATURES).rstrip())


def exceptions(cells: dict) -> int:
    """Prints each failure, then each reason once with whom it holds for; how many failures there are."""
    failed, cannot = 0, {}
    for (row, column), cell in cells.items():
        for feature, (mark, why) in cell.items():
            if mark == "FAILED":
                failed += 1
                print(f"FAILED: {row} at {column}, {feature}: {why}")
            if mark == "-":
                cannot.setdefault((feature, why), {}).setdefault(row, []).append(column)
    for (feature, why), rows in cannot.items():
        alike = {}
        for row, columns in rows.items():
            alike.setdefault(tuple(columns), []).append(row)
        whom = "; ".join(f"{', '.join(names)} at {', '.join(columns)}" for columns, names in alike.items())
        print(f"cannot, {feature}: {whom}\n    {why}")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", action="store_true", help="no gate, and HTTP only")
    parser.add_argument("--all", action="store_true", help="print every cell")
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only this one; may be repeated")
    parser.add_argument("--server", action="append", choices=COLUMNS, help="only this one; may be repeated")
    given = parser.parse_args()
    rows = [Row(client, era) for client in given.client or CLIENTS for era in CLIENTS[client][1]]
    # Without a gate no program starts a stdio server for a client that speaks HTTP.
    columns = [c for c, (_, stdio) in COLUMNS.items() if c in (given.server or COLUMNS) and not (given.direct and stdio)]
    with Stage() as stage:
        gate, urls = start(stage, columns, given.direct)

        def fill(column: str) -> dict:
            own = [row for row in rows if not given.direct or COLUMNS[column][0] in (row.era, "both")]
            # Each column begins with another client: some use much more of the machine than others.
            at = list(urls).index(column) * len(own) // len(urls)
            return {(row.name, column): row.at(column, urls[column], gate) for row in own[at:] + own[:at]}

        with concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
            filled = list(pool.map(fill, urls))
    unordered = {place: cell for column in filled for place, cell in column.items()}
    cells = {(row.name, column): unordered[row.name, column] for row in rows for column in urls if (row.name, column) in unordered}
    summary(rows, cells)
    if given.all:
        every_cell(cells)
    failed = exceptions(cells)
    tried = len(cells) * len(FEATURES)
    print(f"{tried - failed} of {tried} cells are as they should be")
    return 1 if failed or not cells else 0


if __name__ == "__main__":
    sys.exit(main())
