"""Runs, models and products: MLflow on this repository's own database, a W&B mirror, promotion and lineage."""

import os

# Nothing is sent anywhere that the user did not name.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# MLflow reports each table migration and missing `pip` of the environment; a user can act on neither.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for one small file is noise
# A registry is written by many hands: a pickle in it could run anything. Not a default, so that no shell reopens it.
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
