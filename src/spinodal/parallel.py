"""Workers that compute ahead: the same functions on the same problem, in other processes; what they made is only read."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar
from warnings import warn

import torch
from threadpoolctl import threadpool_limits

from spinodal.arguments import whole_number
from spinodal.errors import SpinodalError, told
from spinodal.version import __version__

P_co = TypeVar("P_co", covariant=True)
P = TypeVar("P")
J = TypeVar("J")
R = TypeVar("R")

ALONE = "leave executor out, or use workers=1"
MOST = 64  # jobs under way at once, as their tensors may be large
VERSIONS = (f"spinodal {__version__}", f"torch {torch.__version__}")  # others may find other numbers
_HERE = threading.local()  # the problem that this thread of a worker has opened last


class Executor(Protocol):
    """What runs functions elsewhere: pools of `concurrent.futures`, or `dask.distributed.Client.get_executor()`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
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


@dataclass(frozen=True)
class Undone:
    """What there is in place of a result that no worker could make; its `cause` is one line."""

    cause: str


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
            self._token, self._threads = (*VERSIONS, workplace.token), workplace.threads
            self._sent = self._packed(workplace)
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
        try:
            for place, made in self.outcomes(function, jobs):
                if not isinstance(made, Undone):
                    yield place, made
        except BrokenExecutor as cause:
            self._lose(cause)

    def outcomes(
        self, function: Callable[[P, J], R], jobs: Sequence[J], *, most: int = MOST
    ) -> Iterator[tuple[int, R | Undone]]:
        """Yield the numbers of jobs with what workers made of them, or why they did not, as they come.

        Parameters
        ----------
        function, jobs
            As of `results`.
        most : int
            Jobs that are under way at once.

        Raises
        ------
        BrokenExecutor
            When a worker was killed; what was not yielded is not done.
        """
        pending: dict[Any, int] = {}
        waiting = enumerate(jobs)
        try:
            if self.executor is not None and jobs:
                self._try(self.executor)
            while self.executor is not None:
                for place, job in islice(waiting, most - len(pending)):
                    pending[self._submitted(self.executor, function, job)] = place
                if not pending:
                    return
                future = _next_done(pending)
                yield pending.pop(future), self._result(future)
        finally:
            for future in pending:
                future.cancel()

    def _submitted(self, executor: Executor, function: Callable[[P, J], R], job: J) -> Any:
        sent = pickle.dumps(job) if self._packs else job
        call = _Call((self._token, self._threads, self._sent, function, sent))
        with _held_interrupts():  # a pool begins its processes here, which have the signals of this thread
            if type(executor).__module__.startswith("distributed"):  # a worker that cannot read a call would be silent
                return executor.submit(pickle.loads, pickle.dumps(call), pure=False)
            return executor.submit(_done, *call)

    def _packed(self, workplace: Workplace[P]) -> object:
        """Return a workplace as it travels, or refuse one that cannot be sent to another process."""
        try:
            return pickle.dumps(workplace) if self._packs else workplace
        except Exception as cause:
            if isinstance(self.executor, ProcessPoolExecutor):
                raise _unsendable(cause) from cause
            self._packs = False  # others may know how
            return workplace

    def _result(self, future: Any) -> Any:
        """Return what a worker made, or why it made nothing."""
        try:
            done, sent = future.result()
        except BrokenExecutor:
            raise
        except futures.CancelledError:
            return Undone("it was cancelled: who shared out the work is gone")
        except Exception as cause:  # noqa: BLE001 - of whatever kind, from wherever: it is told
            return Undone(told(cause))
        return _unpacked(sent) if done else Undone(sent)

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
            done, why = self._submitted(executor, _nothing, None).result()
        except BrokenExecutor as cause:
            raise SpinodalError(
                got=f"workers cannot start ({type(cause).__name__})",
                allowed='a program whose work begins under `if __name__ == "__main__":`, and functions of files, are allowed',
                do=f'put the call under `if __name__ == "__main__":`; or {ALONE}',
            ) from cause
        except Exception as cause:
            raise SpinodalError(
                got=f"a worker cannot begin ({told(cause)})",
                allowed=f"workers that have {' and '.join(VERSIONS)} are needed",
                do=f"install them where the workers run, and see that they are up; or {ALONE}",
            ) from cause
        if not done:
            raise SpinodalError(
                got=f"a worker cannot open the task ({why})",
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
    if whole_number("workers", workers, least=1, do="try 2") == 1:
        yield None
        return
    with process_pool(workers) as pool:
        yield pool


@contextmanager
def process_pool(workers: int) -> Iterator[Executor]:
    """Lend a pool of so many processes, as `worker_pool` says of them; one is a process of its own, too."""
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


def shared_out(
    function: Callable[[P, J], R],
    jobs: Sequence[J],
    workplace: Workplace[P],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    tell: Callable[[str], None] = warn,
) -> Generator[tuple[int, R | Undone], None, None]:
    """Yield the numbers of jobs with their results as they come, each job done whole by one worker, or here by one alone.

    A pool of this process that lost a worker is begun anew with what is left: at first as it was and, where nothing is done
    between two losses, with one process, so that it is known which job kills it; that job is left undone.

    Parameters
    ----------
    function : callable ``(problem, job) -> result``
        Of a module, as it is sent by its name.
    jobs : sequence
    workplace : Workplace
    workers : int
        Processes of this machine; 1 is this process itself.
    executor : Executor, optional
        In their place.
    tell : callable, optional
        Told of a worker that was lost. Default: warns.
    """
    whole_number("workers", workers, least=1, do="try 2")
    if executor is None and workers == 1:
        problem = workplace.open()
        yield from ((place, function(problem, job)) for place, job in enumerate(jobs))
        return
    left, losses = dict(enumerate(jobs)), 0
    while left:
        before, at_once = len(left), workers if losses < 2 else 1
        try:
            yield from _shared_once(function, left, workplace, at_once, executor)
        except BrokenExecutor as cause:
            lost = Undone(f"a worker ended before its work was done ({type(cause).__name__})")
            losses = 1 if len(left) < before else losses + 1  # since a job was done
            known = list(left) if executor is not None else list(left)[:1] if at_once == 1 else []
            for place in known:
                del left[place]
                losses = 0
                yield place, lost
            if left:
                tell(f"{lost.cause}; what is left is begun anew")


def _shared_once(
    function: Callable[[P, J], R], left: dict[int, J], workplace: Workplace[P], workers: int, executor: Executor | None
) -> Iterator[tuple[int, R | Undone]]:
    """Yield results of what is left, and take it out, until all is done or a worker is lost."""
    places = list(left)
    with process_pool(min(workers, len(left))) if executor is None else nullcontext(executor) as pool:
        for number, made in Crew(pool, workplace).outcomes(function, list(left.values()), most=len(left)):
            del left[places[number]]
            yield places[number], made


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


class _Call(tuple[Any, ...]):
    """The arguments of a job on its way, which is done by being unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _done, tuple(self)


def _done(
    token: tuple[str, ...], threads: int, workplace: Any, function: Callable[[Any, Any], Any], job: Any
) -> tuple[bool, Any]:
    """Do a job, in a worker; return its result, packed as the job came, or why there is none."""
    try:
        result = function(_opened(token, threads, workplace), _unpacked(job))
        return True, pickle.dumps(result) if isinstance(job, bytes) else result
    except Exception as cause:  # noqa: BLE001 - not every exception can be sent
        return False, " ".join(f"{type(cause).__name__}: {cause}".split())


def _opened(token: tuple[str, ...], threads: int, workplace: Any) -> Any:
    """Return the problem of a workplace, opened by this thread once."""
    if token[:-1] != VERSIONS:
        raise SpinodalError(
            got=f"{' and '.join(VERSIONS)} at a worker, {' and '.join(token[:-1])} where the work comes from",
            allowed="the same versions are needed: others may find other numbers",
            do="install the same ones",
        )
    if getattr(_HERE, "token", None) != token:
        if torch.get_num_threads() != threads:
            use_threads(threads)
        _HERE.problem, _HERE.token = _unpacked(workplace).open(), token
    return _HERE.problem


def _unpacked(sent: Any) -> Any:
    return pickle.loads(sent) if isinstance(sent, bytes) else sent


def _nothing(_problem: object, _job: object) -> bool:
    return True


def _next_done(pending: Iterable[Any]) -> Any:
    """Return one that is done, where they tell, those of lost workers last; else the first one."""
    known = list(pending)
    if not all(isinstance(future, Future) for future in known):
        return known[0]
    done = wait(known, return_when=FIRST_COMPLETED).done
    return min((future for future in known if future in done), key=_is_lost)


def _is_lost(future: Future[Any]) -> bool:
    return not future.cancelled() and isinstance(future.exception(), BrokenExecutor)


def _unsendable(cause: Exception) -> SpinodalError:
    return SpinodalError(
        got=f"a task that cannot be sent to other processes ({' '.join(str(cause).split())})",
        allowed="tasks by name, and tasks of functions and classes that lie in a file, are allowed",
        do=f"name the task as path/to/file.py:function, move lambdas and inner functions to a file; or {ALONE}",
    )
