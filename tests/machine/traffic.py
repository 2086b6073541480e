"""Clients that call without a pause while something happens to the gate, and servers that count what reaches them.

Every client has a session of its own, over TLS, and never tries anything again: a call that fails, a session that is
lost, an instance that was started anew or a call that a server saw twice is what scenarios look for. That a call is in
flight at each event is checked, and the calls per event are printed, so that nothing passes by being idle. With `sdks`
there are clients made of the official SDKs (`real.py`) beside those made by hand.
"""

import collections
import contextlib
import http.client
import http.server
import itertools
import json
import os
import pathlib
import select
import signal
import socketserver
import ssl
import threading
import time

import real
from ledger import Ledger
from machine import Failed, Machine, eventually, expect

HERE = pathlib.Path(__file__).parent
PORT = 3001
NOTICES_WITHIN = 0.25  # seconds until a busy client has noticed that its idle connection was closed
CALL_TAKES = 0.05  # seconds, within the server: so that each client nearly always has a call in flight
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}

CONFIGURATION = """
[server.web]
endpoints = ["http://127.0.0.1:{port}/mcp"]

[server.counter]
command = ["python3", "/opt/mcp/counter.py"]
instances = {{ per = "session", max = 50 }}

{key}
"""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """An MCP server over HTTP, in the machine's network; `seen` counts the calls by their id."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", PORT), Handler)
        self.seen, self.sessions = collections.Counter(), itertools.count()

    def handle_error(self, request, client_address):
        """The gate that was killed has left a connection: that is what is being tried."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            return self.reply(202, b"")
        result, headers = {}, {}
        if message["method"] == "initialize":
            headers["Mcp-Session-Id"] = f"session-{next(self.server.sessions)}"
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "web", "version": "1"},
            }
        elif message["method"] == "tools/call":
            arguments = message["params"]["arguments"]
            self.server.seen[arguments["id"]] += 1
            time.sleep(arguments["seconds"])
            result = {"content": [{"type": "text", "text": json.dumps({"id": arguments["id"]})}]}
        elif message["method"] == "tools/list":
            result = {"tools": [{"name": "count", "description": "Counts", "inputSchema": {"type": "object"}}]}
        return self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode(), headers)

    def do_GET(self):
        self.reply(405, b"")

    def do_DELETE(self):
        self.reply(200, b"")

    def reply(self, status: int, body: bytes, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Client(Ledger, threading.Thread):
    """One client made by hand: a session, then call after call."""

    def __init__(self, traffic: "Traffic", number: int, server: str):
        threading.Thread.__init__(self, daemon=True)
        Ledger.__init__(self, traffic, f"client-{number}", server)
        self.session, self.connection = None, None

    def run(self):
        try:
            self.traffic.machine.enter_network()
            self.connection = http.client.HTTPSConnection(
                "localhost", self.traffic.port, timeout=40, context=self.traffic.trust
            )
            self.open()
            self.traffic.opened.release()
            while not self.traffic.ended.is_set():
                self.call()
        except Exception as error:  # noqa: BLE001: whatever it is, the scenario must hear of it
            self.failures.append(f"{self.name}: {type(error).__name__}: {error}")
            self.traffic.opened.release()

    def open(self):
        asked = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "traffic", "version": "1"}}
        _, headers = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": asked})
        self.session = headers["Mcp-Session-Id"]
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self):
        name = f"{self.name}.{self.tried()}"
        arguments = {"id": name, "seconds": CALL_TAKES}
        params = {"name": "count", "arguments": arguments}
        self.began = time.monotonic()
        try:
            message, _ = self.post({"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": params})
            self.answer(name, json.loads(message["result"]["content"][0]["text"]))
        except Exception as error:  # noqa: BLE001: a broken connection has many names
            self.connection.close()
            if not self.fail(name, f"{type(error).__name__}: {error}"):
                time.sleep(0.05)
        finally:
            self.began = None

    def post(self, message: dict):
        headers = {**HEADERS, "Authorization": f"Bearer {self.traffic.key}"}
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        if self.connection.sock and select.select([self.connection.sock], [], [], 0)[0]:
            # Closed while it was idle, as every client looks before it sends.
            self.connection.close()
        self.connection.request("POST", f"/mcp/{self.server}", json.dumps(message), headers)
        answer = self.connection.getresponse()
        body = answer.read().decode()
        if answer.status not in (200, 202):
            raise Failed(f"{answer.status} {body}")
        if "text/event-stream" in (answer.headers["Content-Type"] or ""):
            data = [line[5:] for line in body.splitlines() if line.startswith("data:") and line[5:].strip()]
            body = next(line for line in data if '"result"' in line or '"error"' in line)
        parsed = json.loads(body) if body.strip() else {}
        if "error" in parsed:
            raise Failed(json.dumps(parsed["error"]))
        return parsed, answer.headers


class Traffic(contextlib.ExitStack):
    """The servers and clients of a scenario, from `with` on; `check` at its end says what failed."""

    def __init__(self, machine: Machine, clients: int = 12, port: int = 8443, stdio: bool = True, sdks: bool = False):
        super().__init__()
        self.machine, self.port, self.stdio, self.number, self.sdks = machine, port, stdio, clients, sdks
        self.kills, self.dying, self.events = [], None, []
        self.opened, self.ended = threading.Semaphore(0), threading.Event()

    def __enter__(self):
        super().__enter__()
        self.key = configure(self.machine, self.stdio)
        authority = self.machine.read("/var/lib/toolgate/tls/local.crt")
        (self.machine.folder / "ca.pem").write_text(authority)
        self.trust = ssl.create_default_context(cadata=authority)
        self.serve()
        servers = ["web", "counter"] if self.stdio else ["web"]
        self.clients = [Client(self, number, servers[number % len(servers)]) for number in range(self.number)]
        self.clients += self.real() if self.sdks else []
        for client in self.clients:
            client.start()
        for _ in self.clients:
            self.opened.acquire(timeout=60)
        self.callback(self.ended.set)
        begun = lambda: all(len(client.answered) > 2 or client.failures for client in self.clients)  # noqa: E731
        eventually("every client has made calls", begun, within=60)
        self.check()
        self.introduced = next(self.server.sessions)
        return self

    def real(self) -> list[real.Real]:
        made = []
        for kind in real.KINDS:
            made.append(real.Real(self, *kind, CALL_TAKES))
            self.callback(made[-1].kill)
        return made

    def serve(self):
        ready = threading.Event()

        def serve():
            self.machine.enter_network()
            self.server = Server()
            ready.set()
            self.server.serve_forever()

        threading.Thread(target=serve, daemon=True).start()
        ready.wait(10)
        self.callback(lambda: (self.server.shutdown(), self.server.server_close()))

    def event(self, action):
        """Does something to the gate while every client has a call in flight."""
        eventually("every client has a call in flight", lambda: all(client.began for client in self.clients))
        before = self.calls()
        outcome = action()
        self.events.append(self.calls() - before)
        return outcome

    def kill(self, pid: int):
        """SIGKILL; whoever began a call before the process was gone had it in flight."""
        self.dying = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        eventually("the process is gone", lambda: not pathlib.Path(f"/proc/{pid}").exists())
        self.kills.append((self.dying, time.monotonic()))
        self.dying = None

    def excuses(self, began: float) -> bool:
        """Whether a call that began then was in flight at a SIGKILL."""
        now, dying = time.monotonic(), self.dying
        return dying is not None or any(began <= gone and killed <= now for killed, gone in self.kills)

    def has_just_killed(self, began: float) -> bool:
        """Whether a call that began then may have been sent into a connection that a SIGKILL had closed already."""
        return any(gone <= began <= gone + NOTICES_WITHIN for _, gone in self.kills)

    def settle(self):
        """Every client makes two calls more, after whatever happened last."""
        goals = [(client, len(client.answered) + 2) for client in self.clients]
        eventually(
            "every client makes calls again",
            lambda: all(len(client.answered) >= goal or client.failures for client, goal in goals),
            within=60,
        )

    def check(self):
        failures = [failure for client in self.clients for failure in client.failures]
        expect(not failures, f"{len(failures)} failures:\n  " + "\n  ".join(failures[:10]))

    def end(self, what: str):
        """Ends the clients, and checks everything."""
        self.settle()
        self.ended.set()
        for client in self.clients:
            client.join(60)
        self.check()
        web = [name for client in self.clients if client.server == "web" for name in client.answered]
        wrong = [name for name in web if self.server.seen[name] != 1]
        wrong += [name for name, times in self.server.seen.items() if times > 1]
        expect(not wrong, f"the server saw calls other than once: {wrong[:5]}")
        opened = next(self.server.sessions) - self.introduced - 1
        expect(opened == 0 or not self.sdks, f"{opened} sessions were opened anew at the server")
        counts, cut = sorted(self.events), sum(client.cut for client in self.clients)
        print(
            f"   {what}: {self.calls()} calls of {len(self.clients)} sessions, 0 failed, {cut} cut by a kill; "
            f"{counts[0]} to {counts[-1]} calls per event, median {counts[len(counts) // 2]}"
        )
        for client in self.clients:
            if isinstance(client, real.Real):
                print(f"   {client}")

    def calls(self) -> int:
        return sum(len(client.answered) for client in self.clients)


def configure(machine: Machine, stdio: bool = True) -> str:
    """Two servers and a key, as an operator would write them; the key."""
    made = json.loads(machine.run("toolgate", "--json", "key", "create", "--offline", "--owner", "traffic").stdout)
    text = CONFIGURATION.format(port=PORT, key=made["toml"])
    if not stdio:
        text = text.split("[server.counter]")[0] + made["toml"]
    machine.run("mkdir", "-p", "/opt/mcp")
    machine.copy(HERE / "counter.py", "/opt/mcp/counter.py")
    machine.write("/etc/toolgate/conf.d/traffic.toml", text)
    machine.run("systemctl", "daemon-reload")
    if stdio:
        machine.run("systemctl", "start", "toolgate-server-counter.socket")
    machine.run("systemctl", "reload", "toolgated")
    return made["key"]
