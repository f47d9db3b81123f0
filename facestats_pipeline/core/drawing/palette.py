"""Colours that colour-blind readers can tell apart, for figures and pages; no drawing library is loaded."""

# Okabe & Ito 2008, "Color Universal Design", ordered so that the first ones differ most; yellow is left for last, it is faint on white.
BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
)
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW)
INK, QUIET, FAINT = "#222222", "#666666", "#DDDDDD"
