"""The built-in attributes' classes under short names, and a catalogue with one attribute more."""

from facestats_pipeline.core.attributes.attribute import UNKNOWN, Attribute
from facestats_pipeline.core.attributes.catalogue import AGE, BUILT_IN, ETHNICITY, GENDER

__all__ = ["UNKNOWN"]

WITH_GLASSES = BUILT_IN.with_extra(Attribute("glasses", ("no glasses", "glasses")))
"""A collection's catalogue with an attribute of its own."""

GENDERS, ETHNICITIES, AGE_BINS = GENDER.classes, ETHNICITY.classes, AGE.classes
ATTRIBUTES = BUILT_IN.names
CLASSES = {attribute.name: attribute.classes for attribute in BUILT_IN}
assert ETHNICITY.rollup is not None and AGE.years is not None
ETHNICITY4, ETHNICITY_TO_4 = ETHNICITY.rollup.classes, dict(ETHNICITY.rollup.of)
AGE_EDGES = AGE.years
age_bin_of = AGE.class_of_years
