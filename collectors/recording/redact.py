"""What no recording may hold: secrets in texts, taken out before anything reaches a file.

Prompts, headers and the environment never come this far: only numbers, names and sentences are recorded. In
those this looks for what looks like a secret. Names of models, tiers and pods, UUIDs, and hashes survive.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from collectors.recording.schema import SEPARATOR

REDACTED = "[redacted]"
POLICY = "tidegate-1"
"""Names these rules in a file's header; another set of rules has another name."""

_KNOWN_MOST = 65_536
_TEXT_MOST = 65_536
"""Longest text that is looked through, in characters; the rest is cut off."""

_SENSITIVE = (
    r"(?:pass(?:words?|wd|phrase)?|pwd|secrets?|token|(?:api|access|private|signing)[_-]?keys?"
    r"|credentials?|cookies?|authorization)"
)
_IS_SECRET_NAME = re.compile(rf"(?:.*[_\-. ])?{_SENSITIVE}|x-api-key|x-amz-.*", re.IGNORECASE)

_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:.*?-----END [A-Z0-9 ]{1,40}-----|.*)", re.DOTALL)
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.\-]{1,20}://)([^\s\"'<>()\x1f]*)")
_HEADER = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)(\s*[:=]\s*)[^\s\x1f][^\x1f]*",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic|negotiate)(\s+)([A-Za-z0-9._~+/=\-]{6,})", re.IGNORECASE)
_NAMED = re.compile(
    rf"([\w.\-]{{0,64}}?{_SENSITIVE}[\"']?)(\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&\x1f]+)", re.IGNORECASE
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)?")
_SHAPES = re.compile(
    r"\b(?:"
    r"sk-(?=[\w\-]*[A-Za-z0-9]{12})[\w\-]{16,}"
    r"|[srp]k_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w\-]{16,}|hf_[A-Za-z0-9]{16,}"
    r"|(?:AKIA|ASIA|AROA|AIDA|AGPA)[A-Z0-9]{12,}|AIza[\w\-]{30,}|ya29\.[\w\-]{16,}"
    r"|xox[abeoprs]-[\w\-]{10,}|xapp-[\w\-]{10,}|nvapi-[\w\-]{16,}|npm_[A-Za-z0-9]{16,}"
    r"|pypi-[\w\-]{16,}|dop_v1_[a-f0-9]{16,}|SG\.[\w\-]{16,}\.[\w\-]{16,}|gsk_[A-Za-z0-9]{16,}"
    r"|glsa_\w{16,}|hv[sb]\.[\w\-]{16,}"
    r")"
)
_WORD = re.compile(r"[A-Za-z0-9+/=_~\-]{16,}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]+")
_NAMES_A_HASH = re.compile(
    r"(?:etag|sha-?\d*|md5|digest|commit|revision|rev|hash|checksum|chain|id|uid|uuid|key_id|head)"
    r"[\"']?\s*(?:[:=@]\s*|\s|is )?[\"']?$",
    re.IGNORECASE,
)
_SPOKEN = re.compile(r"[A-Z][a-z]{3,}|[a-z]{5,}")
_PLAIN = re.compile(r"[A-Za-z]?[a-z\-]*|v\d+|\d{1,6}")
_PIECE = re.compile(r"[A-Za-z0-9]{10,}")
_VOWELS = frozenset("aeiouy")
_NO_SECRET = frozenset(
    {
        "auth",
        "authentication",
        "authorization",
        "credential",
        "credentials",
        "error",
        "expired",
        "failed",
        "header",
        "invalid",
        "missing",
        "needed",
        "realm",
        "refused",
        "rejected",
        "required",
        "scheme",
        "token",
        "tokens",
        "usage",
    }
)


class _Substitutes(Protocol):
    def sub(self, new: str, text: str) -> str: ...


def _compiled(extra: Sequence[str]) -> tuple[_Substitutes, ...]:
    # Most have no expressions of their own: a library of 2 MB less.
    from collectors.regex import compiled

    return tuple(cast("_Substitutes", compiled(one)) for one in extra)


class Redaction:
    """Takes secrets out of texts, and of whatever is made of texts.

    policy: goes into the header of every file; it tells the rules, and whether there are more than ours
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        """extra: RE2 expressions of what else is secret here. raises: ValueError, with a sentence"""
        self._more = _compiled(extra) if extra else ()
        mark = hashlib.sha256("\n".join(extra).encode()).hexdigest()[:8] if extra else ""
        self.policy = f"{POLICY}+{len(extra)}-{mark}" if extra else POLICY
        self._known: dict[str, str] = {}

    def text(self, text: str) -> str:
        """One text without what looks like a secret, and without control characters."""
        found = self._known.get(text)
        if found is None:
            found = self._redacted(text)
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            self._known[text] = found
        return found

    def value(self, value: Any) -> Any:
        """The same, of everything in JSON-like values: keys as well; what a key names a secret goes whole.

        Values without a secret are returned as they are, not copied.
        """
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            return self._mapping(value)
        if kind in {list, tuple}:
            made = [self.value(one) for one in value]
            return value if all(map(_is, made, value)) else made
        if isinstance(value, str):
            return self.text(str(value))
        if isinstance(value, Mapping):
            return self._mapping(dict(value))
        return value

    def _mapping(self, value: dict[Any, Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        is_same = True
        for key, one in value.items():
            kept = self.text(key) if isinstance(key, str) else key
            if isinstance(one, str) and one and isinstance(key, str) and _IS_SECRET_NAME.fullmatch(key):
                new: Any = REDACTED
            else:
                new = self.value(one)
            is_same = is_same and kept is key and new is one
            made[kept] = new
        return value if is_same else made

    def _redacted(self, text: str) -> str:
        for pattern in self._more:
            text = pattern.sub(REDACTED, text)
        if len(text) < 8:
            return _printable(text)
        found = _printable(text[:_TEXT_MOST])
        if "-----BEGIN" in found:
            found = _PEM.sub(REDACTED, found)
        if "://" in found:
            found = _URL.sub(_bare_url, found)
        found = _HEADER.sub(rf"\1\2{REDACTED}", found)
        found = _SCHEME.sub(_without_credential, found)
        if ":" in found or "=" in found:
            found = _NAMED.sub(_without_value, found)
        found = _JWT.sub(REDACTED, found)
        found = _SHAPES.sub(REDACTED, found)
        found = _WORD.sub(_word_in(found), found)
        return text if found == text else found


def _is(one: object, other: object) -> bool:
    return one is other


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == SEPARATOR else " " for c in text)


def _bare_url(found: "re.Match[str]") -> str:
    """Scheme, host and path: neither who, nor what was asked."""
    scheme, rest = found[1], found[2]
    place, _, _ = rest.partition("#")
    place, asked, _ = place.partition("?")
    host, slash, path = place.partition("/")
    if "@" in place:
        # A password may hold a slash: whatever is before the last @ goes.
        host, slash, path = place.rpartition("@")[2].partition("/")
    end = re.search(r"[.,;:!)\]]*$", rest)
    left = end[0] if end is not None and (asked or "#" in rest) else ""
    return f"{scheme}{host}{slash}{path}{left}"


def _without_credential(found: "re.Match[str]") -> str:
    if found[3].lower().rstrip(".") in _NO_SECRET:
        return found[0]
    is_word = found[3].rstrip(".").isalpha() and found[3].islower()
    return found[0] if is_word and found[1].lower() != "bearer" else f"{found[1]}{found[2]}{REDACTED}"


def _without_value(found: "re.Match[str]") -> str:
    """A value whose name says that it is secret; of "token: expired" nothing, which is a sentence."""
    name, between, value = found.groups()
    bare = value.strip("\"'.")
    is_number = bare.replace(".", "", 1).isdigit()
    is_told = value.startswith(REDACTED) or not bare
    if is_told or (is_number and "token" in name.lower()):
        return found[0]
    is_sentence = ":" in between and between.endswith(" ") and bare.isalpha() and bare.islower()
    if is_sentence and (bare in _NO_SECRET or not name.lower().startswith(("pass", "pwd"))):
        return found[0]
    return f"{name}{between}{REDACTED}"


def _word_in(text: str) -> "Callable[[re.Match[str]], str]":
    is_sentence = " " in text

    def redacted(found: "re.Match[str]") -> str:
        word = found[0]
        if _is_hash(word) is not None:
            before = text[max(0, found.start() - 24) : found.start()]
            is_named = not is_sentence or len(word) < 32 or _NAMES_A_HASH.search(before) is not None
            return word if is_named or _UUID.search(word) is not None else REDACTED
        parts = word.split("/")
        if not any(is_random(piece) for part in parts for piece in _PIECE.findall(part)):
            return word
        return "/".join(part if _PLAIN.fullmatch(part) else REDACTED for part in parts)

    return redacted


def _is_hash(word: str) -> "re.Match[str] | None":
    """Of hexadecimal digits alone, with or without dashes between."""
    return _HEX.fullmatch(word.replace("-", "").removeprefix("0x"))


def is_random(piece: str) -> bool:
    """Whether letters and digits are mixed as only chance mixes them: no word, no name, no hash.

    Spoken parts are left out first: `DeepSeekR1DistillQwen32B` is a name.
    """
    if _HEX.fullmatch(piece.removeprefix("0x")) is not None:
        return False
    rest = _SPOKEN.sub(lambda found: "" if _VOWELS & set(found[0].lower()) else found[0], piece)
    kinds = [0 if c.isdigit() else 1 if c.islower() else 2 for c in rest]
    if len(kinds) < 10:
        return False
    changes = sum(map(int.__ne__, kinds, kinds[1:])) / (len(kinds) - 1)
    if len(set(kinds)) == 3:
        return changes >= (0.28 if len(kinds) >= 14 else 0.45)
    if 0 not in kinds:
        return len(kinds) >= 20 and changes >= 0.4
    return len(set(kinds)) == 2 and changes >= (0.2 if len(kinds) >= 24 else 0.28 if len(kinds) >= 18 else 1)
