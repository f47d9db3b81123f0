"""Celery's settings of a worker: dagster-celery takes them from a module of this name on the PYTHONPATH."""

import os

broker_url = os.environ["DAGSTER_CELERY_BROKER_URL"]
result_backend = os.environ["DAGSTER_CELERY_BACKEND_URL"]
# A process for each run: its memory is given back, and a run that dies takes no worker with it.
worker_max_tasks_per_child = 1
worker_prefetch_multiplier = 1
worker_disable_prefetch = True  # no run waits behind another while a worker is idle
result_expires = 30 * 24 * 3600  # without its state, Dagster would take a run of more than a day for lost
broker_connection_retry_on_startup = True
