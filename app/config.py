"""The configuration: defaults < `spoke join` < spoke.toml < SPOKE_* in the environment.

`SPOKE_HUB__URL` is `[hub] url`, and so on.
"""

from __future__ import annotations

import difflib
import json
import socket
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pydantic
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.paths import Paths
from storage.private_file import write_private


class ConfigError(Exception):
    """The configuration cannot be used; the message names every problem."""

    hint = "correct it, or move the file away to start with the defaults"


class Section(BaseModel):
    """A table of the file; unknown keys are errors, not surprises."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HubSettings(Section):
    """The hub that this node sends its streams to."""

    url: str | None = None
    """`wss://…` or, for this machine only, `ws://127.0.0.1:PORT`."""
    api_key: SecretStr | None = None
    """Made on the hub with `spoke hub key create NAME`."""
    ca: str | None = None
    """Certificates (PEM) of the only CAs that may vouch for the hub; those of the system if not set."""
    hub_id: str | None = None
    """The hub that this machine's own key is enrolled at, written by `spoke join` with a token."""
    more_urls: list[str] = []
    """Further addresses of the same hub, tried in turn when one does not answer."""
    proxy: str | None = None
    """`http://…` or `socks5://…`; without it, what HTTPS_PROXY says."""
    streams: list[str] = []
    """Streams that are sent beside `call-protocol` and `session-events`."""
    follows: list[str] = []
    """Streams of other nodes of this tenant to receive, as patterns: `session-events@*`."""
    allow_plain: bool = False
    """Accept `ws://` to another machine: the key and the data then travel readable."""
    scopes: tuple[str, ...] = ("system:read",)
    """What calls from the hub may do here; `["*"]` is everything that operations of this node can do."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the hub is, in the order in which it is tried."""
        return (() if self.url is None else (self.url,)) + tuple(self.more_urls)


class FileSettings(Section):
    """What `fs.list` and `fs.read` may see."""

    roots: tuple[Path, ...] = Field(default_factory=lambda: (Path.home(),))
    """Folders; everything below them, and nothing outside, also not through symbolic links."""


class IngestSettings(Section):
    """The drop folder: files of events, one JSON object a line (docs/drop-folder.md)."""

    folder: Path | None = None
    """Where to look; `inbox` in the data directory if not set."""


ArgumentType: TypeAlias = Literal["string", "integer", "number", "boolean"]


class ArgumentSettings(Section):
    """One argument of a command."""

    type: ArgumentType = "string"
    description: str = ""
    default: str | int | float | bool | None = None
    """Used when the caller gives none; without a default the argument is required."""
    pattern: str | None = None
    """A regular expression that the whole text must match."""


class CommandSettings(Section):
    """A command that `shell.run` may run."""

    argv: tuple[str, ...] = Field(min_length=1)
    """Program and arguments; `{name}` stands for an argument. No shell is involved."""
    description: str = ""
    arguments: dict[str, ArgumentSettings] = {}
    timeout_s: float = Field(default=60, gt=0)
    cwd: Path | None = None
    environment: tuple[str, ...] | None = None
    """The variables that the command gets; all of ours if not set."""
    output_limit_bytes: int = Field(default=65_536, ge=1_024)
    """How much of each output is kept; the rest is counted."""


class OperationSettings(Section):
    """An operation of the user's own: a command with a JSON Schema (docs/operations.md)."""

    argv: tuple[str, ...] = Field(min_length=1)
    """Program and arguments; `{name}` stands for a field of the input. No shell is involved."""
    description: str = ""
    type: Literal["query", "mutation"] = "mutation"
    input: dict[str, Any] = {}
    """JSON Schema (2020-12) of the input, an object; other fields than its `properties` are refused."""
    scopes: tuple[str, ...] = ()
    """What a caller needs; NAMESPACE:NAME if not set."""
    idempotent: bool = False
    """Running it twice does no harm: a durable call that a crash interrupted may run it again."""
    timeout_s: float = Field(default=60, gt=0)
    cwd: Path | None = None
    environment: tuple[str, ...] = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR")
    """The variables that the command gets, where we have them; no others."""
    stdin: Literal["none", "json"] = "none"
    """Whether the command gets the input, as JSON, on its standard input."""
    output: Literal["text", "json"] = "text"
    """What its standard output is."""
    output_limit_bytes: int = Field(default=65_536, ge=1_024)


class ApiSettings(Section):
    """Health, metrics and the local API on a port of this machine (docs/local-api.md)."""

    port: int | None = Field(default=None, ge=0, le=65_535)
    """None: off. 0: any free one; the log says which."""


class RetentionSettings(Section):
    """How much of the log is kept. Nothing is deleted unless this says so, and never what has not reached the hub."""

    max_age_days: float | None = Field(default=None, gt=0)
    max_events: int | None = Field(default=None, gt=0)
    """Of each stream."""
    max_bytes: int | None = Field(default=None, gt=0)
    """Of each stream's payloads."""


class UiSettings(Section):
    """The terminal UI; changes work at once."""

    theme: str | None = None
    """A theme of Textual, `high-contrast`, or a file `themes/NAME.toml` beside the configuration."""
    ascii: bool = False
    """Draw with ASCII alone."""
    mouse: bool = True
    """False leaves the mouse to the terminal, for selecting text."""
    max_fps: float | None = Field(default=None, gt=0, le=60)
    """Most repaints a second; 4 if not set, 2 over ssh."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="SPOKE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    name: str = Field(default_factory=socket.gethostname, min_length=1, max_length=64)
    """How this node is called in the hub's lists."""
    hub: HubSettings = HubSettings()
    fs: FileSettings = Field(default_factory=FileSettings)
    ingest: IngestSettings = IngestSettings()
    commands: dict[str, CommandSettings] = {}
    operations: dict[str, OperationSettings] = {}
    api: ApiSettings = ApiSettings()
    retention: RetentionSettings = RetentionSettings()
    ui: UiSettings = UiSettings()
    keys: dict[str, str] = {}
    """Keys of the terminal UI by the id of what they do: `"table.sort" = "o"`; `?` shows them."""

    @property
    def for_services(self) -> Settings:
        """What the services go by: without the looks of the terminal UI."""
        return self.model_copy(update={"ui": UiSettings(), "keys": {}})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the files, which come in as arguments."""
        return env_settings, init_settings


def load(paths: Paths) -> Settings:
    """Read the configuration.

    Raises:
        ConfigError: a file cannot be read, is not TOML, or holds unknown keys or unfit values: all of them at once.
    """
    merged = _merge(_joined(paths.hub_file), _file(paths.config_file))
    try:
        return Settings(**merged)
    except pydantic.ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False, include_input=False)]
        raise ConfigError(f"{paths.config_file}: {'; '.join(problems)}") from error


def save_hub(
    paths: Paths, url: str, *, api_key: str | None = None, ca: str | None = None, hub_id: str | None = None
) -> None:
    """Remember the hub, readable by this user alone; replaces what was there, whole or not at all."""
    paths.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    said = {"url": url, "api_key": api_key, "ca": ca, "hub_id": hub_id}
    known = {name: value for name, value in said.items() if value is not None}
    write_private(paths.hub_file, json.dumps({"hub": known}))


def _file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _joined(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; join the hub again with `spoke join`") from error
    return found if isinstance(found, dict) else {}


def _merge(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _problem(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"])
    if item["type"] != "extra_forbidden":
        return f"{where}: {item['msg']}"
    known = [
        *Settings.model_fields,
        *HubSettings.model_fields,
        *FileSettings.model_fields,
        *IngestSettings.model_fields,
        *CommandSettings.model_fields,
        *OperationSettings.model_fields,
        *ApiSettings.model_fields,
        *RetentionSettings.model_fields,
        *UiSettings.model_fields,
    ]
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
    return f"{where}: unknown key" + (f", did you mean {near[0]}?" if near else "")
