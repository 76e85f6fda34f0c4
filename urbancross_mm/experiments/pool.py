"""Running the jobs of a matrix in a few long-lived processes."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from tqdm import tqdm

from urbancross_mm.experiments.job import run_job
from urbancross_mm.experiments.records import JobFolder
from urbancross_mm.experiments.spec import Job
from urbancross_mm.utils.files import file_lock

JobFunction = Callable[[Job, str, str], 'str | None']


def spawned_worker(threads: int | None = None) -> Executor:
    """A process of its own, which imports everything once and then takes one job after the other.

    It is spawned: a forked one would inherit the threads of torch, which hang there.

    Args:
        threads (int, optional): Of torch in that process. Defaults to torch's choice.

    Returns:
        Executor: One process.
    """
    return ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), _begin_worker, (threads,))


def run_jobs(
    jobs: Sequence[Job],
    out: str | Path,
    select: str = 'last',
    workers: int = 1,
    force: bool = False,
    function: JobFunction = run_job,
    make_worker: Callable[[int | None], Executor] = spawned_worker,
) -> list[str]:
    """Run what is not done yet, each job after the one that it needs.

    A job that fails is recorded and the others go on; what needs it fails too. Ctrl-C ends the
    workers; a later call goes on from their last checkpoints.

    Args:
        jobs (Sequence[Job]): From :func:`plan`.
        out (str | Path): Folder of the matrix.
        select (str): Which adapted checkpoint is tested. Defaults to 'last'.
        workers (int): Jobs at a time. Defaults to 1.
        force (bool): Do again what was made with other settings. Defaults to False.
        function (Callable): Does one job, records it in its folder and returns why it failed, or
            None. Defaults to :func:`run_job`.
        make_worker (Callable): Makes an executor that runs one job at a time.
            Defaults to :func:`spawned_worker`.

    Returns:
        list[str]: Names of the jobs that failed.

    Raises:
        ValueError: If ``workers`` is below 1, a folder was made with other settings, or another
            process works in ``out``.
    """
    if workers < 1:
        raise ValueError(f'jobs at a time must be at least 1, got {workers}')
    with file_lock(out):
        for job in jobs:
            folder = JobFolder(out, job, select)
            if force and folder.outdated:
                folder.clear()
            folder.check()
        # mmengine's formatter writes a cache at its first import; two workers would do it at once.
        importlib.import_module('yapf.yapflib.yapf_api')
        crew = _Crew(jobs, str(out), select, function, make_worker, workers)
        with _threads_of_workers(workers):
            return crew.run()


class _Crew:
    """The state of one call: what waits, what runs on which worker, what is done or failed."""

    def __init__(
        self,
        jobs: Sequence[Job],
        out: str,
        select: str,
        function: JobFunction,
        make_worker: Callable[[int | None], Executor],
        workers: int,
    ) -> None:
        self.out, self.select, self.function = out, select, function
        self.new_worker = lambda: make_worker(1 if workers > 1 else None)
        self.finished = {job.name for job in jobs if JobFolder(out, job, select).done}
        self.waiting = [job for job in jobs if job.name not in self.finished]
        self.failed: list[str] = []
        self.idle = [self.new_worker() for _ in range(min(workers, len(self.waiting)))]
        self.running: dict[Future, tuple[Job, Executor]] = {}
        self.children = set(multiprocessing.active_children())
        self.bar = tqdm(
            total=len(jobs),
            initial=len(self.finished),
            desc='matrix',
            unit='job',
            smoothing=0,
            miniters=1,
            mininterval=0.1 if sys.stderr.isatty() else 10,
        )

    def run(self) -> list[str]:
        """Run until nothing is left."""
        try:
            while self.waiting or self.running:
                self._hand_out()
                done, _ = wait(self.running, timeout=5, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take_back(future)
        except BaseException:
            self._stop()
            raise
        finally:
            self._show()
            self.bar.close()
        for worker in self.idle:
            worker.shutdown()
        return self.failed

    def _hand_out(self) -> None:
        """Give the idle workers the next jobs that can start; fail those that never will."""
        for job in list(self.waiting):
            if job.needs in self.failed:
                self.waiting.remove(job)
                self._fail(job, f'it starts from {job.needs}, which failed', record=True)
            elif self.idle and (job.needs is None or job.needs in self.finished):
                self.waiting.remove(job)
                worker = self.idle.pop()
                with _new_processes_ignore_ctrl_c():
                    future = worker.submit(self.function, job, self.out, self.select)
                self.running[future] = (job, worker)
        self._show()

    def _take_back(self, future: Future) -> None:
        job, worker = self.running.pop(future)
        try:
            error, unrecorded = future.result(), False
        except BrokenProcessPool:
            error, unrecorded = 'its process was killed; is the memory full?', True
            worker = self.new_worker()
        except Exception as problem:
            error, unrecorded = f'{type(problem).__name__}: {problem}', True
        self.idle.append(worker)
        if error is None:
            self.finished.add(job.name)
        else:
            self._fail(job, error, unrecorded)

    def _fail(self, job: Job, error: str, record: bool) -> None:
        if record:
            JobFolder(self.out, job, self.select).fail(error)
        self.failed.append(job.name)
        self.bar.write(f'failed: {job.name}: {error}', file=sys.stderr)

    def _show(self) -> None:
        names = ', '.join(job.name for job, _ in self.running.values())
        self.bar.set_postfix_str(
            f'{len(self.failed)} failed; running {names or "nothing"}', refresh=False
        )
        self.bar.update(len(self.finished) + len(self.failed) - self.bar.n)
        if sys.stderr.isatty():
            self.bar.refresh()

    def _stop(self) -> None:
        """End the workers at once: their checkpoints are whole at any moment."""
        for worker in [*self.idle, *(worker for _, worker in self.running.values())]:
            worker.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - self.children:
            process.terminate()


@contextlib.contextmanager
def _threads_of_workers(workers: int) -> Iterator[None]:
    """Several workers get one thread each; the variable must stand before they import torch."""
    before = os.environ.get('OMP_NUM_THREADS')
    if workers > 1:
        os.environ['OMP_NUM_THREADS'] = '1'
    try:
        yield
    finally:
        if workers > 1 and before is None:
            del os.environ['OMP_NUM_THREADS']
        elif before is not None:
            os.environ['OMP_NUM_THREADS'] = before


@contextlib.contextmanager
def _new_processes_ignore_ctrl_c() -> Iterator[None]:
    """A process inherits that it ignores Ctrl-C; until it imports anything it could not say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin_worker(threads: int | None) -> None:
    import torch

    # Ctrl-C reaches the whole group; the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads is not None:
        torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """A worker whose parent was killed would train on, and then wait for ever.

    So would its own data loading processes, which hang in a full pipe.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(1)
