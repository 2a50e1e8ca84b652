"""Why a plane did not do what it was asked, as the middle of a sentence with what to do. Pure.

Each follows the plane's name and address, or stands alone as an outcome; none ends in a full stop.
"""

import ssl
import time
from collections.abc import Mapping

from collectors.config import shown_url
from collectors.control import wire
from collectors.text import clean

_NEEDS = ("release-admin", "operator", "viewer")


def unread(path: str, status: int, problem: wire.Problem, *, has_token: bool, location: str) -> str:
    """Why a read was answered with an error. location: of a redirect"""
    said = _said(problem)
    if status == 401:
        return f"wants another token (401{said}): {_token_mend(has_token)}"
    if status == 403:
        return f"does not let this token read {path} (403{said}); ask for the role viewer"
    if 300 <= status < 400:
        where = _destination(location)
        return f"sends us on to {where} ({status}); give that URL itself if it is the plane"
    if status == 404:
        return f"has no {path} (404{said}); check that the URL is a control plane"
    if status == 429:
        return f"is asked too often (429{said}); it is asked again later"
    return f"answers {path} with {status}{said}; see its log if it goes on"


def unwritten(
    operation: str,
    status: int,
    problem: wire.Problem,
    *,
    role: str = "",
    wait_s: float | None = None,
) -> str:
    """Why a write was refused: a sentence of its own, with what to do. role: ours, "" if unknown"""
    said, verb = _said(problem), _verb(operation)
    by_status = {
        400: f"the plane takes {verb} for invalid (400{said}); correct it, or update whichever is older",
        401: f"the plane wants another token (401{said}): {_token_mend(True)}",
        403: f"{_your(role)} may not {verb} (403{said}); {_ask_for(problem.detail)}",
        404: f"the plane has no such target (404{said}); look at the list again",
        413: f"the plane finds {verb} too long (413{said}); shorten the reason",
        428: f"the plane wants a precondition that was not sent (428{said}{_missing(problem)}); "
        f"update tidegate, or look again",
        429: f"the plane takes no more writes for now (429{said}); {_later(wait_s)}",
        501: f"this control plane cannot {verb} (501{said}); do it at the system behind it",
    }
    by_code = {
        "gate-not-met": f"the gate is closed{_gate(problem)}; wait, or override it as release-admin",
        "no-baseline": f"the plane converts no share here{said}; give the limit in the cell's own unit",
        "idempotency-key-reused": "the plane has seen this key with another request; open the dialog again",
        "unsupported-operation": by_status[501],
    }
    if problem.code in by_code:
        return by_code[problem.code]
    if status in by_status:
        return by_status[status]
    if status >= 500:
        return (
            f"the plane's backend did not do it ({status}{said}) and nothing has changed; "
            f"try again, and see the plane's log if it goes on"
        )
    return f"the plane refused to {verb} ({status}{said})"


def no_connection(error: BaseException) -> str:
    """Why there is no connection, by the innermost cause the libraries left."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < 10:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for one in causes:
        if isinstance(one, ssl.SSLCertVerificationError):
            why = clean(one.verify_message, 100)
            return f"shows a certificate that is not trusted ({why}); name its CA file in the configuration"
        if isinstance(one, ssl.SSLError):
            return "does not speak TLS as expected; check whether the URL should begin with http:// instead"
        if type(one).__name__ == "gaierror":
            return "has a host name that cannot be resolved; correct it, or check DNS"
        if isinstance(one, ConnectionRefusedError):
            return "refuses the connection: nothing listens there; start the plane or correct the URL"
    return f"cannot be reached ({clean(str(error), 100) or 'no reason given'}); check host, port and network"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `Retry-After`, at most an hour; None without one that can be read. A date, which
    the contract does not use, is none."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() and len(text) < 8 else None


def clock_time(at: float) -> str:
    """A time for people, with its day, for it may be days away: `2026-11-21 17:20:00Z`."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


def _said(problem: wire.Problem) -> str:
    detail = clean(problem.detail or problem.title, 200)
    return f": {detail}" if detail else ""


def _verb(operation: str) -> str:
    """An operation in words: `set weight`."""
    return operation.partition(".")[2].replace("_", " ") or operation


def _token_mend(has_token: bool) -> str:
    if has_token:
        return "the token is not, or no longer, valid; give the right one in TIDEGATE_TOKEN"
    return "no token was found; set TIDEGATE_TOKEN, or run as the user who started the plane"


def _your(role: str) -> str:
    return f"your role {clean(role, 40)}" if role else "this token"


def _ask_for(detail: str) -> str:
    needed = next((role for role in _NEEDS if role in detail), "")
    return f"ask for the role {needed}, or somebody who has it" if needed else "ask somebody who may"


def _missing(problem: wire.Problem) -> str:
    names = ", ".join(clean(one, 40) for one in problem.missing[:5])
    return f"; missing: {names}" if names else ""


def _later(wait_s: float | None) -> str:
    return "try again in a minute" if wait_s is None else f"try again in {wait_s:g} s"


def _gate(problem: wire.Problem) -> str:
    """What holds a gate, and from when on it can be open."""
    checks = () if problem.gate is None else problem.gate.checks
    failing = [one for one in checks if one.state != "pass"]
    if not failing:
        return _said(problem)
    words = ", ".join(f"{clean(one.id, 40)} {clean(one.detail, 80)}".strip() for one in failing[:4])
    ready = []
    for one in failing:
        try:
            ready.append(None if one.ready_at is None else wire.read_time(one.ready_at))
        except ValueError:
            ready.append(None)
    known = [at for at in ready if at is not None]
    # A check without a time may hold it for longer: then nobody knows when it opens.
    opens = f", until {clock_time(max(known))}" if known and len(known) == len(ready) else ""
    return f" ({words}{opens})"


def _destination(location: str) -> str:
    """Where a redirect leads, without what may be a secret of its address."""
    try:
        return clean(shown_url(location).removeprefix("://"), 100) or "elsewhere"
    except ValueError:
        return "elsewhere"
