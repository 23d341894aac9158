"""A team's server: asked whether it answers before anything is computed, and told apart from a mistake when it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from orrery.errors import OrreryError

ANSWER_S = 30.0
REFUSALS = {
    401: (
        "does not accept this user and password",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    403: (
        "refuses this host name or user",
        "reach it under a name of its --allowed-hosts, or ask its administrator for the permission",
    ),
}


def require_answer(uri: str) -> None:
    """Ask the server at `uri` for one experiment, without patience.

    Raises:
        OrreryError: it cannot be reached, refuses the user or the host name, or is no MLflow server.
    """
    try:
        answer = http_request(  # type: ignore[no-untyped-call]
            get_default_host_creds(uri),  # type: ignore[no-untyped-call]
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=1,
            timeout=ANSWER_S,
            raise_on_status=False,
        )
    except MlflowException as error:
        raise OrreryError(
            "cannot be reached", file=uri, remedy="start it, or check MLFLOW_TRACKING_URI"
        ) from error
    if answer.status_code != 200:
        unknown = (
            f"answers with status {answer.status_code}",
            "check MLFLOW_TRACKING_URI and the server's log",
        )
        problem, remedy = REFUSALS.get(answer.status_code, unknown)
        raise OrreryError(problem, file=uri, remedy=remedy)


@contextmanager
def lost_is_told(uri: str) -> Iterator[None]:
    """What a server does not take becomes one line; MLflow has tried for minutes by then.

    Raises:
        OrreryError: a request failed inside.
    """
    try:
        yield
    except MlflowException as error:
        told = " ".join(str(error).split())[:200]
        raise OrreryError(
            f"does not take what is logged ({told}); what was computed is kept",
            file=uri,
            remedy="run the same command again when the server answers",
        ) from error
