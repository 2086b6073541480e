"""Backups: made by the timer's unit as installed, sealed by a credential, sent away by a command, and restored."""

from machine import Machine, expect

SEND = "#!/bin/sh\nset -e\ncp -- \"$1\" /var/backups/toolgate/sent-$(basename \"$1\")\n"


def run(machine: Machine) -> None:
    machine.boot()
    machine.install()
    expect(machine.run("systemctl", "is-enabled", "toolgate-backup.timer").stdout.strip() == "enabled", "no timer")
    expect(machine.active("toolgate-backup.timer"), "the timer does not run")
    calendar = machine.property("toolgate-backup.timer", "TimersCalendar")
    expect("02:00:00" in calendar, f"it is for another time: {calendar}")

    machine.shell("systemctl start toolgate-backup.service || { journalctl --no-pager -u toolgate-backup.service; exit 1; }")
    said = machine.journal("toolgate-backup.service")
    expect("Left out, since it is not sealed: sealing keys" in said, f"nothing is said of what is left out:\n{said}")
    expect(machine.shell("stat -c '%U:%G %a' /var/backups/toolgate/*.backup").split() == ["toolgate:toolgate", "600"],
           "others may read it")

    credential = "/etc/toolgate/credentials/backup"
    machine.shell(f"openssl rand -base64 32 > {credential} && chmod 600 {credential}")
    machine.write("/usr/local/bin/send", SEND)
    machine.run("chmod", "755", "/usr/local/bin/send")
    machine.write("/etc/default/toolgate-backup", 'BACKUP_OPTIONS="--then /usr/local/bin/send"\n')
    machine.shell("sleep 1; systemctl start toolgate-backup.service")
    sent = machine.shell("ls /var/backups/toolgate/sent-*.backup").split()
    expect(len(sent) == 1, f"it was not sent: {machine.journal('toolgate-backup.service')}")
    key = ["--key-file", credential]
    verified = machine.run("toolgate", "backup", "verify", sent[0], *key).stdout
    expect("sealed, whole" in verified and "sealing keys" in verified, f"it holds something else:\n{verified}")

    keys = machine.run("toolgate", "seal", "show", "--json").stdout
    machine.run("toolgate", "seal", "rotate", "--alone", "--confirm", "seal")
    name = sent[0].rsplit("/", 1)[-1]
    refused = machine.run("toolgate", "backup", "restore", sent[0], *key, "--confirm", name, check=False)
    expect(refused.returncode == 1 and "A daemon has the state" in refused.stdout, f"{refused.stdout}")
    machine.run("systemctl", "stop", "toolgate.target")
    machine.run("toolgate", "backup", "restore", sent[0], *key, "--confirm", name)
    machine.run("systemctl", "start", "toolgated.service")
    expect(machine.healthy(), "it does not serve what was restored")
    expect(machine.run("toolgate", "seal", "show", "--json").stdout == keys, "other keys seal")
    owner = machine.shell("stat -c '%U:%G %a' /var/lib/toolgate /var/lib/toolgate/seal.json").splitlines()
    expect(owner == ["toolgate:toolgate 700", "toolgate:toolgate 600"], f"the state is somebody else's: {owner}")
