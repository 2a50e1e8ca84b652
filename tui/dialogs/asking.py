"""Asking the plane what a plan would do: how often, and what is made of no answer."""

from typing import TYPE_CHECKING

from collectors.intents import Intent
from tui.dialogs.decision import DryRun
from tui.feed import sentence_of
from tui.link import NoOperator

if TYPE_CHECKING:
    from tui.link import Link

DEBOUNCE_S = 0.15
"""Seconds that a plan must stand before the plane is asked about it."""

RENEW_S = 10.0
"""Age at which a dry run is asked again, so that `y` seldom meets one that is too old."""

TOUCHED_S = 60.0
"""Seconds without a key after which a dialog asks no more by itself."""


async def dry_run(link: "Link", intents: tuple[Intent, ...], asked_at: float) -> DryRun:
    """What the plane says of the intents; asked_at: now, seconds by the clock of the dialog."""
    try:
        return DryRun(intents, tuple(await link.rehearse(intents)), asked_at)
    except NoOperator as error:
        return DryRun(intents, (), asked_at, str(error))
    except Exception as error:  # whatever an operator raises is shown; it must not end the cockpit
        return DryRun(intents, (), asked_at, sentence_of(error))
