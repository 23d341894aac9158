"""Scenes and tiles over several processes or hosts (Dask), or in this process, with the same results to the byte.

What stages and systems share out here, they share out by name: how many processes, or which cluster, is the affair of whoever
called (`using`). A worker computes in one thread, in the folder that the coordinator is in.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, TypeVar

from threadpoolctl import threadpool_limits
from tqdm import tqdm

from orrery.errors import OrreryError

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")
CONNECT_S = 20
# What must be the same everywhere for the results to be.
ALIKE = ("orrery", "numpy", "scipy", "torch")
START = "start the workers as docs/how-to/many-machines.md tells"
AHEAD = 2  # items a worker, where what they hold must stay bounded


@dataclass
class Cluster:
    """Where work is shared out. Nothing is started before there is work for it.

    Attributes:
        scheduler: address of a cluster of Dask that runs already; None: processes of this host.
        workers: how many of them; 1 is this process itself.
    """

    scheduler: str | None = None
    workers: int = 1
    _started: Client | None = None

    def client(self) -> Client | None:
        """The workers, started or met; None where this process does the work."""
        if self._started is None and (self.scheduler is not None or self.workers > 1):
            self._started = _met(self.scheduler) if self.scheduler else _local(self.workers)
        return self._started

    def close(self) -> None:
        """Leave the cluster; workers that were started here end."""
        if self._started is None:
            return
        local = self._started.cluster
        self._started.close()
        if local is not None:
            local.close()


_used: ContextVar[Cluster] = ContextVar("cluster", default=Cluster())  # noqa: B039 - this process: nothing is kept in it


@contextmanager
def using(scheduler: str | None = None, workers: int = 1) -> Iterator[None]:
    """Let everything inside share its work out like that; see `Cluster`."""
    cluster = Cluster(scheduler, workers)
    before = _used.set(cluster)
    try:
        yield
    finally:
        _used.reset(before)
        cluster.close()


def each(function: Callable[[T], R], items: Sequence[T], label: str, unit: str = "scene") -> list[R]:
    """The results of `function` in the order of the items, with a bar; linear algebra in one thread.

    Args:
        function: of one item; both are sent to workers, so neither may hold an open file.
        items: all of them.
        label: of the bar.
        unit: of the items.

    Raises:
        OrreryError: what an item raised, or the cluster is none that can be used.
    """
    client = _used.get().client()
    done = _here(function, items) if client is None else _there(client, function, items, None)
    return list(tqdm(done, total=len(items), desc=label, unit=unit))


def ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """As `each`, lazily: no more items are taken than the workers have to do, so that memory stays bounded."""
    client = _used.get().client()
    if client is None:
        yield from map(function, items)
    else:
        yield from _there(client, function, items, AHEAD * count())


def shared(function: Callable[[list[T]], Sequence[R]], items: Sequence[T]) -> list[R]:
    """The results of a function of many items, each worker being given one part of them."""
    share = -(-len(items) // count()) or 1
    parts = [list(items[start : start + share]) for start in range(0, len(items), share)]
    return [result for results in ahead(function, parts) for result in results]


def count() -> int:
    """How many work at a time."""
    client = _used.get().client()
    return 1 if client is None else max(1, len(client.nthreads()))


def _here(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    # small systems of equations: threads cost more than they save
    with threadpool_limits(1, user_api="blas"):
        yield from map(function, items)


def _there(
    client: Client, function: Callable[[T], R], items: Iterable[T], at_once: int | None
) -> Iterator[R]:
    task, waiting = _Task(function, Path.cwd(), _versions()), iter(items)
    send = partial(client.submit, task, pure=False, key=None)
    under_way: deque[Future[Any]] = deque(send(item) for item in islice(waiting, at_once))
    try:
        while under_way:
            result = under_way[0].result()
            under_way.popleft().release()
            under_way.extend(send(item) for item in islice(waiting, 1))
            yield result
    finally:
        client.cancel(list(under_way), force=True)


@dataclass(frozen=True)
class _Task:
    """A function as a worker does it."""

    function: Callable[[Any], Any]
    folder: Path
    versions: dict[str, str]

    def __call__(self, item: Any) -> Any:
        _refuse(_versions(), self.versions)
        _enter(self.folder)
        with threadpool_limits(1):
            return self.function(item)


@cache
def _versions() -> dict[str, str]:
    """Of what results depend on."""
    return {"python": ".".join(map(str, sys.version_info[:2]))} | {name: version(name) for name in ALIKE}


def _refuse(here: dict[str, str], there: dict[str, str]) -> None:
    """A worker that would not give the same results.

    Raises:
        OrreryError: naming what differs.
    """
    for name, wanted in there.items():
        if here.get(name) != wanted:
            problem = f"a worker has {name} {here.get(name)}, and {wanted} is wanted"
            raise OrreryError(problem, remedy="install the same lock everywhere")


def _enter(folder: Path) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise OrreryError(
            f"a worker cannot see it ({error.strerror})",
            file=folder,
            remedy="share the folder under one path with all workers",
        ) from error


def _local(workers: int) -> Client:
    """Processes of this host that end with this one."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        memory_limit=0,  # else Dask stops what takes more than its share
        dashboard_address=None,
        scheduler_kwargs={
            "dashboard_address": "127.0.0.1:0"
        },  # else of a port that a second cluster wants, too
        env={"DASK_LOGGING__DISTRIBUTED": "error"},
    )
    return Client(cluster)


def _met(address: str) -> Client:
    """A cluster that runs already, all of whose workers will do.

    Raises:
        OrreryError: it cannot be reached, has no worker, or one that cannot do the work.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.ERROR)
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        problem = f"no scheduler of Dask answers at {address}"
        raise OrreryError(problem, remedy=f"check --scheduler; {START}") from error
    try:
        _check(client)
    except BaseException:
        client.close()
        raise
    return client


def _check(client: Client) -> None:
    if not (threads := client.nthreads()):
        raise OrreryError("the cluster has no worker", remedy=START)
    if max(threads.values()) > 1:
        raise OrreryError("a worker computes in several threads", remedy="start it with --nthreads 1")
    with NamedTemporaryFile(dir=Path.cwd(), prefix=".shared-") as token:
        try:
            client.run(_can_work, Path(token.name), _versions())
        except ImportError as error:
            problem = f"a worker lacks this version of orrery ({error})"
            raise OrreryError(problem, remedy="install the same lock everywhere") from error


def _can_work(token: Path, versions: dict[str, str]) -> None:
    """Whether a worker has what this process has, and sees its folder."""
    _refuse(_versions(), versions)
    _enter(token.parent)
    if not token.exists():
        problem = "is another folder on a worker's host"
        raise OrreryError(
            problem, file=token.parent, remedy="share the folder under one path with all workers"
        )
