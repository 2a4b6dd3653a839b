"""The configuration: defaults < `spoke join` < spoke.toml < SPOKE_* in the environment < `--set` of the command line.

`SPOKE_HUB__URL` is `[hub] url`, and so on.
"""

from __future__ import annotations

from app.config.loading import ConfigError as ConfigError
from app.config.loading import Loaded as Loaded
from app.config.loading import load as load
from app.config.loading import read as read
from app.config.loading import refuse_flags as refuse_flags
from app.config.loading import save_hub as save_hub
from app.config.settings import ApiSettings as ApiSettings
from app.config.settings import ArgumentSettings as ArgumentSettings
from app.config.settings import CommandSettings as CommandSettings
from app.config.settings import FileSettings as FileSettings
from app.config.settings import HubSettings as HubSettings
from app.config.settings import LogSettings as LogSettings
from app.config.settings import OperationSettings as OperationSettings
from app.config.settings import Settings as Settings
