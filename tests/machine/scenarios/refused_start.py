"""A refused start and a missing credential name their remedy, and a client that waits meanwhile is served after it."""

import threading

from machine import Machine, eventually, expect

REFUSE = '[daemon]\non_bad_config = "refuse"\n'
BAD = '[server.two]\nendpoints = ["http://127.0.0.1:1/mcp"]\nqueue = { max_sise = 5 }\n'
SECRET = '[server.one]\nendpoints = ["http://127.0.0.1:1/mcp"]\nheaders = { Authorization = "credential:one" }\n'


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    refused_with_a_client_waiting(machine)
    missing_credential(machine)


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
    eventually("the client has it tried again", lambda: tries() > 3, within=30)
    expect(machine.active("toolgated-local.socket"), "the port was closed")
    journal = machine.journal(lines=200)
    for part in ("two.toml:3:11", "max_size"):
        expect(part in journal, f"the journal does not say {part!r}:\n{journal}")
    machine.run("rm", "/etc/toolgate/conf.d/two.toml")
    client.join(50)
    expect(answers and "healthy" in answers[0], f"the client that waited was not answered: {answers}")
    eventually("the service runs", machine.active)
    machine.run("rm", "/etc/toolgate/conf.d/refuse.toml")
    machine.run("systemctl", "reload", "toolgated")


def missing_credential(machine: Machine) -> None:
    machine.write("/etc/toolgate/conf.d/one.toml", SECRET)
    machine.run("systemctl", "daemon-reload")
    reload = machine.run("toolgate", "config", "reload", check=False)
    expect(reload.returncode != 0 and "one" in reload.stdout, f"a missing credential was taken:\n{reload.stdout}")
    machine.run("systemctl", "restart", "toolgated")
    eventually("the last good revision serves", machine.healthy)
    expect("from history" in machine.status_text(), f"the status says: {machine.status_text()}")
    expect("credentials/one" in machine.journal(lines=200), "the journal does not say where the credential belongs")

    machine.shell("umask 077 && printf %s 'Bearer abc' > /etc/toolgate/credentials/one")
    machine.run("systemctl", "restart", "toolgated")
    eventually("the files serve again", lambda: "from history" not in machine.status_text() and machine.healthy())

    # Now the last good revision names it as well.
    machine.run("rm", "/etc/toolgate/credentials/one")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "toolgated", check=False)
    eventually("the start is refused", lambda: machine.property("toolgated.service", "ExecMainStatus") == "78")
    expect("credentials/one" in machine.journal(lines=60), f"the journal says:\n{machine.journal(lines=60)}")
    machine.shell("umask 077 && printf %s 'Bearer abc' > /etc/toolgate/credentials/one")
    machine.run("systemctl", "start", "toolgated")
    eventually("the service runs", machine.healthy)
