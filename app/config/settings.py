"""What can be set, with types and limits; the reference (docs/config.md) and the JSON Schema are made from it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.storage_limit import MIN_BYTES

if TYPE_CHECKING:
    from sync.spoke.trust import Trust


class Section(BaseModel):
    """A table of the file; unknown keys are errors, not surprises."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSettings(Section):
    """The hub that this node sends its streams to."""

    url: str | None = Field(default=None, description="`wss://…` or, for this machine only, `ws://127.0.0.1:PORT`.")
    api_key: SecretStr | None = Field(default=None, description="Made on the hub with `spoke hub key create NAME`.")
    ca: str | None = Field(
        default=None,
        description="Certificates (PEM) of the only CAs that may vouch for the hub; those of the system if not set.",
    )
    ca_file: Path | None = Field(
        default=None, description="A file of such certificates; it counts instead of `ca`, and is read at each dial."
    )
    pin_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-fA-F]{64}$",
        description="SHA-256 of the public key (SPKI) of the only one of these CAs that counts, in hexadecimal digits.",
    )
    hub_id: str | None = Field(
        default=None,
        description="The hub that this machine's own key is enrolled at, written by `spoke join` with a token.",
    )
    more_urls: list[str] = Field(
        default=[], description="Further addresses of the same hub, tried in turn when one does not answer."
    )
    proxy: str | None = Field(
        default=None,
        description="`http://[NAME:PASSWORD@]HOST[:PORT]`; without it, what HTTPS_PROXY and NO_PROXY say.",
    )
    streams: list[str] = Field(
        default=[], description="Streams that are sent beside `call-protocol` and `session-events`."
    )
    follows: list[str] = Field(
        default=[], description="Streams of other nodes of this tenant to receive, as patterns: `session-events@*`."
    )
    allow_plain: bool = Field(
        default=False, description="Accept `ws://` to another machine: the key and the data then travel readable."
    )
    scopes: tuple[str, ...] = Field(
        default=("system:read",),
        description='What calls from the hub may do here; `["*"]` is everything that operations of this node can do.',
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the hub is, in the order in which it is tried."""
        return (() if self.url is None else (self.url,)) + tuple(self.more_urls)

    @property
    def trust(self) -> Trust:
        """Who may vouch for the hub."""
        from sync.spoke.trust import Trust  # here: it brings cryptography, which most commands do without

        return Trust(self.ca, self.ca_file, None if self.pin_sha256 is None else bytes.fromhex(self.pin_sha256))


class FileSettings(Section):
    """What `fs.list` and `fs.read` may see."""

    roots: tuple[Path, ...] = Field(
        default_factory=lambda: (Path.home(),),
        description="Folders; everything below them, and nothing outside, also not through symbolic links.",
    )


class IngestSettings(Section):
    """The drop folder: files of events, one JSON object a line (docs/drop-folder.md)."""

    folder: Path | None = Field(default=None, description="Where to look; `inbox` in the data directory if not set.")


ArgumentType: TypeAlias = Literal["string", "integer", "number", "boolean"]


class ArgumentSettings(Section):
    """One argument of a command."""

    type: ArgumentType = Field(default="string", description="What the value must be.")
    description: str = Field(default="", description="What it is for.")
    default: str | int | float | bool | None = Field(
        default=None, description="Used when the caller gives none; without a default the argument is required."
    )
    pattern: str | None = Field(default=None, description="A regular expression that the whole text must match.")


class CommandSettings(Section):
    """A command that `shell.run` may run."""

    argv: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments; `{name}` stands for an argument. No shell is involved."
    )
    description: str = Field(default="", description="What it does.")
    arguments: dict[str, ArgumentSettings] = Field(default={}, description="Its arguments, by name.")
    timeout_s: float = Field(default=60, gt=0, description="Seconds until it is ended.")
    cwd: Path | None = Field(default=None, description="The folder it runs in; ours if not set.")
    environment: tuple[str, ...] | None = Field(
        default=None, description="The variables that the command gets; all of ours if not set."
    )
    output_limit_bytes: int = Field(
        default=65_536, ge=1_024, description="How much of each output is kept; the rest is counted."
    )


class OperationSettings(Section):
    """An operation of the user's own: a command with a JSON Schema."""

    argv: tuple[str, ...] = Field(
        min_length=1,
        description="Program and arguments; `{name}` stands for a field of the input. No shell is involved.",
    )
    description: str = Field(default="", description="What it does.")
    type: Literal["query", "mutation"] = Field(default="mutation", description="Whether it changes anything.")
    input: dict[str, Any] = Field(
        default={},
        description="JSON Schema (2020-12) of the input, an object; other fields than its `properties` are refused.",
    )
    scopes: tuple[str, ...] = Field(default=(), description="What a caller needs; NAMESPACE:NAME if not set.")
    idempotent: bool = Field(
        default=False,
        description="Running it twice does no harm: a durable call that a crash interrupted may run it again.",
    )
    timeout_s: float = Field(default=60, gt=0, description="Seconds until it is ended.")
    cwd: Path | None = Field(default=None, description="The folder it runs in; ours if not set.")
    environment: tuple[str, ...] = Field(
        default=("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"),
        description="The variables that the command gets, where we have them; no others.",
    )
    stdin: Literal["none", "json"] = Field(
        default="none", description="Whether the command gets the input, as JSON, on its standard input."
    )
    output: Literal["text", "json"] = Field(default="text", description="What its standard output is.")
    output_limit_bytes: int = Field(default=65_536, ge=1_024, description="How much of each output is kept.")


class ApiSettings(Section):
    """Health, metrics and the local API on a port of this machine (docs/local-api.md)."""

    port: int | None = Field(
        default=None, ge=0, le=65_535, description="None: off. 0: any free one; the log says which."
    )


class RetentionSettings(Section):
    """How much of the log is kept. Nothing is deleted unless this says so, and never what has not reached the hub."""

    max_age_days: float | None = Field(default=None, gt=0, description="Older events go.")
    max_events: int | None = Field(default=None, gt=0, description="So many of each stream stay.")
    max_bytes: int | None = Field(default=None, gt=0, description="So many bytes of each stream's payloads stay.")


class StorageSettings(Section):
    """How much a database file may hold. Then new events, calls and jobs are refused; what makes room goes on."""

    max_bytes: int | None = Field(
        default=None,
        ge=MIN_BYTES,
        description="Bytes in use of a tenant's file, at least 16 MiB; no limit but the disk if not set.",
    )


class LogSettings(Section):
    """What `spoke run` and `spoke hub run` say of what happens (docs/logs.md); changes work at once."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is said.")
    format: Literal["text", "json"] = Field(default="text", description="A line of text, or a JSON object a line.")
    file: Path | None = Field(default=None, description="Where to; stderr if not set.")
    max_bytes: int = Field(default=10_000_000, ge=10_000, description="The file is begun anew when it is so large.")
    keep: int = Field(default=3, ge=1, le=100, description="How many older files are kept.")


class UiSettings(Section):
    """The terminal UI; changes work at once."""

    theme: str | None = Field(
        default=None,
        description="A theme of Textual, `high-contrast`, or a file `themes/NAME.toml` beside the configuration.",
    )
    ascii: bool = Field(default=False, description="Draw with ASCII alone.")
    mouse: bool = Field(default=True, description="False leaves the mouse to the terminal, for selecting text.")
    max_fps: float | None = Field(
        default=None, gt=0, le=60, description="Most repaints a second; 4 if not set, 2 over ssh."
    )
    pager_json: str | None = Field(
        default=None, min_length=1, description="What `o` opens JSON in, with its options; $PAGER if not set."
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="SPOKE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    name: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=64,
        description="How this node is called in the hub's lists.",
    )
    hub: HubSettings = HubSettings()
    fs: FileSettings = Field(default_factory=FileSettings)
    ingest: IngestSettings = IngestSettings()
    commands: dict[str, CommandSettings] = {}
    operations: dict[str, OperationSettings] = {}
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()
    storage: StorageSettings = StorageSettings()
    log: LogSettings = LogSettings()
    ui: UiSettings = UiSettings()
    keys: dict[str, str] = Field(
        default={},
        description='Keys of the terminal UI by the id of what they do: `"table.sort" = "o"`; `?` shows them.',
    )

    @property
    def for_services(self) -> Settings:
        """What the services go by: without the looks of the terminal UI, and what changes without them."""
        apart = {"ui": UiSettings(), "keys": {}, "log": LogSettings(), "storage": StorageSettings()}
        return self.model_copy(update=apart)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `app.config.layers` has merged: it knows where each value came from."""
        return (init_settings,)
