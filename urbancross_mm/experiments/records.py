"""What a job leaves in its folder, and whether that is what is asked for now."""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from urbancross_mm.experiments.spec import Job
from urbancross_mm.utils.files import atomic_write
from urbancross_mm.version import __version__

RECORD, ERROR, CONSOLE = 'job.json', 'error.txt', 'console.log'


class JobFolder:
    """``OUT/<job name>/``: ``job.json``, ``console.log``, checkpoints, ``metrics.json``.

    ``job.json`` is written before the training and ``metrics.json`` last, so a folder with metrics
    is a finished job. ``error.txt`` says why a job failed.

    Args:
        out (str | Path): Folder of the matrix.
        job (Job): The job.
        select (str): Which adapted checkpoint is tested. Defaults to 'last'.
    """

    def __init__(self, out: str | Path, job: Job, select: str = 'last') -> None:
        self.job = job
        self.path = Path(out) / job.name
        # A source model is always its best by validation on its own domain.
        self.select = select if job.adapts else 'source'
        plain = self.select in ('last', 'source')
        self.metrics_file = self.path / f'metrics{"" if plain else "_" + slug(select)}.json'

    @property
    def done(self) -> bool:
        """bool: Whether there is nothing left to do."""
        return self.metrics_file.is_file()

    @property
    def outdated(self) -> bool:
        """bool: Whether the folder is of a job of the same name with other settings."""
        return self.record().get('hash', self.job.fingerprint) != self.job.fingerprint

    @property
    def error(self) -> str | None:
        """str | None: Why the last attempt failed."""
        file = self.path / ERROR
        return file.read_text(encoding='utf-8').strip() if file.is_file() else None

    def record(self) -> dict[str, Any]:
        """Read ``job.json``.

        Returns:
            dict: Empty if there is none.

        Raises:
            ValueError: If it is not JSON.
        """
        file = self.path / RECORD
        if not file.is_file():
            return {}
        try:
            return json.loads(file.read_text(encoding='utf-8'))
        except json.JSONDecodeError as error:
            raise ValueError(f'{file} is damaged ({error}): remove the folder') from error

    def metrics(self) -> dict[str, float] | None:
        """Read the metrics of the test.

        Returns:
            dict[str, float] | None: None if the job is not finished.
        """
        return json.loads(self.metrics_file.read_text()) if self.done else None

    def check(self) -> None:
        """Refuse to take over what was made with other settings.

        Raises:
            ValueError: If the folder's job had other settings, or it is no job's folder.
        """
        record = self.record()
        if not record:
            others = [p.name for p in self.path.glob('*') if not p.name.startswith('.')]
            if others:
                raise ValueError(
                    f'{self.path} holds {others[0]} and no {RECORD}: it is not the '
                    'folder of a job, choose another --out'
                )
        elif self.outdated:
            changes = changed_settings(record['settings'], self.job.settings)
            raise ValueError(
                f'{self.path} was made with other settings ({"; ".join(changes[:3])}'
                f'{f" and {len(changes) - 3} more" if len(changes) > 3 else ""}): '
                'remove the folder, choose another --out, or rerun with --force'
            )

    def clear(self) -> None:
        """Remove the folder of a job, to do it again from the beginning."""
        shutil.rmtree(self.path)

    def begin(self) -> None:
        """Record the settings before anything is made, and forget an earlier failure."""
        import torch

        if not self.record():
            job = self.job
            atomic_write(
                self.path / RECORD,
                json.dumps(
                    dict(
                        name=job.name,
                        method=job.method,
                        source=job.source,
                        target=job.target,
                        seed=job.seed,
                        config=job.config_path,
                        hash=job.fingerprint,
                        versions=dict(
                            urbancross_mm=__version__,
                            torch=str(torch.__version__),
                            python=platform.python_version(),
                        ),
                        tests={},
                        settings=job.settings,
                    ),
                    indent=1,
                )
                + '\n',
            )
        (self.path / ERROR).unlink(missing_ok=True)

    def update(self, **entries: Any) -> None:
        """Add entries to ``job.json``.

        Args:
            **entries: Plain JSON.
        """
        record = {**self.record(), **entries}
        atomic_write(self.path / RECORD, json.dumps(record, indent=1) + '\n')

    def finish(self, metrics: Mapping[str, float], checkpoint: str, seconds: float) -> None:
        """Record the test; the metrics come last.

        Args:
            metrics (Mapping): Of the test split.
            checkpoint (str): The file that was tested.
            seconds (float): What the test took.
        """
        tests = {
            **self.record()['tests'],
            self.select: dict(checkpoint=str(checkpoint), seconds=round(seconds, 2)),
        }
        self.update(tests=tests)
        numbers = {
            name: value if isinstance(value, int) else float(value)
            for name, value in metrics.items()
        }
        atomic_write(self.metrics_file, json.dumps(numbers, indent=2) + '\n')

    def fail(self, reason: str) -> None:
        """Record why the job failed.

        Args:
            reason (str): One line.
        """
        self.begin()
        atomic_write(self.path / ERROR, reason + '\n')


def slug(key: str) -> str:
    """A metric key as mmengine writes it in a file name.

    Args:
        key (str): For example ``retrieval/mR``.

    Returns:
        str: For example ``retrieval_mR``.
    """
    return re.sub(r'[^\w.-]', '_', key)


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say what differs between two settings.

    Args:
        old (Mapping): Nested, plain JSON.
        new (Mapping): The same.

    Returns:
        list[str]: One phrase a leaf.
    """
    before, after = dict(_leaves(old)), dict(_leaves(new))
    nothing = 'nothing'
    return [
        f'{key} was {before.get(key, nothing)!r:.60} and is {after.get(key, nothing)!r:.60}'
        for key in sorted({*before, *after})
        if before.get(key, nothing) != after.get(key, nothing)
    ]


def _leaves(node: Any, path: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    pairs = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else None
    )
    if not pairs:
        yield '.'.join(path), node
        return
    for key, child in pairs:
        yield from _leaves(child, (*path, str(key)))
