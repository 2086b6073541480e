"""Starts the programs that a test of peers needs, waits until each is ready, and ends them all.

Used by `conformance/run.py`, `clients/run.py` and `oauth/run.py`. Nothing outlives the `with` block: every program runs in
a process group of its own, which is ended as a whole. Readiness is polled for with a deadline.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
NODE_BIN = CACHE / "node" / "node_modules" / ".bin"
PYTHON = {"1": CACHE / "py1" / "bin" / "python", "2": CACHE / "py2" / "bin" / "python"}
FIXTURE = ROOT / "tests" / "peers" / "fixture" / "server.py"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
READY_WITHIN = 30.0  # seconds, on a machine that does other things as well


def environment(**more: str) -> dict:
    """The caller's environment with the cache's Node in front."""
    return {**os.environ, "PATH": f"{NODE_BIN}:{os.environ['PATH']}", **more}


def run_client(command: list, plan: dict, ca: pathlib.Path | None) -> dict:
    """Runs a client's program, which says on its last line what it saw."""
    trust = {"NODE_EXTRA_CA_CERTS": str(ca), "SSL_CERT_FILE": str(ca)} if ca else {}
    env = environment(TOOLGATE_NODE=str(CACHE / "node"), PYTHONDONTWRITEBYTECODE="1", **trust)
    try:
        done = subprocess.run(
            [*map(str, command), json.dumps(plan)], capture_output=True, text=True, env=env, timeout=120
        )
    except subprocess.TimeoutExpired:
        return {"error": "did not end within 120 s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"error": (done.stderr or done.stdout).strip()[-1500:]}
    return json.loads(lines[-1])


def binary(name: str, profile: str = os.environ.get("TOOLGATE_PROFILE", "debug")) -> str:
    path = TARGET / profile / name
    if not path.exists():
        sys.exit(f"{path} is missing: run `cargo build --workspace --bins` first")
    return str(path)


def free_port() -> int:
    """A port that was free a moment ago; for programs that cannot report the port they bound.

    It lies below the ports that the kernel gives to connections, which would otherwise take it meanwhile.
    """
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Gate:
    """A running gate: `url(NAME)` over TLS, the CA to trust and the keys of its clients, of which one is `key`."""

    def __init__(self, port: int, ca: pathlib.Path, keys: list[str], process: subprocess.Popen):
        self.port, self.ca, self.keys, self.process = port, ca, keys, process
        self.key = keys[0]

    def url(self, name: str | None = None) -> str:
        return f"https://localhost:{self.port}/mcp" + (f"/{name}" if name else "")


class Stage(contextlib.ExitStack):
    """The programs of one test."""

    def __enter__(self):
        super().__enter__()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="toolgate-test-")))
        return self

    def start(self, name: str, command: list, **env: str) -> subprocess.Popen:
        """Starts `command`; its standard error goes to a file that `failure` shows."""
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(**env),
            start_new_session=True,
        )
        self.callback(self.end, process)
        process.name = name
        return process

    @staticmethod
    def end(process: subprocess.Popen) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def failure(self, process: subprocess.Popen, what: str):
        log = (self.folder / f"{process.name}.log").read_text(errors="replace")
        sys.exit(f"{process.name}: {what}\n{log[-4000:]}")

    def line(self, process: subprocess.Popen) -> dict:
        """The first line on standard output, which says that the program is ready."""
        os.set_blocking(process.stdout.fileno(), False)
        deadline, text = time.monotonic() + READY_WITHIN, b""
        while b"\n" not in text:
            text += process.stdout.read() or b""
            if process.poll() is not None or time.monotonic() > deadline:
                self.failure(process, "ended or stayed silent before it was ready")
            time.sleep(0.02)
        os.set_blocking(process.stdout.fileno(), True)
        return json.loads(text.split(b"\n")[0])

    def port_open(self, process: subprocess.Popen, port: int) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if process.poll() is not None or time.monotonic() > deadline:
                self.failure(process, f"did not open port {port}")
            time.sleep(0.02)

    def fixture(self, era: str = "both") -> str:
        """The fixture over HTTP; its URL."""
        return self.line(self.start(f"fixture-{era}", [PYTHON["2"], FIXTURE, "--port", "0", "--era", era]))["url"]

    def everything(self, transport: str = "streamableHttp") -> str:
        """server-everything over HTTP, also over the older HTTP+SSE ("sse"); its URL."""
        port = free_port()
        command = [NODE_BIN / "mcp-server-everything", transport]
        process = self.start(f"everything-{transport}", command, PORT=str(port))
        self.port_open(process, port)
        return f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"

    def shim(self, gate: Gate) -> str:
        """A plain port in front of the gate that adds the key; its base URL."""
        command = [binary("shim"), "--to", f"localhost:{gate.port}", "--ca", gate.ca, "--key", gate.key]
        return self.line(self.start("shim", command))["url"]

    def certificates(self) -> pathlib.Path:
        """A folder with `ca.pem`, `chain.pem` and `key.pem` for localhost."""
        folder = self.folder / "tls"
        if not folder.exists():
            subprocess.run([binary("certificates"), str(folder)], check=True, stdout=subprocess.DEVNULL)
        return folder

    def control(self, upstream: str) -> Gate:
        """nginx in the gate's place: relays bytes over TLS and demands a key. The test of the tests."""
        tls, port, key = self.certificates(), free_port(), f"tg_test_{secrets.token_hex(32)}"
        config = self.folder / "nginx.conf"
        temporary = "\n".join(
            f"{kind}_temp_path {self.folder}/nginx-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(f"""daemon off;
pid {self.folder}/nginx.pid;
error_log {self.folder}/nginx.log;
events {{}}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {tls}/chain.pem;
        ssl_certificate_key {tls}/key.pem;
        location / {{
            if ($http_authorization != "Bearer {key}") {{ return 401; }}
            proxy_pass {upstream.removesuffix("/mcp")};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_buffering off;
            rewrite ^ /mcp break;
        }}
    }}
}}
""")
        process = self.start("nginx", [NGINX, "-c", config, "-p", self.folder])
        self.port_open(process, port)
        return Gate(port, tls / "ca.pem", [key], process)

    def gate(
        self,
        servers: str,
        limits: str = "",
        clients: int = 1,
        port: int | None = None,
        auth: str = '"key"',
        serve: str = '"mcp", "health", "ready"',
    ) -> Gate:
        """A gate with the TOML tables `servers` and a key for each of `clients`; all have the tier with `limits`. `auth`
        lists the methods by which clients identify themselves."""
        certificates = self.certificates()
        port, keys = port or free_port(), {f"test{number}": secrets.token_hex(32) for number in range(clients)}
        key_tables = "\n".join(
            f'[key.{name}]\nhash = "sha256:{hashlib.sha256(secret.encode()).hexdigest()}"\ntier = "test"\n'
            for name, secret in keys.items()
        )
        runtime = self.folder / "run"
        config = self.folder / "toolgate.toml"
        config.write_text(f"""version = 1

[daemon]
runtime_dir = "{runtime}"
state_dir = "{runtime}/state"

[log]
level = "warn"

[listener.test]
address = ["127.0.0.1:{port}"]
serve = [{serve}]
auth = [{auth}]
tls.certificates = [{{ chain = "file:{certificates}/chain.pem", key = "file:{certificates}/key.pem" }}]

{key_tables}
[tier.test]
limits = [{limits}]

{servers}
""")
        (self.folder / "state").mkdir(exist_ok=True)
        runtime.mkdir(exist_ok=True)
        if "command =" in servers:
            self.start("keeper", [binary("toolgated"), "keeper", "--config", config])
        process = self.start("gate", [binary("toolgated"), "run", "--config", config])
        self.port_open(process, port)
        return Gate(port, certificates / "ca.pem", [f"tg_{name}_{secret}" for name, secret in keys.items()], process)
