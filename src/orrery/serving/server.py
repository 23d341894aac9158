"""MLflow's scoring server on loopback, with one thing that it lacks: it answers to no foreign host name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click
import mlflow.pyfunc
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel, scoring_server

from orrery.serving.model import Served
from orrery.tracking.export import SERVED_BY

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "localhost")
DAY_S = 86_400  # MLflow's minute is too short for a whole scene


def application(served: Served) -> FastAPI:
    """The scoring server of a version.

    A page of a stranger that makes its name point to 127.0.0.1 could speak to any server there; its name betrays it.
    """
    os.environ.setdefault(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.name, str(DAY_S))
    description = mlflow.pyfunc.add_to_model(Model(), SERVED_BY)
    app: FastAPI = scoring_server.init(PyFuncModel(description, served))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))
    return app


def serve(system: str, model: str, port: int, roots: Sequence[Path]) -> None:
    """Answer on 127.0.0.1 until interrupted.

    Raises:
        OrreryError: there is no such version, or a folder to serve does not exist.
    """
    served = Served.of(system, model, roots)
    click.echo(f"{served.name} answers on http://{LOOPBACK}:{port}/invocations until Ctrl-C")
    uvicorn.run(application(served), host=LOOPBACK, port=port, log_level="warning")
