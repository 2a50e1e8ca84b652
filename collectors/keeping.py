"""How sessions are recorded: the `[recording]` table of the configuration."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool

from collectors.regex import compiled


def _regex(text: str) -> str:
    compiled(text)
    return text


def _folder(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("is in a home directory that is not known: write the whole path") from None


class RecordingSettings(BaseModel):
    """What is kept of live sessions, in a ring of files: the oldest go when either bound is passed.

    on: record every live session by itself
    folder: of the ring; None: `recordings` in the platform's folder for state
    max_megabytes, max_days: bounds of the ring
    redact: regular expressions (RE2) of what must never be recorded, beside the rules for secrets that are
        always on; what matches is replaced before it reaches the disk
    signing_key: file with an Ed25519 private key (PEM), to sign files that are closed
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    on: StrictBool = True
    folder: Annotated[Path, AfterValidator(_folder)] | None = None
    max_megabytes: int = Field(default=2_000, strict=True, ge=10, le=10_000_000)
    max_days: float = Field(default=14.0, gt=0, le=3_650, allow_inf_nan=False)
    redact: tuple[Annotated[str, AfterValidator(_regex)], ...] = ()
    signing_key: Annotated[Path, AfterValidator(_folder)] | None = None
