"""The servers that the benchmark compares: nginx, haproxy and the gate, before the same stand-in.

Used by `run` and `train`. Each is given the same certificate (P-256), TLS 1.3, HTTP/2 and kept connections, and is
pinned to the cores that it is started with. nginx and haproxy relay bytes; the gate does all that it does.
"""

import hashlib
import os
import pathlib
import secrets
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
from stage import Stage, binary, free_port  # noqa: E402


# Where the gate's programs are, where they are not those of `packaging/release`.
PROGRAMS: pathlib.Path | None = None


def gated() -> str:
    """The daemon under test."""
    return str(PROGRAMS / "toolgated") if PROGRAMS else binary("toolgated", "release")


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


class Server:
    """A running server under test; counts the CPU and memory of all its processes."""

    def __init__(self, stage: Stage, name: str, process, port: int, ca: pathlib.Path, key: str | None, path: str):
        self.stage, self.name, self.process = stage, name, process
        self.port, self.ca, self.key, self.path = port, ca, key, path

    def arguments(self) -> list[str]:
        """What `load` must be told to reach it."""
        known = ["--port", str(self.port), "--ca", str(self.ca), "--path", self.path]
        return known + (["--key", self.key] if self.key else [])

    def pids(self) -> list[int]:
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += map(int, task.read_text().split())
        return found

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        ticks = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_kb(self) -> int:
        pages = sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024

    def end(self) -> None:
        self.stage.end(self.process)


def pinned(cores: str) -> list[str]:
    return ["taskset", "-c", cores]


def nginx(stage: Stage, upstream: int, cores: str = "0") -> Server:
    port, tls, folder = free_port(), stage.certificates(), stage.folder / "bench-nginx"
    folder.mkdir(exist_ok=True)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(f"""daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes {len(cores.split(","))};
worker_rlimit_nofile 20000;
events {{ worker_connections 18000; }}
http {{
    access_log off;
    {temporary}
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    upstream standin {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {tls}/chain.pem;
        ssl_certificate_key {tls}/key.pem;
        ssl_protocols TLSv1.3;
        location / {{
            proxy_pass http://standin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout 1h;
        }}
    }}
}}
""")
    process = stage.start(f"nginx-{port}", pinned(cores) + [program("nginx"), "-c", config, "-p", folder])
    stage.port_open(process, port)
    return Server(stage, "nginx", process, port, tls / "ca.pem", None, "/mcp")


def haproxy(stage: Stage, upstream: int, cores: str = "0") -> Server:
    port, tls = free_port(), stage.certificates()
    config = stage.folder / f"haproxy-{port}.cfg"
    config.write_text(f"""global
    nbthread {len(cores.split(","))}
    maxconn 9000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend tls
    bind 127.0.0.1:{port} ssl crt {tls}/pair.pem alpn h2,http/1.1 ssl-min-ver TLSv1.3 backlog 4096
    default_backend standin
backend standin
    http-reuse always
    server standin 127.0.0.1:{upstream} pool-max-conn 4096
""")
    process = stage.start(f"haproxy-{port}", pinned(cores) + [program("haproxy"), "-db", "-f", config])
    stage.port_open(process, port)
    return Server(stage, "haproxy", process, port, tls / "ca.pem", None, "/mcp")


# What may be switched on: lines of its own tables, of the tier, and of the server that is called.
FEATURES = {
    "limits": (
        '[[limit]]\nper = "global"\nrate = "1000000/s"\nburst = 1000000\n'
        '[[limit]]\nper = ["client", "tool"]\nrate = "60000000/min"\nalgorithm = "sliding-window"\n'
        '[[limit]]\nper = "client"\nquota = "1000000000/day"\n',
        '{ per = "client", rate = "1000000/s", burst = 1000000 }, { per = "client", concurrent = 100000 },',
        "",
    ),
    "loops": ("[loops]\nwindow = \"1s\"\nrefuse = 1000000\nsurge.refuse = 1000000\n", "", ""),
    "overload": ("[overload]\ncpu = \"100%\"\nlag = \"60s\"\n", "", ""),
    "queues": ("", "", "max_calls_per_client = 10000\nadaptive = { min = 10000 }\n"),
    "endpoints": (
        "",
        "",
        'breaker = { failures = 5, failure_rate = "50%", slow = "10s" }\nhealth = { interval = "30s" }\n'
        "retry = { attempts = 2 }\n",
    ),
    "guard": ("", "", 'guard = "strict"\npin = "warn"\nmax_result = "1MiB"\n'),
    # Of another tool: an answer that is kept costs the server's whole call less.
    "cache": ("", "", 'tool."other".cache = { ttl = "5m" }\n'),
}


def gate(
    stage: Stage,
    upstream: int,
    cores: str = "0",
    servers: str = "",
    path: str = "/mcp/standin",
    features: tuple[str, ...] = tuple(FEATURES),
) -> Server:
    """The gate with all that a call can meet switched on, or only `features`. `servers` are further ones."""
    off = "" if "guard" in features else 'guard = "off"\npin = "off"\n'
    tables, tier, called = ("".join(FEATURES[name][part] for name in features) for part in range(3))
    port, tls, secret = free_port(), stage.certificates(), secrets.token_hex(32)
    folder = stage.folder / f"gate-{port}"
    (folder / "run").mkdir(parents=True, exist_ok=True)
    config = folder / "toolgate.toml"
    config.write_text(f"""version = 1

[daemon]
cores = {len(cores.split(","))}
runtime_dir = "{folder}/run"
state_dir = "{folder}/state"
max_connections = 20000
max_sessions = 20000
max_sessions_per_client = 20000
max_server_connections = 20000

[log]
level = "warn"
access = false

[listener.bench]
address = ["127.0.0.1:{port}"]
serve = ["mcp", "health"]
auth = ["key"]
bounds = {{ connections = 20000, connections_per_address = 20000, keep_alive = "1h" }}
tls = {{ min_version = "1.3", certificates = [{{ chain = "file:{tls}/chain.pem", key = "file:{tls}/key.pem" }}] }}

[key.bench]
hash = "sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
owner = "bench"
tier = "bench"

[tier.bench]
limits = [{tier}]

{tables}
[server.standin]
endpoints = ["http://127.0.0.1:{upstream}/mcp"]
pool = {{ max_connections = 10000, idle_timeout = "1h" }}
max_calls = 10000
max_streams = 20000
max_streams_per_client = 20000
queue = {{ max_size = 10000, timeout = "10s" }}
{called}{off}
{servers}
""")
    if "command =" in servers:
        # A process of its own, whose CPU is not the gate's.
        stage.start(f"keeper-{port}", pinned("1") + [gated(), "keeper", "--config", config])
    process = stage.start(f"gate-{port}", pinned(cores) + [gated(), "run", "--config", config])
    stage.port_open(process, port)
    return Server(stage, "gate", process, port, tls / "ca.pem", f"tg_bench_{secret}", path)


def merged(stage: Stage, upstream: int) -> Server:
    """The gate where two servers are one: names are edited, and the gate is the end of the conversation."""
    second = f"""[server.second]
endpoints = ["http://127.0.0.1:{upstream}/mcp"]
pool = {{ max_connections = 10000, idle_timeout = "1h" }}
max_calls = 10000
max_streams = 20000
max_streams_per_client = 20000
"""
    return gate(stage, upstream, servers=second, path="/mcp")


def stdio(stage: Stage, upstream: int) -> Server:
    """The gate in front of one instance that all clients share; only the gate's own CPU is counted."""
    lines = f"""[server.lines]
command = ["{binary("standin", "release")}", "--stdio"]
instances = {{ per = "all", max = 4 }}
max_calls = 10000
"""
    return gate(stage, upstream, servers=lines, path="/mcp/lines")


def one_era(era: str):
    """The gate in front of a server that speaks this era only."""

    def make(stage: Stage, upstream: int) -> Server:
        lines = f"""[server.{era}]
endpoints = ["http://127.0.0.1:{upstream}/{era}"]
pool = {{ max_connections = 10000, idle_timeout = "1h" }}
max_calls = 10000
max_streams = 20000
max_streams_per_client = 20000
"""
        return gate(stage, upstream, servers=lines, path=f"/mcp/{era}")

    return make
