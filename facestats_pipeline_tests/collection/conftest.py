"""The environment of whoever runs the tests decides nothing here."""

from facestats_pipeline_tests.demo_collection import no_settings_of_the_caller

__all__ = ["no_settings_of_the_caller"]
