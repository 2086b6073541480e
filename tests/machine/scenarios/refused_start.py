"""A refused start names its remedy once and a waiting client is served after it; a missing credential costs its server."""

import json
import threading

from machine import Machine, eventually, expect
from traffic import configure

REFUSE = '[daemon]\non_bad_config = "refuse"\n'
BAD = '[server.two]\nendpoints = ["http://127.0.0.1:1/mcp"]\nqueue = { max_sise = 5 }\n'
SECRET = '[server.one]\nendpoints = ["http://127.0.0.1:1/mcp"]\nheaders = { Authorization = "credential:one" }\n'
INITIALIZE = json.dumps({
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}},
})  # fmt: skip


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    refused_with_a_client_waiting(machine)
    configuration_of_one(machine)
    missing_credential(machine, opened_instance(machine))
    typing_error_beside_a_credential(machine)
    credential_of_a_drop_in(machine)


def refused_with_a_client_waiting(machine: Machine) -> None:
    machine.write("/etc/toolgate/conf.d/refuse.toml", REFUSE)
    machine.run("systemctl", "reload", "toolgated")
    machine.write("/etc/toolgate/conf.d/two.toml", BAD)
    machine.run("systemctl", "restart", "toolgated", check=False)
    eventually("the start is refused", lambda: machine.property("toolgated.service", "ExecMainStatus") == "78")
    answers = []
    client = threading.Thread(target=lambda: answers.append(machine.get("/health", timeout=50)))
    client.start()
    tries = lambda: machine.journal(lines=200).count("status=78")  # noqa: E731
    eventually("the client has it tried again", lambda: tries() > 2, within=40)
    expect(machine.active("toolgated-local.socket"), "the port was closed")
    journal = machine.journal(lines=200)
    for part in ("two.toml:3:11", "max_size"):
        expect(journal.count(part) == 1, f"the journal does not say {part!r} once:\n{journal}")
    expect("still cannot be used" in journal, f"later tries do not say why in short:\n{journal}")
    machine.run("rm", "/etc/toolgate/conf.d/two.toml")
    client.join(50)
    expect(answers and "healthy" in answers[0], f"the client that waited was not answered: {answers}")
    eventually("the service runs", machine.active)
    machine.run("rm", "/etc/toolgate/conf.d/refuse.toml")
    machine.run("systemctl", "reload", "toolgated")


def configuration_of_one(machine: Machine) -> None:
    """Added, but its credential was forgotten."""
    machine.write("/etc/toolgate/conf.d/one.toml", SECRET)
    machine.run("systemctl", "daemon-reload")
    check = machine.run("toolgated", "check")
    expect("credentials/one" in check.stdout, f"the check does not name the credential:\n{check.stdout}")
    reload = machine.run("toolgate", "config", "reload", check=False)
    expect(reload.returncode != 0 and "one" in reload.stdout, f"a missing credential was taken:\n{reload.stdout}")
    machine.run("systemctl", "restart", "toolgated")
    cannot_be_called(machine)
    expect("from history" not in machine.status_text(), f"the status says: {machine.status_text()}")

    write_credential(machine)
    machine.run("systemctl", "restart", "toolgated")
    eventually("it can be called", lambda: check_of_one(machine)["status"] == "healthy")
    expect("cannot be called" not in machine.status_text(), f"the status says: {machine.status_text()}")


def missing_credential(machine: Machine, instance: str) -> None:
    """The last good revision names it as well, and an instance is at work."""
    machine.run("rm", "/etc/toolgate/credentials/one")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "toolgated")
    cannot_be_called(machine)
    expect("credentials/one" in machine.journal(lines=60), f"the journal says:\n{machine.journal(lines=60)}")
    expect(instances(machine) == instance, "an instance of another server has ended")
    machine.run("toolgate", "config", "reload", check=False)
    expect(instances(machine) == instance, "an instance of another server has ended")
    write_credential(machine)
    machine.run("systemctl", "restart", "toolgated")
    eventually("it can be called", lambda: check_of_one(machine)["status"] == "healthy")
    expect(instances(machine) == instance, "an instance of another server has ended")


def typing_error_beside_a_credential(machine: Machine) -> None:
    """A revision of the history is served with the credentials that it names."""
    machine.write("/etc/toolgate/conf.d/one.toml", SECRET + "queue = { max_sise = 5 }\n")
    machine.run("toolgate", "config", "reload", check=False)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "toolgated")
    eventually("the last good revision serves", lambda: "from history" in machine.status_text())
    expect(check_of_one(machine)["status"] == "healthy", f"it lacks its credential: {machine.get('/health')}")
    machine.write("/etc/toolgate/conf.d/one.toml", SECRET)
    machine.run("systemctl", "reload", "toolgated")


def credential_of_a_drop_in(machine: Machine) -> None:
    """What an operator has systemd load from elsewhere is not called missing by a start, and keeps no check from passing."""
    machine.run("mv", "/etc/toolgate/credentials/one", "/root/one")
    machine.run("mkdir", "-p", "/etc/systemd/system/toolgated.service.d")
    machine.write("/etc/systemd/system/toolgated.service.d/override.conf", "[Service]\nLoadCredential=one:/root/one\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("toolgated", "check")
    machine.run("systemctl", "restart", "toolgated")
    eventually("it can be called", lambda: check_of_one(machine)["status"] == "healthy")


def cannot_be_called(machine: Machine) -> None:
    eventually("it serves without the credential", machine.healthy)
    check, status = check_of_one(machine), machine.status_text()
    # Everybody reads this page: the path of a secret is for operators.
    expect(check["status"] == "warning" and "message" not in check, f"health says: {check}")
    told = machine.shell("toolgate --json health || true")
    expect("credentials/one" in told, f"toolgate health says: {told}")
    expect("the server one cannot be called" in status and "credentials/one" in status, f"the status says: {status}")


def check_of_one(machine: Machine) -> dict:
    return json.loads(machine.get("/health"))["checks"]["server:one"]


def write_credential(machine: Machine) -> None:
    machine.shell("umask 077 && printf %s 'Bearer abc' > /etc/toolgate/credentials/one")


def opened_instance(machine: Machine) -> str:
    """A legacy session with an instance of its own; the processes that serve it."""
    key = configure(machine)
    said = machine.run(
        "curl", "--silent", "--show-error", "--fail", "--max-time", "20", "--cacert", "/var/lib/toolgate/tls/local.crt",
        "--header", f"Authorization: Bearer {key}", "--header", "Content-Type: application/json",
        "--header", "Accept: application/json, text/event-stream", "--data", INITIALIZE,
        "https://localhost:8443/mcp/counter",
    ).stdout  # fmt: skip
    expect("serverInfo" in said, f"no session was opened: {said}")
    found = instances(machine)
    expect(found != "", "no instance runs")
    return found


def instances(machine: Machine) -> str:
    return machine.run("pgrep", "--full", "python3 /opt/mcp/counter.py", check=False).stdout.strip()
