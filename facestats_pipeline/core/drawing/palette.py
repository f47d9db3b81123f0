"""Colours that colour-blind readers can tell apart, for figures and pages. The module imports no drawing library."""

# Okabe & Ito 2008, "Color Universal Design". The first colours differ most; yellow comes last because it is faint on white.
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
