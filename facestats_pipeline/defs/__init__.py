"""Dagster definitions, thin: assets, checks, sensors and schedules, one folder per stage."""
