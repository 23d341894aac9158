"""Polite HTTP: a rate limit, retries with back-off, redirects only to archives, and one clear error a failure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from orrery import __version__
from orrery.errors import OrreryError

# Domains of the archives; products move between hosts of these (LROC's are answered from nasa.gov).
ARCHIVES = ("nasa.gov", "usgs.gov", "wustl.edu", "asu.edu", "arizona.edu", "mit.edu", "esa.int", "im-ldi.com")
MAX_REDIRECTS = 5
RETRY_STATUS = (429, 500, 502, 503, 504)
RETRY_AFTER_MAX_S = 300  # a server may ask for longer; then it is busy and the user is told


@dataclass
class Http:
    """A session that every request of one run goes through.

    Attributes:
        interval_s: least time between two requests, s.
        retries: how often a failed request is tried again.
        backoff_s: wait before the second retry, s; doubles from one to the next.
        timeout_s: to connect, and between two packets, s.
        extra_hosts: where redirects may lead besides the archives and the asked host.
    """

    interval_s: float = 0.5
    retries: int = 4
    backoff_s: float = 1.0
    timeout_s: tuple[float, float] = (10.0, 60.0)
    extra_hosts: tuple[str, ...] = ()
    _session: requests.Session = field(init=False, repr=False)
    _last: float = field(init=False, repr=False, default=float("-inf"))

    def __post_init__(self) -> None:
        retry = Retry(
            total=self.retries,
            redirect=False,
            status_forcelist=RETRY_STATUS,
            backoff_factor=self.backoff_s,
            retry_after_max=RETRY_AFTER_MAX_S,
            raise_on_status=False,
        )
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"orrery/{__version__}"
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def json(self, url: str, params: Mapping[str, str]) -> Any:
        """What a service answers, as plain data.

        Raises:
            OrreryError: it does not answer, or with something else than JSON.
        """
        with self.get(url, params=params) as response:
            try:
                return response.json()
            except requests.RequestException as error:
                kind = response.headers.get("Content-Type", "unknown type")
                problem = f"answers with no JSON ({kind})"
                remedy = "try again later; the service may be down for maintenance"
                raise OrreryError(problem, file=url, remedy=remedy) from error

    @contextmanager
    def get(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[requests.Response]:
        """An answer of status 2xx or 416 whose body is not read yet.

        Raises:
            OrreryError: no such host, no answer in time, a status of 4xx or 5xx after all retries, or a redirect
                to a host that is no archive.
        """
        sent = {"Accept-Encoding": "identity", **(headers or {})}  # lengths and ranges are those of the file
        try:
            response = self._follow(
                requests.Request("GET", url, sent, params=params).prepare().url or url, sent
            )
        except requests.RequestException as error:
            remedy = "check the network and try again; what was fetched is kept"
            raise OrreryError(f"cannot be reached ({_reason(error)})", file=url, remedy=remedy) from error
        with response:
            if response.status_code >= 400 and response.status_code != requests.codes.range_not_satisfiable:
                raise _refused(response, url)
            yield response

    def _follow(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """The answer after redirects, each of which is looked at first."""
        first = url
        for _ in range(MAX_REDIRECTS):
            self._wait()
            response = self._session.get(
                url, headers=headers, stream=True, timeout=self.timeout_s, allow_redirects=False
            )
            if not response.is_redirect:
                return response
            target = urljoin(url, response.headers["Location"])
            response.close()
            self._check_redirect(first, url, target)
            url = target
        remedy = "look the product up in the archive; its address has changed"
        raise OrreryError(f"redirects more than {MAX_REDIRECTS} times", file=first, remedy=remedy)

    def _check_redirect(self, first: str, source: str, target: str) -> None:
        """Refuse to be led to another host that is no archive, or from https to http."""
        host = urlsplit(target).hostname or ""
        known = {urlsplit(first).hostname, *self.extra_hosts}
        archive = any(host == name or host.endswith(f".{name}") for name in ARCHIVES)
        plain = urlsplit(source).scheme == "https" and urlsplit(target).scheme != "https"
        if (host not in known and not archive) or plain or urlsplit(target).scheme not in ("http", "https"):
            remedy = "look the product up in the archive and give its new address"
            raise OrreryError(f"redirects to {target}, which is no archive", file=first, remedy=remedy)

    def _wait(self) -> None:
        """Sleep until the rate limit allows another request."""
        remaining = self._last + self.interval_s - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)
        self._last = time.monotonic()


def _refused(response: requests.Response, url: str) -> OrreryError:
    """The error for a status of 4xx or 5xx."""
    if response.status_code in (404, 410):
        return OrreryError(
            f"is not there (HTTP {response.status_code})", file=url, remedy="check the product's name"
        )
    problem = f"is refused by the archive (HTTP {response.status_code} {response.reason})"
    return OrreryError(problem, file=url, remedy="try again later; what was fetched is kept")


def _reason(error: BaseException) -> str:
    """The innermost cause, on one line."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
