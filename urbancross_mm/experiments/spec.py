"""What a user asks of a cross-domain matrix, and the jobs that come of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from urbancross_mm.experiments.methods import Template

IN_TARGET, SOURCE_ONLY, CONTROL = 'in-target', 'source-only', 'control'
_RESERVED = (IN_TARGET, SOURCE_ONLY, 'source')
_DOMAIN = re.compile(r'[A-Za-z0-9][\w.-]*')
_SELECT = re.compile(r'[A-Za-z][\w/.-]*')

Direction = tuple[str, str]


@dataclass(frozen=True)
class MatrixSpec:
    """What a user asks for.

    Args:
        domains (tuple[str, ...]): At least two: what stands for ``{source}`` and ``{target}``, a
            name or the folder of a dataset. A folder is called by its last part, as in configs.
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
        only (tuple[tuple[str, str], ...]): Source and target of the directions to run. A domain
            that is no source of any needs no source config. Defaults to (): all directions.
        in_target (bool): Train a model on every domain, also if no direction starts there.
            Defaults to False.
        control (bool): Run beside each method the same steps without adaptation.
            Defaults to True.

    Raises:
        ValueError: If domains, seeds, names, directions or templates make no matrix.
    """

    domains: tuple[str, ...]
    source: Template
    methods: Mapping[str, Template] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    sample: bool = False
    source_checkpoint: str | None = None
    select: str = 'last'
    only: tuple[Direction, ...] = ()
    in_target: bool = False
    control: bool = True

    def __post_init__(self) -> None:
        """Check what can be checked without reading a config."""
        names = [domain_name(domain) for domain in self.domains]
        bad = [name for name in names if not _DOMAIN.fullmatch(name)]
        if bad or len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(
                'domains must be at least two different names of letters, digits '
                f'and . _ -, got {", ".join(self.domains)}'
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f'seeds must be different numbers, at least one, got {self.seeds}')
        if not _SELECT.fullmatch(self.select):
            raise ValueError(f"select must be 'last', 'best' or a metric key, got {self.select!r}")
        for source, target in self.only:
            if source == target or not {source, target} <= set(self.domains):
                raise ValueError(
                    f'a direction leads from one of {", ".join(self.domains)} to another, got '
                    f'{source} to {target}'
                )
        unused = [name for name in self.domains if self.only and name not in sum(self.only, ())]
        if unused and not self.in_target:
            raise ValueError(f'{", ".join(unused)} is in no direction: leave it out of the domains')
        for name, template in self.methods.items():
            self._check_method(name, template)

    def _check_method(self, name: str, template: Template) -> None:
        control = self.control and (name == CONTROL or name.startswith(f'{CONTROL}-'))
        if name in _RESERVED or control:
            hint = ', or give --no-control' if control else ''
            raise ValueError(f'{name!r} is a name of the report; call the method otherwise{hint}')
        for part in ('{source}', '{target}'):
            if not any(part in text for text in (template.template, *template.options)):
                raise ValueError(
                    f'method {name!r} needs {part} in the name of its config or in an option, '
                    f'got {template.template!r}'
                )

    @property
    def directions(self) -> list[Direction]:
        """list[tuple[str, str]]: Those named, else every source with every other target."""
        every = [(a, b) for a in self.domains for b in self.domains if a != b]
        return [pair for pair in every if not self.only or pair in self.only]

    @property
    def sources(self) -> list[str]:
        """list[str]: The domains that a model is trained on."""
        starts = {source for source, _ in self.directions}
        return [domain for domain in self.domains if self.in_target or domain in starts]


@dataclass(frozen=True)
class Job:
    """One folder of the matrix: a training and its test, or a test alone.

    Args:
        method (str): ``in-target``, ``source-only``, or the name of a method or control.
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
        control (str, optional): Name of the method's control.
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
    control: str | None = None

    @property
    def adapts(self) -> bool:
        """bool: Whether a method, or a control, made the model that is tested."""
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


def domain_name(domain: str) -> str:
    """What a domain is called in folders and reports.

    Args:
        domain (str): A name, or the folder of a dataset.

    Returns:
        str: The name, or the last part of the folder in lower case.
    """
    return os.path.basename(os.path.abspath(domain)).lower() if '/' in domain else domain


def parse_directions(words: Sequence[str], domains: Sequence[str] = ()) -> tuple[Direction, ...]:
    """Read ``SOURCE2TARGET``.

    Args:
        words (Sequence[str]): One entry per direction.
        domains (Sequence[str]): Names that they are made of. Defaults to (): any.

    Returns:
        tuple[tuple[str, str], ...]: Source and target of each.

    Raises:
        ValueError: If an entry has another form, or can be read in several ways.
    """
    return tuple(_parse_direction(word, domains) for word in dict.fromkeys(words))


def _parse_direction(word: str, domains: Sequence[str]) -> Direction:
    splits = [(word[: m.start()], word[m.end() :]) for m in re.finditer('2', word)]
    pairs = [pair for pair in splits if all(pair) and (not domains or set(pair) <= set(domains))]
    if len(pairs) != 1:
        known = f', of the domains {", ".join(domains)}' if domains else ''
        ways = f'; it can be read in {len(pairs)} ways: name them with --domains' if pairs else ''
        raise ValueError(f'a direction is SOURCE2TARGET{known}, got {word!r}{ways}')
    return pairs[0]
