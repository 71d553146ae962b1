"""Who does the work of a campaign: this process, all cores of this machine, or a dask cluster.

Each takes tasks and yields outcomes as they are finished, in any order; a task gives the same outcome everywhere. A
worker that dies takes no other run with it. dask is loaded only when asked for.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import Any, Final, TypeAlias

from faintlink.core.errors import ConfigError
from faintlink.postprocess.campaign.plan import Task
from faintlink.postprocess.campaign.work import Outcome, failed, reanalyse

Executor: TypeAlias = Callable[[Sequence[Task], int], Iterator[Outcome]]
"""Takes tasks and the number of workers, yields outcomes in any order."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DIED = "the worker process died, for example for lack of memory"
_log = logging.getLogger(__name__)


def serial(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:  # noqa: ARG001 - an `Executor`
    """Do one task after the other in this process."""
    yield from map(reanalyse, tasks)


def processes(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    """Do tasks in processes of this machine; those in hand when one of them dies are tried once more, each alone."""
    left = list(tasks)
    while left:
        done: set[str] = set()
        suspects: list[Task] = []
        for task, outcome in _pool(left, workers):
            if outcome is None:
                suspects.append(task)
                continue
            done.add(task.name)
            yield outcome
        for task in suspects:
            done.add(task.name)
            yield from (outcome or failed(task, "WorkerDied", _DIED) for _, outcome in _pool([task], 1))
        left = [task for task in left if task.name not in done]


def dask(tasks: Sequence[Task], workers: int, *, scheduler: str = "") -> Iterator[Outcome]:
    """Do tasks on a dask cluster: that of ``scheduler``, else a local one.

    Raises
    ------
    ConfigError
        dask is not installed.
    """
    try:
        distributed: Any = import_module("distributed")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the executor dask needs dask and distributed, which are not installed",
            hint='pip install "faintlink[scale]"',
        ) from error
    cluster = None if scheduler else _local_cluster(distributed, min(workers, len(tasks)))
    client = distributed.Client(scheduler or cluster)
    try:
        futures = {client.submit(reanalyse, task, pure=False): task for task in tasks}
        for future in distributed.as_completed(list(futures)):
            lost = future.exception()
            yield failed(futures[future], "WorkerDied", f"{_DIED}: {lost}") if lost else future.result()
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


def _local_cluster(distributed: Any, workers: int) -> Any:
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR
    )


EXECUTORS: Final[dict[str, Executor]] = {"processes": processes, "dask": dask, "serial": serial}
"""Executors by name."""


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(tasks: Sequence[Task], workers: int) -> Iterator[tuple[Task, Outcome | None]]:
    """Yield outcomes of a pool of processes; None for each task that was in hand when the pool broke, which ends it."""
    waiting = iter(tasks)
    in_hand: dict[Future[Outcome], Task] = {}
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        with _one_thread_each():
            is_whole = True
            while is_whole:
                # Two for each worker: none is ever idle, and few are suspects when one dies.
                is_whole = _hand_in(pool, islice(waiting, 2 * workers - len(in_hand)), in_hand)
                if not in_hand:
                    return
                for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                    lost = future.exception()
                    if isinstance(lost, BrokenProcessPool):
                        is_whole = False
                        continue
                    task = in_hand.pop(future)
                    yield task, failed(task, type(lost).__name__, str(lost)) if lost else future.result()
            _log.warning("%s; %d runs are tried again, each alone", _DIED, len(in_hand))
            for task in in_hand.values():
                yield task, None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _hand_in(pool: ProcessPoolExecutor, tasks: Iterable[Task], in_hand: dict[Future[Outcome], Task]) -> bool:
    """Hand tasks to a pool and return whether it takes them; one that it did not take stays undone."""
    try:
        for task in tasks:
            in_hand[pool.submit(reanalyse, task)] = task
    except BrokenProcessPool:
        return False
    return True


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let new processes compute in one thread each, unless the environment says otherwise: there is one a core."""
    unset = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)
