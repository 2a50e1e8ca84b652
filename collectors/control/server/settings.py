"""What a plane is told in a file: its limits, where its tokens are, and which metric observes a release."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collectors.config import Endpoint, FilePath, LabelName
from collectors.control.server.app import Limits
from collectors.control.server.seed import ID_PATTERN, TTL_MAX_S
from collectors.control.server.store import StoreLimits
from collectors.control.server.stream import StreamLimits
from collectors.toml_file import read_toml


def _id(text: str) -> str:
    if not re.match(ID_PATTERN, text):
        raise ValueError("an id is 1 to 63 of a-z 0-9 . _ @ - and begins with a letter or digit")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LimitSettings(_Strict):
    """Table [limits]: those of the contract, section 9, and how often a silent stream says that it lives.

    The defaults are the contract's. Durations in seconds.
    """

    page_max: int = Field(default=500, strict=True, ge=1, le=500)
    body_max_bytes: int = Field(default=65_536, strict=True, ge=1_024, le=262_144)
    writes_per_min: int = Field(default=60, strict=True, ge=1, le=100_000)
    watchers_per_token: int = Field(default=8, strict=True, ge=1, le=1_000)
    ttl_max_s: int = Field(default=TTL_MAX_S, strict=True, ge=1, le=TTL_MAX_S)
    idempotency_retention_s: int = Field(default=86_400, strict=True, ge=1, le=31_536_000)
    event_retention_s: int = Field(default=600, strict=True, ge=1, le=604_800)
    heartbeat_s: float = Field(default=15.0, strict=True, ge=0.1, le=60, allow_inf_nan=False)

    def edge(self) -> Limits:
        """What the app bounds."""
        return Limits(self.page_max, self.body_max_bytes, self.writes_per_min, self.watchers_per_token)

    def stream(self) -> StreamLimits:
        """What each stream is bound by."""
        return StreamLimits(heartbeat_s=self.heartbeat_s, per_token=self.watchers_per_token)

    def store(self) -> StoreLimits:
        """What is kept, and for how long."""
        return StoreLimits(
            idempotency_retention_s=self.idempotency_retention_s,
            ttl_max_s=self.ttl_max_s,
            event_retention_s=self.event_retention_s,
        )


class Observed(_Strict):
    """One [[observed]]: the metric that says which share of each tier has a release's subject.

    query: PromQL for one sample a tier, 0..1, named by `tier_label`; `$candidate` in it, between quotes, is
        the release's candidate of the moment
    prometheus: who is asked, where it is not the [prometheus] of the file
    every_s: between two questions, 5 or more: shares are published no more often
    stale_s: how old the newest sample may be, and how long the last answer is believed
    """

    release: Annotated[str, AfterValidator(_id)]
    query: str = Field(min_length=1, max_length=10_000)
    tier_label: LabelName = Field(default="tier", min_length=1)
    prometheus: Endpoint | None = None
    every_s: float = Field(default=15.0, strict=True, ge=5, le=3_600, allow_inf_nan=False)
    stale_s: float = Field(default=60.0, strict=True, ge=5, le=3_600, allow_inf_nan=False)


class PlaneSettings(_Strict):
    """The whole file. `tokens`: path of the tokens' file, from the folder of this one."""

    tokens: FilePath | None = None
    limits: LimitSettings = LimitSettings()
    prometheus: Endpoint | None = None
    observed: tuple[Observed, ...] = ()

    @model_validator(mode="after")
    def _asked_once(self) -> Self:
        names = [one.release for one in self.observed]
        for one in self.observed:
            if names.count(one.release) > 1:
                raise ValueError(f"observed: release {one.release} is there twice; give it one query")
            if one.prometheus is None and self.prometheus is None:
                raise ValueError("observed: who is asked? give [prometheus] with its url")
            if one.stale_s < one.every_s:
                raise ValueError(
                    f"observed: release {one.release}: stale_s is below every_s, so it would flicker"
                )
        return self


def read_plane_settings(path: Path) -> PlaneSettings:
    """The file, checked; paths in it are from its own folder. raises: FileError with file, line and key."""
    settings = read_toml(path, PlaneSettings)
    if settings.tokens is None:
        return settings
    return settings.model_copy(update={"tokens": path.parent / settings.tokens.expanduser()})
