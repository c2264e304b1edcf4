"""Other people's text in a page: escaped, without what could turn or cover its neighbours.

Names come from tables that officials wrote, and a page shows whatever stands there: markup is text, letters
of every script stay, and characters that steer (direction, control) are contained or replaced.
"""

import html
import re
from typing import Final

# What no HTML text may hold, and what a terminal or a browser would obey.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
# Marks that change direction (Unicode, UAX #9); within <bdi> they end with their name, in a title nowhere.
_TURNING: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def text(value: str) -> str:
    """Somebody's text, for an element or an attribute with quotation marks."""
    return html.escape(_CONTROLS.sub("\ufffd", value), quote=True)


def name(value: str) -> str:
    """Somebody's name within a line of ours: however it runs, the line goes on as it was."""
    return f"<bdi>{text(value)}</bdi>"


def plain(value: str) -> str:
    """Somebody's text where no element can stand (``<title>``)."""
    return text(_TURNING.sub("", value))


def count(value: int) -> str:
    """A whole number as people read it."""
    return f"{value:,}"


def percent(hundredths: int | None) -> str:
    """A share in hundredths of a percent; a dash where there is none."""
    return "–" if hundredths is None else f"{hundredths // 100:,}.{hundredths % 100:02d}\N{NO-BREAK SPACE}%"
