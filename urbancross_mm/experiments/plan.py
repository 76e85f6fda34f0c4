"""The plan of a cross-domain matrix: every training and every test, before any of them runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from urbancross_mm.experiments.controls import Jobs, add_controls
from urbancross_mm.experiments.methods import Template, fill, parse_options
from urbancross_mm.experiments.spec import (
    IN_TARGET,
    SOURCE_ONLY,
    Direction,
    Job,
    MatrixSpec,
    domain_name,
)
from urbancross_mm.experiments.testing_data import check_same_test_set, replace_test_set
from urbancross_mm.inference.checkpoints import resolve_checkpoint
from urbancross_mm.inference.config import load_config


def plan(spec: MatrixSpec) -> list[Job]:
    """List every job, seed by seed, a source model before what starts from it.

    Args:
        spec (MatrixSpec): What is asked for.

    Returns:
        list[Job]: The jobs.

    Raises:
        FileNotFoundError: If a config or a source checkpoint does not exist.
        ValueError: If a config is wrong, a method tests on other data than the source config of
            its target, or two jobs would share a name.
    """
    planner = _Planner(spec)
    jobs = [job for seed in spec.seeds for job in planner.seed(seed)]
    names = [job.name for job in jobs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'two jobs would share the folder {twice[0]}: rename a method or a domain')
    return jobs


class _Planner:
    """Reads each config once."""

    def __init__(self, spec: MatrixSpec) -> None:
        self.spec = spec
        self._read = cache(self._load)
        self._identify = cache(_file_id)

    def seed(self, seed: int) -> Iterator[Job]:
        """All jobs of a seed."""
        spec = self.spec
        sources = {domain: self._source(domain, seed) for domain in spec.sources}
        yield from sources.values()
        methods = {
            method: {
                pair: self._adapt(method, template, sources[pair[0]], pair)
                for pair in spec.directions
            }
            for method, template in spec.methods.items()
        }
        for pair in spec.directions:
            yield self._transfer(pair, sources, methods)
        for jobs in add_controls(methods, sources) if spec.control else methods.values():
            yield from jobs.values()

    def _source(self, domain: str, seed: int) -> Job:
        path, config = self._config(self.spec.source, seed, source=domain)
        given, name = self.spec.source_checkpoint, domain_name(domain)
        if given is None:
            return Job(IN_TARGET, name, name, seed, path, config)
        start = fill(given, source=domain, seed=seed)
        return Job(
            IN_TARGET,
            name,
            name,
            seed,
            path,
            config,
            trains=False,
            start=start,
            start_id=self._identify(resolve_checkpoint(start)),
        )

    def _transfer(
        self, pair: Direction, sources: Mapping[str, Job], methods: Mapping[str, Jobs]
    ) -> Job:
        """The source model on the test set of the target, and of all methods."""
        source, target = sources[pair[0]], pair[1]
        adapted = [jobs[pair] for jobs in methods.values()]
        if target in sources:
            path, tested = sources[target].config_path, sources[target].config
        elif adapted:
            # The target may have no config of its own.
            path, tested = adapted[0].config_path, adapted[0].config
        else:
            path, tested = self._config(self.spec.source, source.seed, source=target)
        for job in adapted:
            check_same_test_set(job.config_path, job.config, path, tested)
        return Job(
            SOURCE_ONLY,
            source.source,
            domain_name(target),
            source.seed,
            source.config_path,
            replace_test_set(source.config, tested),
            trains=False,
            **_start_of(source),
        )

    def _adapt(self, method: str, template: Template, source: Job, pair: Direction) -> Job:
        path, config = self._config(template, source.seed, source=pair[0], target=pair[1])
        name, target = source.source, domain_name(pair[1])
        return Job(method, name, target, source.seed, path, config, **_start_of(source))

    def _config(self, template: Template, seed: int, **names: str) -> tuple[str, dict[str, Any]]:
        path, options = template.at(**names, seed=seed)
        config = dict(self._read(path, options))
        config['randomness'] = dict(config.get('randomness') or {}, seed=seed)
        # The tables of datasets decide nothing: another line in them is no other setting.
        for key in ('work_dir', 'domains', 'uncaptioned'):
            config.pop(key, None)
        if config['model'].get('adaptation'):
            adaptation = dict(config['model']['adaptation'])
            adaptation.pop('source_checkpoint', None)
            config['model'] = dict(config['model'], adaptation=adaptation)
        return path, config

    def _load(self, path: str, options: tuple[str, ...]) -> dict[str, Any]:
        return load_config(path, parse_options(options), self.spec.sample).to_dict()


def _start_of(source: Job) -> dict[str, Any]:
    if source.trains:
        return dict(start=source.name, needs=source.name, start_id=source.fingerprint)
    return dict(start=source.start, start_id=source.start_id)


def _file_id(path: str) -> str:
    with open(path, 'rb') as file:
        return f'sha256:{hashlib.file_digest(file, "sha256").hexdigest()}'
