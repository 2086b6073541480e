"""What one client of `traffic` saw: answers, calls that a kill cut, failures. Both kinds of clients keep one."""


class Ledger:
    """A client has at most one call in flight, which began at `began`."""

    def __init__(self, traffic, name: str, server: str):
        self.traffic, self.name, self.server = traffic, name, server
        self.answered, self.cut, self.failures = [], 0, []
        self.began = None
        self.pid, self.count = None, 0
        self.unheard = 0  # calls cut since the last answer, which the server may have seen or not

    def tried(self) -> int:
        """Calls that have ended, in whichever way."""
        return len(self.answered) + self.cut + len(self.failures)

    def answer(self, name: str, said: dict) -> None:
        """A call was answered, with what the server said."""
        if said["id"] != name:
            self.failures.append(f"{self.name}: the answer is to call {said['id']}, not to {name}")
        self.note(said)
        self.answered.append(name)

    def fail(self, name: str, error: str) -> bool:
        """A call failed; whether it may have."""
        if self.traffic.excuses(self.began):
            self.cut += 1
            self.unheard += 1
            return True
        self.failures.append(f"call {name} to {self.server}: {error}")
        return False

    def note(self, said: dict) -> None:
        """An instance of a stdio server counts on, whatever happens to the gate: one for each call, never two."""
        if "pid" not in said:
            return
        if self.pid is not None and said["pid"] != self.pid:
            self.failures.append(f"{self.name}: its instance was {self.pid} and is {said['pid']}")
        elif not self.count < said["count"] <= self.count + 1 + self.unheard:
            self.failures.append(
                f"{self.name}: its instance counted {self.count}, then {said['count']}, "
                f"with {self.unheard} calls cut in between"
            )
        self.pid, self.count, self.unheard = said["pid"], said["count"], 0
