"""Every setting: its unit, its bounds and its default, read from the environment once.

The names in the environment are those of the fields in capitals, after `GALLERY_GATEWAY_`; a `.env`
file in the working directory is read too, and the environment wins over it. Each module here has the
settings of one part of the gateway.
"""

from typing import Self

from annotated_types import Ge, Gt, Le
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gallery_gateway.settings.cache import CacheSettings
from gallery_gateway.settings.edge import EdgeSettings
from gallery_gateway.settings.guard import GuardSettings
from gallery_gateway.settings.operations import OperationSettings
from gallery_gateway.settings.serving import ServingSettings
from gallery_gateway.settings.telemetry import TelemetrySettings
from gallery_gateway.settings.upstream import UpstreamSettings

ENVIRONMENT_PREFIX = "GALLERY_GATEWAY_"


class SettingsError(ValueError):
    """One or more settings are wrong; the message names each with its range, never its value."""


# Fields come in the order of the bases, last first; pydantic-settings' own base has none.
class Settings(
    CacheSettings,
    OperationSettings,
    GuardSettings,
    EdgeSettings,
    TelemetrySettings,
    ServingSettings,
    UpstreamSettings,
    BaseSettings,
):
    """What an operator may choose; the tables of `docs/settings.md` are compared with it."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_file=".env", extra="ignore", frozen=True
    )

    @classmethod
    def read(cls, **overrides: object) -> Self:
        """Reads the environment.

        Raises:
            SettingsError: a value is out of its range.
        """
        try:
            return cls(**overrides)  # type: ignore[arg-type]  # pydantic checks each of them
        except ValidationError as exc:
            raise SettingsError(_explained(exc)) from None
        except UnicodeDecodeError:
            raise SettingsError(".env: not a text in UTF-8") from None


def _explained(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        name = str(error["loc"][0])
        lines.append(f"{ENVIRONMENT_PREFIX}{name.upper()}: {error['msg']}{_range(name)}")
    return "\n".join(lines)


def _range(name: str) -> str:
    """The whole of it: pydantic tells the bound that was crossed, or none where it is not a number."""
    bounds = Settings.model_fields[name].metadata
    told = [f"more than {bound.gt}" for bound in bounds if isinstance(bound, Gt)]
    told += [f"from {bound.ge}" for bound in bounds if isinstance(bound, Ge)]
    told += [f"to {bound.le}" for bound in bounds if isinstance(bound, Le)]
    return f" ({' '.join(told)})" if told else ""
