"""The words of the built-in attributes under short names; what each attribute is stands in `core.catalogue`."""

from facestats_pipeline.core.attribute import MAX_AGE, UNKNOWN
from facestats_pipeline.core.catalogue import AGE, BUILT_IN, ETHNICITY, GENDER

__all__ = ["MAX_AGE", "UNKNOWN"]

GENDERS = GENDER.classes
ETHNICITIES = ETHNICITY.classes
AGE_BINS = AGE.classes

ATTRIBUTES = BUILT_IN.names
CLASSES: dict[str, tuple[str, ...]] = {attribute.name: attribute.classes for attribute in BUILT_IN}

assert ETHNICITY.rollup is not None and AGE.years is not None
ETHNICITY4 = ETHNICITY.rollup.classes
ETHNICITY_TO_4 = dict(ETHNICITY.rollup.of)
AGE_EDGES = AGE.years

READ_AS = {word: ETHNICITY.words[word] for word in ETHNICITY.readings}
"""Words for an ethnicity that are not just another spelling: taking them is a reading, which `read_labels` reports."""

canonical_gender = GENDER.class_named
canonical_ethnicity = ETHNICITY.class_named
age_bin_of = AGE.class_of_years
