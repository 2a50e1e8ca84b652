"""Settings: contexts, sources, tiers, objectives, identity rules, pools; credentials by reference only.

One TOML file in the platform's configuration directory. It is read, never written. What may stand in
it is the models below; a wrong key or value names file, line, key and what is allowed.
"""

import difflib
import ipaddress
import os
import posixpath
import re
import socket
import stat
from collections.abc import Iterable, Mapping
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

from collectors.keeping import RecordingSettings
from collectors.notation import label_name, read_filter
from collectors.readings import SIGNALS
from collectors.regex import compiled
from collectors.text import clean
from collectors.toml_file import FileError, read_toml


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


def is_same_server(one: str, other: str) -> bool:
    """Whether two URLs reach one server, as far as their text tells: loopback by any name, ports left out,
    case, and dots in the path. Names that only DNS knows to be one are two."""
    return _server(one) == _server(other)


def _server(url: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(url.strip())
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme.lower())
    except ValueError:
        return (url, "", None, "")
    host = (parts.hostname or "").rstrip(".").lower()
    try:
        # As the system reads it: 127.1 is an address too.
        address = ipaddress.ip_address(host) if ":" in host else ipaddress.ip_address(socket.inet_aton(host))
        is_loopback, host = address.is_loopback, str(address)
    except (ValueError, OSError):
        is_loopback = host == "localhost"
    path = posixpath.normpath("/" + parts.path.lstrip("/")).rstrip("/").removesuffix("/v1")
    return (parts.scheme.lower(), "loopback" if is_loopback else host, port, path)


def _regex(text: str) -> str:
    compiled(text)
    return text


def _filter(text: str) -> str:
    read_filter(text)
    return text


def _variable(text: str) -> str:
    # What is no name may be the secret itself: it is never quoted.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError(
            "must be the name of an environment variable: letters, digits and _, a digit not first"
        )
    return text


def _file(path: Path) -> Path:
    # What is no path may be the secret itself: it is never quoted.
    parts = path.parts
    if not str(path).isprintable() or any(len(p) > 255 for p in parts) or str(path).startswith("-----BEGIN"):
        raise ValueError("must be the path of a file, not what is in it")
    try:
        path.expanduser()
    except RuntimeError:
        raise ValueError("is in a home directory that is not known: write the whole path") from None
    return path


def _regular_file(path: Path) -> Path:
    """Refuse what a TLS library would wait for; what is not there yet is told when it is needed."""
    try:
        mode = _file(path).expanduser().stat().st_mode
    except OSError:
        return path
    if not stat.S_ISREG(mode):
        raise ValueError("is no regular file: name the file itself")
    return path


Name = Annotated[str, AfterValidator(_clean_name)]
LabelName = Annotated[str, AfterValidator(lambda text: label_name(text) if text else "")]
Filter = Annotated[str, AfterValidator(_filter)]
Variable = Annotated[str, AfterValidator(_variable)]
FilePath = Annotated[Path, AfterValidator(_file)]
RegularFile = Annotated[Path, AfterValidator(_regular_file)]
Url = Annotated[str, AfterValidator(_plain_url)]
PageUrl = Annotated[str, AfterValidator(_url)]
Regex = Annotated[str, AfterValidator(_regex)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Credential(_Strict):
    """A secret by reference: the name of an environment variable, a file, or a command that prints it."""

    env: Variable | None = None
    file: FilePath | None = None
    command: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(x is not None for x in (self.env, self.file, self.command)) != 1:
            raise ValueError("give exactly one of env, file, command")
        return self


class PlaneEndpoint(_Strict):
    """The control plane: where it is, the bearer token it wants, and the CA that vouches for it."""

    url: Url
    token: Credential | None = None
    ca_file: RegularFile | None = None


class Basic(_Strict):
    """Basic authentication: a user name, and a password by reference."""

    username: str = Field(min_length=1)
    password: Credential


class Endpoint(PlaneEndpoint):
    """A server to ask over HTTP, with all that may stand before it.

    url: may have a path prefix
    token: sent as a bearer token, read again where the server refuses it; or `basic`
    ca_file: verifies a private CA; cert_file, key_file: our own certificate, where the server wants one
    headers: sent with every request, as `X-Scope-OrgID` for a tenant; a value may be a credential
    timeout_s: of one request
    """

    basic: Basic | None = None
    cert_file: RegularFile | None = None
    key_file: RegularFile | None = None
    headers: dict[str, str | Credential] = {}
    timeout_s: float = Field(default=10.0, strict=True, gt=0, le=300, allow_inf_nan=False)

    @field_validator("headers")
    @classmethod
    def _sendable(cls, given: dict[str, str | Credential]) -> dict[str, str | Credential]:
        for name, value in given.items():
            # The value may be a secret in the wrong place: it is never quoted.
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_|~-]+", name):
                raise ValueError("a name there is no header name; write headers = { NAME = VALUE }")
            if isinstance(value, str) and not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of {name} holds characters no HTTP header may hold")
        return given

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        if self.token is not None and self.basic is not None:
            raise ValueError("give token or basic, not both: a request has one Authorization header")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file, the certificate that the key belongs to")
        return self


class PrometheusServer(Endpoint):
    """A Prometheus, or what speaks its HTTP API.

    cluster: name of what it watches, where a context has several
    cluster_label: the label that tells clusters apart in a store of many
    select: filters for every series, as PromQL writes them: 'namespace="serving"'
    replica_labels: labels that tell a pair of equal Prometheus apart; found out where they are not given
    alerts: ask it for its alerts too
    """

    cluster: str = ""
    cluster_label: LabelName = ""
    select: tuple[Filter, ...] = ()
    replica_labels: tuple[LabelName, ...] | None = None
    alerts: StrictBool = True

    @field_validator("cluster")
    @classmethod
    def _cluster_name(cls, given: str) -> str:
        if clean(given, 40) != given or "@" in given:
            raise ValueError("must be at most 40 characters, without control characters and @")
        return given


class Override(_Strict):
    """An operator's own PromQL for a signal. It wins over every preset.

    query: asked as it is; its labels name model, tier and feature by the identity rules. Of a family measured
        by a histogram (queue_wait, answer_time, first_token, token_gap) it keeps `le` and is a rate
    factor: multiplies the value, to get the signal's unit
    """

    query: str = Field(min_length=1, max_length=10_000)
    factor: float = Field(default=1.0, strict=True, allow_inf_nan=False)


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

    def labels(self) -> tuple[str, ...]:
        """Labels that the rules read: every answer must keep them."""
        rules: Iterable[ModelRule | TierRule | FeatureRule] = (*self.models, *self.tiers, *self.features)
        return tuple(dict.fromkeys(rule.label for rule in rules))

    def part_labels(self) -> tuple[str, ...]:
        """Those of `labels` that tell apart nothing but parts of a model: its tiers and features."""
        return tuple(label for label in self.labels() if label not in {rule.label for rule in self.models})

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
    """One fleet to watch: where to ask, and how to read the answers.

    prometheus: one, or one for each cluster; alertmanager: for alerts and their silences
    nvml: this machine's own accelerators, where no exporter serves them
    production: marked on every screen; arming asks for the context's name
    writes: never; only after arming, for ten minutes; or at once, without arming
    presets: files of stacks that tidegate does not know; signals: queries of one's own, by signal
    """

    prometheus: tuple[PrometheusServer, ...] = ()
    alertmanager: tuple[Endpoint, ...] = ()
    scrape: tuple[Page, ...] = ()
    plane: PlaneEndpoint | None = None
    nvml: StrictBool = False
    presets: tuple[FilePath, ...] = ()
    signals: dict[str, Override] = {}
    production: StrictBool = False
    writes: Literal["never", "arm", "on"] = "arm"
    simulated: StrictBool = False
    tiers: tuple[Name, ...] = ()
    tier_titles: dict[str, Name] = {}
    objectives: Objectives = Objectives()
    identity: Identity = Identity()
    pools: tuple[Pool, ...] = ()

    @field_validator("plane", mode="before")
    @classmethod
    def _url_alone(cls, given: object) -> object:
        return {"url": given} if isinstance(given, str) else given

    @field_validator("prometheus", "alertmanager", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        several = given if isinstance(given, list | tuple) else [given]
        return [{"url": one} if isinstance(one, str) else one for one in several if one is not None]

    @field_validator("scrape", mode="before")
    @classmethod
    def _urls_alone(cls, given: object) -> object:
        if not isinstance(given, list | tuple):
            return given
        return [{"url": one} if isinstance(one, str) else one for one in given]

    @field_validator("prometheus")
    @classmethod
    def _told_apart(cls, given: tuple[PrometheusServer, ...]) -> tuple[PrometheusServer, ...]:
        names = [server.cluster for server in given]
        if len(given) > 1 and (not all(names) or len(set(names)) < len(names)):
            raise ValueError('several servers: give each a cluster of its own, as cluster = "eu-west"')
        return given

    @field_validator("signals")
    @classmethod
    def _known_signals(cls, given: dict[str, Override]) -> dict[str, Override]:
        families = {s.rsplit("_p", 1)[0] for s in SIGNALS if re.search(r"_p\d+$", s)}
        if strange := sorted(given.keys() - families - SIGNALS.keys()):
            near = difflib.get_close_matches(strange[0], [*families, *SIGNALS], n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; allowed: {', '.join(sorted(SIGNALS))}"
            raise ValueError(f"{clean(strange[0], 40)!r} is no signal{hint}")
        return given

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
    recording: RecordingSettings = RecordingSettings()
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
        settings = read_toml(file, Settings)
    except FileError as error:
        raise ConfigError(str(error)) from error
    beside = {
        name: one.model_copy(update={"presets": tuple(file.parent / p.expanduser() for p in one.presets)})
        for name, one in settings.contexts.items()
    }
    return settings.model_copy(update={"contexts": beside})
