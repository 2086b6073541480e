#!/usr/bin/env python3
"""What the console costs an operator's machine, and how soon it shows what a key does.

Run by `watchers --console` before a gate that is full. The real program draws into a pseudo-terminal of 120 columns and
40 lines: keys go in, and what is measured is the time until the last byte of the picture that follows has come out. On a
shared machine the median says more than the worst. Prints one line of JSON.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import select
import statistics
import struct
import sys
import termios
import time

# A picture has ended when nothing more of it comes for as long, in seconds.
QUIET = 0.004
PATIENCE = 2.0


class Console:
    """The console of a gate, and the terminal that it draws into."""

    def __init__(self, toolgate: str, socket_dir: str):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", LANG="C.UTF-8")
            os.execv(toolgate, [toolgate, "--socket-dir", socket_dir])
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read(self, wait: float) -> bytes:
        """What comes within a time; nothing where nothing does."""
        ready, _, _ = select.select([self.terminal], [], [], wait)
        return os.read(self.terminal, 1 << 16) if ready else b""

    def until(self, text: bytes) -> None:
        seen, end = b"", time.monotonic() + 20
        while text not in seen:
            seen += self.read(0.1)
            if time.monotonic() > end:
                sys.exit(f"the console does not show {text!r}: {seen[-2000:]!r}")

    def watch(self, seconds: float) -> int:
        """Reads for a time, as a terminal does; how many bytes came."""
        end, count = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            count += len(self.read(left))
        return count

    def press(self, key: str) -> float | None:
        """Milliseconds from a key to the last byte of the picture that it makes."""
        while self.read(QUIET):
            pass
        begun = time.monotonic()
        os.write(self.terminal, key.encode())
        last, wait = None, PATIENCE
        while self.read(wait):
            last, wait = time.monotonic(), QUIET
        return None if last is None else (last - begun) * 1e3

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> dict[str, float]:
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return {"now": sizes["VmRSS"], "most": sizes["VmHWM"]}

    def end(self) -> None:
        os.write(self.terminal, b"\x03")
        try:
            self.watch(5)
        except OSError:
            # Nobody has the other end of the terminal any more.
            pass
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def measured(console: Console, screen: str, options: argparse.Namespace) -> dict:
    console.press(screen)
    console.watch(2)
    times = [console.press("jk"[number // 8 % 2]) for number in range(options.keys)]
    times = sorted(time for time in times if time is not None)
    before, begun = console.cpu_seconds(), time.monotonic()
    drawn = console.watch(options.seconds)
    span = time.monotonic() - begun
    return {
        "key_to_paint_ms": {
            "median": statistics.median(times),
            "p95": times[len(times) * 95 // 100],
            "worst": times[-1],
            "painted": len(times),
        },
        "percent_of_a_core": (console.cpu_seconds() - before) / span * 100,
        "bytes_per_second": drawn / span,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--toolgate", required=True)
    parser.add_argument("--socket-dir", required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--keys", type=int, default=100)
    options = parser.parse_args()
    console = Console(options.toolgate, options.socket_dir)
    console.until(b"Overview")
    screens = {"overview": "1", "servers": "2", "sessions": "3", "tools": "4"}
    result = {name: measured(console, key, options) for name, key in screens.items()}
    result["memory_mb"] = console.memory_mb()
    console.end()
    print(json.dumps(result))


main()
