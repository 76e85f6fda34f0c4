"""The plan of a cross-domain matrix: every training and every test, before any of them runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from urbancross_mm.experiments.methods import Template, fill, parse_options
from urbancross_mm.experiments.testing_data import check_same_test_set, replace_test_set
from urbancross_mm.inference.checkpoints import resolve_checkpoint
from urbancross_mm.inference.config import load_config

IN_TARGET, SOURCE_ONLY = 'in-target', 'source-only'
_RESERVED = (IN_TARGET, SOURCE_ONLY, 'source')
_DOMAIN = re.compile(r'[A-Za-z0-9][\w.-]*')
_SELECT = re.compile(r'[A-Za-z][\w/.-]*')


@dataclass(frozen=True)
class MatrixSpec:
    """What a user asks for.

    Args:
        domains (tuple[str, ...]): At least two.
        source (Template): Trains and tests a model on ``{source}``.
        methods (Mapping[str, Template]): Adapt it from ``{source}`` to ``{target}``.
            Defaults to {}.
        seeds (tuple[int, ...]): Defaults to (0,).
        sample (bool): Lay the sample overlay over every template. Defaults to False.
        source_checkpoint (str, optional): Template of the source models' files or work
            directories, which then are not trained. Defaults to None.
        select (str): Which adapted checkpoint is tested: ``'last'`` looks at no pair of the
            target; ``'best'`` is the best mR on its validation pairs; anything else is the metric
            key, or its beginning, of a ``best_<key>*.pth``. Defaults to 'last'.

    Raises:
        ValueError: If domains, seeds, names or templates make no matrix.
    """

    domains: tuple[str, ...]
    source: Template
    methods: Mapping[str, Template] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    sample: bool = False
    source_checkpoint: str | None = None
    select: str = 'last'

    def __post_init__(self) -> None:
        """Check what can be checked without reading a config."""
        bad = [name for name in self.domains if not _DOMAIN.fullmatch(name)]
        if bad or len(self.domains) < 2 or len(set(self.domains)) < len(self.domains):
            raise ValueError(
                'domains must be at least two different names of letters, digits '
                f'and . _ -, got {", ".join(self.domains)}'
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f'seeds must be different numbers, at least one, got {self.seeds}')
        if not _SELECT.fullmatch(self.select):
            raise ValueError(f"select must be 'last', 'best' or a metric key, got {self.select!r}")
        for name, template in self.methods.items():
            if name in _RESERVED:
                raise ValueError(f'{name!r} is a name of the report; call the method otherwise')
            for part in ('{source}', '{target}'):
                if not any(part in text for text in (template.template, *template.options)):
                    raise ValueError(
                        f'method {name!r} needs {part} in the name of its config or in an option, '
                        f'got {template.template!r}'
                    )

    @property
    def directions(self) -> list[tuple[str, str]]:
        """list[tuple[str, str]]: Every source with every other target."""
        return [(a, b) for a in self.domains for b in self.domains if a != b]


@dataclass(frozen=True)
class Job:
    """One folder of the matrix: a training and its test, or a test alone.

    Args:
        method (str): ``in-target``, ``source-only``, or the name of a method.
        source (str): Domain of the source model.
        target (str): Domain of the test.
        seed (int): Of the training.
        config_path (str): Path of the config.
        config (Mapping): All of it, options merged; work directory and source checkpoint
            come later.
        trains (bool): Whether a model is trained; else ``start`` is tested.
        start (str, optional): The source model: a job's name, a file or a work directory.
        needs (str, optional): Name of the job that makes ``start``.
        start_id (str, optional): Tells two ``start`` of one name apart.
    """

    method: str
    source: str
    target: str
    seed: int
    config_path: str
    config: Mapping[str, Any]
    trains: bool = True
    start: str | None = None
    needs: str | None = None
    start_id: str | None = None

    @property
    def adapts(self) -> bool:
        """bool: Whether a method made the model that is tested."""
        return self.method not in (IN_TARGET, SOURCE_ONLY)

    @property
    def name(self) -> str:
        """str: Of the job and of its folder."""
        if self.method == IN_TARGET:
            return f'source_{self.source}_seed{self.seed}'
        return f'{self.method}_{self.source}2{self.target}_seed{self.seed}'

    @cached_property
    def settings(self) -> dict[str, Any]:
        """dict: Everything that decides the result, as plain JSON."""
        kept = dict(config=self.config, start=self.start_id, trains=self.trains)
        return json.loads(json.dumps(kept, default=str, sort_keys=True))

    @cached_property
    def fingerprint(self) -> str:
        """str: Hash of the settings."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


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
        sources = {domain: self._source(domain, seed) for domain in self.spec.domains}
        yield from sources.values()
        for source, target in self.spec.directions:
            yield self._transfer(sources[source], sources[target])
        for method, template in self.spec.methods.items():
            for source, target in self.spec.directions:
                yield self._adapt(method, template, sources[source], sources[target])

    def _source(self, domain: str, seed: int) -> Job:
        path, config = self._config(self.spec.source, seed, source=domain)
        given = self.spec.source_checkpoint
        if given is None:
            return Job(IN_TARGET, domain, domain, seed, path, config)
        start = fill(given, source=domain, seed=seed)
        return Job(
            IN_TARGET,
            domain,
            domain,
            seed,
            path,
            config,
            trains=False,
            start=start,
            start_id=self._identify(resolve_checkpoint(start)),
        )

    def _transfer(self, source: Job, target: Job) -> Job:
        config = replace_test_set(source.config, target.config)
        return Job(
            SOURCE_ONLY,
            source.source,
            target.target,
            source.seed,
            source.config_path,
            config,
            trains=False,
            **_start_of(source),
        )

    def _adapt(self, method: str, template: Template, source: Job, target: Job) -> Job:
        names = (source.source, target.target)
        path, config = self._config(template, source.seed, source=names[0], target=names[1])
        check_same_test_set(path, config, target.config_path, target.config)
        return Job(method, *names, source.seed, path, config, **_start_of(source))

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
