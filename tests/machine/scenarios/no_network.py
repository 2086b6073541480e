"""A boot without network: the service is up at once, an address that comes later works when it comes."""

from machine import Machine, eventually, expect

LISTENER = """
[listener.far]
address = ["192.0.2.7:8444"]
serve = ["health"]
tls.self_signed = true

[server.one]
endpoints = ["https://mcp.example.org/mcp"]
"""


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    machine.write("/etc/toolgate/conf.d/far.toml", LISTENER)
    machine.power_off()
    machine.boot()
    eventually("the service runs without network", machine.healthy)
    expect("192.0.2.7:8444" in machine.sockets(), f"the far listener is not bound: {machine.sockets()}")
    machine.run("ip", "address", "add", "192.0.2.7/24", "dev", "lo")
    address = ["--resolve", "localhost:8444:192.0.2.7", "https://localhost:8444/health"]
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", "/var/lib/toolgate/tls/far.crt", *address]
    eventually("the late address is served", lambda: '"status"' in machine.run(*command).stdout)
