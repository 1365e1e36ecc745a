"""Every error that a user can see. A message is one line: what was found where, and what was expected."""

from dataclasses import dataclass


class MolehillError(Exception):
    """Shown to the user as one line; the command ends with `exit_code`."""

    exit_code = 1


class SettingsError(MolehillError):
    """An option or an environment variable that cannot be used."""

    exit_code = 2


class InputError(MolehillError):
    """A file that cannot be read as events; names the file and the line."""


class BrokerError(MolehillError):
    """The broker is away, refuses, or its topics do not fit; says what to do."""


class StateError(MolehillError):
    """Stored state that does not fit the broker or the settings; says how to migrate."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a catalogue: where, what was found there, what was expected."""

    line: int
    key: str
    found: str
    expected: str

    def render(self, file: str) -> str:
        return f"{file}:{self.line}: {self.key}: found {self.found}, expected {self.expected}"


class CatalogueError(MolehillError):
    """All problems of a catalogue at once."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("\n".join(p.render(file) for p in problems))
