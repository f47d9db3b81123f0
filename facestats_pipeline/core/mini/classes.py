"""The classes that the shipped encoder learns, in the order of its heads: FairFace's, whatever else the catalogue holds."""

from facestats_pipeline.core.attributes.catalogue import AGE, ETHNICITY, GENDER

GENDERS, ETHNICITIES, AGE_BINS = GENDER.classes, ETHNICITY.classes, AGE.classes
CLASSES = {attribute.name: attribute.classes for attribute in (GENDER, ETHNICITY, AGE)}
