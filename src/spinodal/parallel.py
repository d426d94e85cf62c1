"""Workers that compute ahead: the same functions on the same problem, in other processes; what they made is only read."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar
from warnings import warn

import torch
from threadpoolctl import threadpool_limits

from spinodal.arguments import whole_number
from spinodal.errors import SpinodalError

P_co = TypeVar("P_co", covariant=True)
P = TypeVar("P")
J = TypeVar("J")
R = TypeVar("R")

ALONE = "leave executor out, or use workers=1"
MOST = 64  # jobs under way at once, as their tensors may be large
_HERE = threading.local()  # the problem that this thread of a worker has opened last


class Executor(Protocol):
    """What runs functions elsewhere: pools of `concurrent.futures`, or `dask.distributed.Client.get_executor()`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Begin a call and return its future."""
        ...


class Workplace(Protocol[P_co]):
    """What a worker needs to open the same problem; it travels with every job, and is opened once."""

    @property
    def token(self) -> str:
        """Return what tells it from others."""
        ...

    @property
    def threads(self) -> int:
        """Return how many threads compute in every worker: as many as here, since others round otherwise."""
        ...

    def open(self) -> P_co:
        """Return the problem, prepared."""
        ...


class Crew(Generic[P]):
    """Workers with one problem to work on, or none.

    Only what does not depend on one another is given to them, and only what is then asked for again, one after the other, by
    whoever gave it: what they did not do, or failed at, is done there. So one and many workers give the same result.

    Parameters
    ----------
    executor : Executor or None
    workplace : Workplace, optional

    Raises
    ------
    SpinodalError
        If the problem cannot be sent to another process; with the first jobs, if no worker can open it.
    """

    def __init__(self, executor: Executor | None = None, workplace: Workplace[P] | None = None) -> None:
        self.executor = executor
        self._packs = not isinstance(executor, ThreadPoolExecutor)  # by pickle alone: torch would send shared memory
        if executor is not None and workplace is not None:
            self._token, self._threads, self._sent = workplace.token, workplace.threads, self._packed(workplace)
        self._is_tried = False

    @property
    def is_alone(self) -> bool:
        """Tell whether there is nobody to help."""
        return self.executor is None

    def results(self, function: Callable[[P, J], R], jobs: Sequence[J]) -> Iterator[tuple[int, R]]:
        """Yield the numbers of jobs with what workers made of them, as they come; those that failed are left out.

        Parameters
        ----------
        function : callable ``(problem, job) -> result``
            Of a module, as it is sent by its name.
        jobs : sequence
        """
        pending: dict[Any, int] = {}
        waiting = enumerate(jobs)
        try:
            if self.executor is not None and jobs:
                self._try(self.executor)
            while self.executor is not None:
                for place, job in islice(waiting, MOST - len(pending)):
                    pending[self._submitted(self.executor, function, job)] = place
                if not pending:
                    return
                future = _next_done(pending)
                place, result = pending.pop(future), self._result(future)
                if result is not None:
                    yield place, result[0]
        except BrokenExecutor as cause:
            self._lose(cause)
        finally:
            for future in pending:
                future.cancel()

    def _submitted(self, executor: Executor, function: Callable[[P, J], R], job: J) -> Any:
        sent = pickle.dumps(job) if self._packs else job
        with _held_interrupts():  # a pool begins its processes here, which have the signals of this thread
            return executor.submit(_done, self._token, self._threads, self._sent, function, sent)

    def _packed(self, workplace: Workplace[P]) -> object:
        """Return a workplace as it travels, or refuse one that cannot be sent to another process."""
        try:
            return pickle.dumps(workplace) if self._packs else workplace
        except Exception as cause:
            if isinstance(self.executor, ProcessPoolExecutor):
                raise _unsendable(cause) from cause
            self._packs = False  # others may know how
            return workplace

    def _result(self, future: Any) -> tuple[Any] | None:
        """Return what a worker made; None where it failed, as whoever asks again will see."""
        try:
            done, sent = future.result()
        except BrokenExecutor:
            raise
        except Exception:  # noqa: BLE001 - it is computed again where it is asked for, and fails there with its cause
            return None
        return (_unpacked(sent),) if done else None

    def _lose(self, cause: BaseException) -> None:
        """Go on alone."""
        self.executor = None
        told = f"a worker ended before its work was done ({type(cause).__name__}); the rest is computed by this process alone"
        warn(told, RuntimeWarning, stacklevel=3)

    def _try(self, executor: Executor) -> None:
        """Let one worker open the problem, once, before anything depends on it."""
        if self._is_tried:
            return
        try:
            done, told = self._submitted(executor, _nothing, None).result()
        except BrokenExecutor as cause:
            raise SpinodalError(
                got=f"workers cannot start ({type(cause).__name__})",
                allowed='a program whose work begins under `if __name__ == "__main__":`, and functions of files, are allowed',
                do=f'put the call under `if __name__ == "__main__":`; or {ALONE}',
            ) from cause
        if not done:
            raise SpinodalError(
                got=f"a worker cannot open the task ({told})",
                allowed="a task whose functions lie in files, and that is the same wherever it is made, is allowed",
                do=f"see that its files and its data are there for every process; or {ALONE}",
            )
        self._is_tried = True


@contextmanager
def worker_pool(workers: int) -> Iterator[Executor | None]:
    """Lend a pool of so many processes; None for one worker, which is this process itself.

    The processes are spawned, end with this one however it ends, leave Ctrl-C to it, and take as many threads as it has.

    Examples
    --------
    >>> with worker_pool(1) as executor:
    ...     print(executor)
    None
    """
    whole_number("workers", workers, least=1, do="try 2")
    if workers == 1:
        yield None
        return
    context = get_context("spawn")
    life, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(life,))
    try:
        yield pool
        pool.shutdown()
    finally:
        held.close()  # whoever is still at work ends
        pool.shutdown(cancel_futures=True)
        life.close()


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and for good from the processes that are begun meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def use_threads(threads: int) -> None:
    """Fix the threads of everything that computes; more than there are processors only wait for each other, or crash it."""
    usable = min(threads, os.cpu_count() or 1)
    torch.set_num_threads(usable)
    threadpool_limits(usable)


def _begin(life: Connection) -> None:
    """Begin a worker: it ends when the other end of `life` is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        try:
            life.recv()
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _done(token: str, threads: int, workplace: Any, function: Callable[[Any, Any], Any], job: Any) -> tuple[bool, Any]:
    """Do a job, in a worker; return its result, packed as the job came, or why there is none."""
    try:
        result = function(_opened(token, threads, workplace), _unpacked(job))
        return True, pickle.dumps(result) if isinstance(job, bytes) else result
    except Exception as cause:  # noqa: BLE001 - not every exception can be sent
        return False, " ".join(f"{type(cause).__name__}: {cause}".split())


def _opened(token: str, threads: int, workplace: Any) -> Any:
    """Return the problem of a workplace, opened by this thread once."""
    if getattr(_HERE, "token", None) != token:
        if torch.get_num_threads() != threads:
            use_threads(threads)
        _HERE.problem, _HERE.token = _unpacked(workplace).open(), token
    return _HERE.problem


def _unpacked(sent: Any) -> Any:
    return pickle.loads(sent) if isinstance(sent, bytes) else sent


def _nothing(_problem: object, _job: object) -> bool:
    return True


def _next_done(futures: Iterable[Any]) -> Any:
    """Return the first future that is done, where they tell; else the first one."""
    return next(as_completed(futures) if all(isinstance(future, Future) for future in futures) else iter(futures))


def _unsendable(cause: Exception) -> SpinodalError:
    return SpinodalError(
        got=f"a task that cannot be sent to other processes ({' '.join(str(cause).split())})",
        allowed="tasks by name, and tasks of functions and classes that lie in a file, are allowed",
        do=f"name the task as path/to/file.py:function, move lambdas and inner functions to a file; or {ALONE}",
    )
