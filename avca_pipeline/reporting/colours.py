"""The colours of the page, each for a light and for a dark screen.

Text has a contrast of 4.5 to its ground, and what stands for data one of 3 (WCAG 2.2, level AA). A
colour is used by its name, so that the page changes with the reader's screen; a drawing taken out
of the page has the light one.
"""

from __future__ import annotations

PALETTE = {
    "text": ("#1b2127", "#e4e8ec"),
    "soft": ("#55616d", "#a3afbb"),
    "line": ("#d9dee3", "#39424b"),
    "back": ("#ffffff", "#15191d"),
    "band": ("#f3f5f7", "#1d2328"),
    "accent": ("#0b5c8f", "#7cc0ee"),
    "warn": ("#fff6df", "#2f2814"),
    "warn-line": ("#a87a00", "#c9991f"),
    "good": ("#17733b", "#6fd08f"),
    "bad": ("#b3261e", "#ff8a80"),
    "grey": ("#7d8590", "#8b95a0"),
    "mark0": ("#0072b2", "#56b4e9"),
    "mark1": ("#c85200", "#ff9a4d"),
    "mark2": ("#008a64", "#3ecf9f"),
    "mark3": ("#b8478c", "#f08cc4"),
    "mark4": ("#9a6f00", "#f0c24b"),
    "mark5": ("#2a86c0", "#8fd0ff"),
    "mark6": ("#7a3e9d", "#c79bf0"),
    "mark7": ("#8c564b", "#d3a196"),
    "mark8": ("#6f7d10", "#c0d04a"),
    "mark9": ("#c9202f", "#ff7a82"),
}
"""Name to the light and the dark colour."""


def colour(name: str) -> str:
    """Returns the value that CSS and SVG take for a colour of `PALETTE`."""
    return f"var(--{name}, {PALETTE[name][0]})"


TEXT, SOFT, LINE, BACK, GREY = map(colour, ("text", "soft", "line", "back", "grey"))
MARKS = tuple(colour(name) for name in PALETTE if name.startswith("mark"))
"""Of classes, candidates and rows."""
