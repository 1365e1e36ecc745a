"""The only reader of the environment: every option of a command is also `MOLEHILL_…`."""

import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from streams import names
from streams.errors import SettingsError

PREFIX = "MOLEHILL_"
DEFAULT_PORT = 6066
DEFAULT_MAX_SERIES = 50_000  # (moment, segment, signal), each some 35 samples


def env(name: str) -> str | None:
    """The environment's value for an option's name (`data-dir` → MOLEHILL_DATA_DIR); None if unset or empty."""
    return os.environ.get(PREFIX + name.upper().replace("-", "_")) or None


def env_int(name: str) -> int | None:
    """The same as a whole number; raises SettingsError."""
    value = env(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        key = PREFIX + name.upper().replace("-", "_")
        raise SettingsError(f"{key}: found {value!r}, expected a whole number") from None


def without_ours() -> dict[str, str]:
    """The environment for a child process whose options are all on its command line."""
    return {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}


@dataclass(frozen=True)
class Settings:
    """What a worker needs to know."""

    brokers: str
    catalogue: Path
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    app: str = "molehill"  # names the consumer group and the internal topics
    touchpoints: str = names.TOUCHPOINTS
    feedback: str = names.FEEDBACK
    dead_letters: str = names.DEAD_LETTERS
    partitions: int | None = None  # of the source topics, if they have to be made
    member: str = field(default_factory=lambda: secrets.token_hex(4))  # static group member, kept in data_dir
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))  # of this run of the process
    session_timeout_s: float = 6.0
    max_series: int = DEFAULT_MAX_SERIES
    embedded: bool = False  # the demo's own broker: alone on it, and nothing on it can be recovered
    moles: str = names.MOLES_TOPIC
    judging: bool = True  # off: counts only
    token: str | None = None  # what an action on a mole must bear

    @property
    def kinds(self) -> dict[str, str]:
        """Source topic → which of the contract's two topics it is."""
        return {self.touchpoints: names.TOUCHPOINTS, self.feedback: names.FEEDBACK}

    @property
    def tallies(self) -> str:
        """The topic between ingest and health."""
        return f"{self.app}.tallies"

    @property
    def journal(self) -> str:
        """The ingest table's changelog."""
        return f"{self.app}.journal"

    @property
    def snapshots(self) -> str:
        """The health table's changelog."""
        return f"{self.app}.snapshots"

    @property
    def candidates(self) -> str:
        """The log of what judges found and people asked; the desk is its fold."""
        return f"{self.app}.candidates"

    @property
    def desk(self) -> str:
        """The desk's snapshots."""
        return f"{self.app}.desk"

    @property
    def board(self) -> str:
        """The last summary of each moment."""
        return f"{self.app}.board"


def application_name(value: str) -> str:
    """Checks the name of an application, which becomes part of topic names."""
    if re.fullmatch(r"[a-zA-Z0-9._-]{1,100}", value) is None:
        raise SettingsError(f"--app: found {value!r}, expected letters, digits, '.', '_' or '-'")
    return value
