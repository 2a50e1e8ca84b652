"""Settings: contexts, sources, tiers, objectives, identity rules, pools; credentials by reference only.

One TOML file in the platform's configuration directory. It is read, never written. What may stand in
it is the models below; a wrong key or value names file, line, key and what is allowed.
"""

import os
import re
import shlex
import signal
import stat
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from collectors.fleet import clean
from collectors.toml_file import FileError, read_toml

COMMAND_S = 5.0
"""Longest time a credential command may take: whoever asks waits for it."""


class ConfigError(Exception):
    """Settings that cannot be used: what, where, what to do."""


def _clean_name(text: str) -> str:
    if not text or clean(text) != text:
        raise ValueError("must be 1 to 128 characters without control characters")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and parts.hostname is not None and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise ValueError("must be a URL that starts with http:// or https:// and names a host")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password: give a credential by reference instead")
    if "#" in text:
        raise ValueError("must not hold a fragment: leave out what follows the #")
    return text if "?" in text else text.rstrip("/")


def _plain_url(text: str) -> str:
    checked = _url(text)
    if "?" in checked:
        raise ValueError(
            "must not hold a query: leave out what follows the ?, and give a credential by reference instead"
        )
    return checked


def shown_url(url: str) -> str:
    """The address without credentials, query and fragment, fit for the screen. raises: ValueError"""
    parts = urlsplit(url)
    return clean(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 200)


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return text


Name = Annotated[str, AfterValidator(_clean_name)]
Url = Annotated[str, AfterValidator(_plain_url)]
PageUrl = Annotated[str, AfterValidator(_url)]
Regex = Annotated[str, AfterValidator(_regex)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Credential(_Strict):
    """A secret by reference: the name of an environment variable, a file, or a command that prints it."""

    env: str | None = None
    file: Path | None = None
    command: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(x is not None for x in (self.env, self.file, self.command)) != 1:
            raise ValueError("give exactly one of env, file, command")
        return self


class Endpoint(_Strict):
    """A server to ask. `token` is sent as a bearer token; `ca_file` verifies a private CA."""

    url: Url
    token: Credential | None = None
    ca_file: Path | None = None
    headers: dict[str, str] = {}


class Page(_Strict):
    """One /metrics page to read directly, and the labels service discovery would have given it.

    url: may have a query, which is sent and never shown
    """

    url: PageUrl
    labels: dict[str, str] = {}


class ModelRule(_Strict):
    """Where `label` matches `regex` (anchored), the series belongs to `model`; $1 ... are groups."""

    label: Name
    regex: Regex
    model: Name


class TierRule(_Strict):
    """Where `label` matches `regex` (anchored), the series belongs to `tier`; $1 ... are groups."""

    label: Name
    regex: Regex
    tier: Name


class FeatureRule(_Strict):
    """Where `label` matches `regex` (anchored), the series belongs to `feature`; $1 ... are groups."""

    label: Name
    regex: Regex
    feature: Name


class Identity(_Strict):
    """How names on different exporters come to mean one model, tier, feature.

    aliases: a name as any exporter or release writes it -> model
    priority: value of the endpoint picker's `priority` label -> tier
    releases: release subject -> model, where the control plane has a name of its own
    """

    aliases: dict[str, Name] = {}
    priority: dict[str, Name] = {}
    releases: dict[str, Name] = {}
    models: tuple[ModelRule, ...] = ()
    tiers: tuple[TierRule, ...] = ()
    features: tuple[FeatureRule, ...] = ()

    @field_validator("priority")
    @classmethod
    def _numbers(cls, given: dict[str, str]) -> dict[str, str]:
        for key in given:
            if not re.fullmatch(r"-?\d+", key):
                raise ValueError(f"priority {clean(key, 20)!r} is no whole number")
        return given


class Objectives(BaseModel):
    """Promised p99 queue wait in seconds: tier = seconds, and per model under `models.NAME`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Seconds] = Field(init=False)
    models: dict[str, dict[str, Seconds]] = {}

    def tiers(self) -> Iterable[str]:
        """Every tier that is named."""
        return [*(self.__pydantic_extra__ or {}), *(tier for one in self.models.values() for tier in one)]

    def of(self, model: str) -> Mapping[str, float]:
        """Objectives of one model by tier; the model's own win over the fleet's."""
        return {**(self.__pydantic_extra__ or {}), **self.models.get(model, {})}


class Pool(_Strict):
    """Accelerators of one kind in one place, by the labels of their rows.

    stands_for: accelerators that each exported row stands for; 1 except where an exporter samples
    """

    name: Name
    kind: Name = "gpu"
    match: dict[str, str]
    stands_for: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)


class Context(_Strict):
    """One fleet to watch: where to ask, and how to read the answers."""

    prometheus: Endpoint | None = None
    scrape: tuple[Page, ...] = ()
    plane: Endpoint | None = None
    production: StrictBool = False
    simulated: StrictBool = False
    tiers: tuple[Name, ...] = ()
    tier_titles: dict[str, Name] = {}
    objectives: Objectives = Objectives()
    identity: Identity = Identity()
    pools: tuple[Pool, ...] = ()

    @field_validator("prometheus", "plane", mode="before")
    @classmethod
    def _url_alone(cls, given: object) -> object:
        return {"url": given} if isinstance(given, str) else given

    @field_validator("scrape", mode="before")
    @classmethod
    def _urls_alone(cls, given: object) -> object:
        if not isinstance(given, list | tuple):
            return given
        return [{"url": one} if isinstance(one, str) else one for one in given]

    @model_validator(mode="after")
    def _known_tiers(self) -> Self:
        if len(set(self.tiers)) != len(self.tiers):
            raise ValueError("tiers: each name once")
        named = {
            "identity.priority": set(self.identity.priority.values()),
            "objectives": set(self.objectives.tiers()),
            "tier_titles": set(self.tier_titles),
        }
        for place, names in named.items():
            # A misspelt tier would have no objective, and so no alert, for ever.
            if self.tiers and (strange := sorted(names - set(self.tiers))):
                raise ValueError(
                    f"{place} names {', '.join(strange)}, not in tiers ({', '.join(self.tiers)})"
                )
        return self


class Settings(_Strict):
    """The whole configuration file."""

    default_context: str | None = None
    theme: str = "tidegate-dark"
    glyphs: Literal["auto", "unicode", "ascii"] = "auto"
    contexts: dict[str, Context] = {}

    @model_validator(mode="after")
    def _default_exists(self) -> Self:
        if self.default_context is not None and self.default_context not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none"
            raise ValueError(f"default_context {self.default_context!r} is no context; there are: {known}")
        return self

    def context(self, name: str | None) -> tuple[str, Context]:
        """The named context, else the default one, else the only one. raises: ConfigError."""
        wanted = (
            name or self.default_context or (next(iter(self.contexts)) if len(self.contexts) == 1 else None)
        )
        known = ", ".join(sorted(self.contexts)) or "none"
        if wanted is None:
            raise ConfigError(f"several contexts and no default: give --context NAME; there are: {known}")
        if wanted not in self.contexts:
            raise ConfigError(f"no context {clean(wanted, 60)!r} in the configuration; there are: {known}")
        return wanted, self.contexts[wanted]


def config_file() -> Path:
    """Where the configuration is looked for: $TIDEGATE_CONFIG, else the platform's directory."""
    if given := os.environ.get("TIDEGATE_CONFIG"):
        return Path(given).expanduser()
    from platformdirs import user_config_path

    return user_config_path("tidegate") / "config.toml"


def read_settings(path: Path | None = None) -> Settings:
    """The configuration; an absent default file is an empty one. raises: ConfigError."""
    file = path or config_file()
    must_exist = path is not None or "TIDEGATE_CONFIG" in os.environ
    if not must_exist and not file.exists():
        return Settings()
    try:
        return read_toml(file, Settings)
    except FileError as error:
        raise ConfigError(str(error)) from error


def secret(credential: Credential) -> str:
    """The secret itself, read when needed and never kept in settings.

    raises: ConfigError, which names the reference and never the secret.
    """
    if credential.env is not None:
        found = os.environ.get(credential.env, "")
        whence = f"environment variable {credential.env}"
    elif credential.file is not None:
        found, whence = _secret_in_file(credential.file.expanduser()), f"file {credential.file}"
    else:
        found, whence = _secret_by_command(credential.command or ""), "the credential command"
    found = found.strip()
    if not found:
        raise ConfigError(f"{whence} gave no credential")
    if not found.isascii() or not found.isprintable():
        raise ConfigError(f"{whence} gave a credential with characters no HTTP header may hold")
    return found


def _secret_in_file(path: Path) -> str:
    try:
        # Mode and content of one open file: a path could be swapped between two looks. A pipe would block.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, encoding="utf-8") as file:
            mode = os.fstat(opened).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"credential file {path} is no regular file: write the credential into one")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(f"{path} can be read by others: run `chmod 600 {path}`")
            return file.read(65_536)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"credential file {path} cannot be read: {why}") from error


def _secret_by_command(command: str) -> str:
    try:
        # A session of its own: what the command started ends with it, and none of them reads the keyboard.
        running = subprocess.Popen(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError):
        # Without its cause, which quotes the command: that may hold a secret.
        raise ConfigError("the credential command cannot be run") from None
    with running:
        try:
            printed, _ = running.communicate(timeout=COMMAND_S)
            text = printed.decode()
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
            raise ConfigError(f"the credential command took over {COMMAND_S:g} s") from None
        except UnicodeDecodeError:
            raise ConfigError("the credential command printed no UTF-8 text") from None
    if running.returncode != 0:
        raise ConfigError(f"the credential command ended with status {running.returncode}")
    return text
