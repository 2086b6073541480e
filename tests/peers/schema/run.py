#!/usr/bin/env python3
"""Asks a running daemon everything that its OpenAPI document allows, and much that it does not.

schemathesis makes the requests from `GET /v1/schema`, over a port that is forwarded to each of the two admin sockets.
No answer may be a failure of the daemon, and each must be what the document says. With `--fast`, fewer of them.
"""

import argparse
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from stage import CACHE, Stage, binary, free_port  # noqa: E402

SCHEMATHESIS = CACHE / "schema" / "bin" / "schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CONFIG = """
version = 1

[daemon]
cores = 1
runtime_dir = "{folder}/run"
state_dir = "{folder}/state"

[listener.public]
address = ["127.0.0.1:{port}"]
serve = ["mcp", "health"]
auth = ["key"]

[server.web]
endpoints = ["http://127.0.0.1:9/mcp", "http://127.0.0.1:10/mcp"]
breaker = {{ failures = 5, open_for = "30s" }}

[tier.free]
limits = [{{ name = "free", per = "client", rate = "100/min" }}]

[key.ci12]
hash = "sha256:{hash}"
owner = "ci"
tier = "free"
"""


def forward(path: pathlib.Path) -> int:
    """A port of this machine whose connections go to a Unix socket."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(path))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--fast", action="store_true")
    examples = "10" if arguments.parse_args().fast else "60"
    with Stage() as stage, tempfile.TemporaryDirectory(prefix="toolgate-schema-") as folder:
        folder = pathlib.Path(folder)
        for part in ("run", "state"):
            (folder / part).mkdir()
        config = folder / "toolgate.toml"
        config.write_text(CONFIG.format(folder=folder, port=free_port(), hash="0" * 64))
        config.chmod(0o600)
        daemon = stage.start("toolgated", [binary("toolgated"), "run", "--config", config])
        # Its log goes to standard output, which nobody reads here.
        threading.Thread(target=daemon.stdout.read, daemon=True).start()
        control = folder / "run" / "control" / "control.sock"
        deadline = time.monotonic() + 30
        while not control.exists():
            if daemon.poll() is not None or time.monotonic() > deadline:
                stage.failure(daemon, "did not open its sockets")
            time.sleep(0.05)
        failed = 0
        for name in ("control", "view"):
            port = forward(folder / "run" / name / f"{name}.sock")
            command = [SCHEMATHESIS, "run", f"http://127.0.0.1:{port}/v1/schema", "--url", f"http://127.0.0.1:{port}"]
            command += ["--checks", CHECKS, "--max-examples", examples, "--exclude-path", "/v1/watch"]
            command += ["--exclude-path", "/v1/requests/tail", "--workers", "1", "--no-color"]
            print(f"== {name} socket", flush=True)
            failed |= subprocess.run([str(part) for part in command], check=False).returncode
        if daemon.poll() is not None:
            stage.failure(daemon, "has ended")
        return failed


if __name__ == "__main__":
    sys.exit(main())
