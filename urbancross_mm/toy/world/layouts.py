"""The published folders: which images each set holds and what its text files say."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.datasets.rsitmd_ss import MASK_PREFIX
from urbancross_mm.toy.world.captions import CAPTIONS_PER_IMAGE
from urbancross_mm.toy.world.countries import COUNTRIES
from urbancross_mm.toy.world.generate import KINDS
from urbancross_mm.toy.world.images import UNCAPTIONED, Job, Record, image_seed
from urbancross_mm.toy.world.masks import COVER

COLUMNS = ('image_name', 'description', 'title_multi_objects', 'lon', 'lat')
NUMBERED = 0.08  # share of RSICD images whose name is a bare number
TEST, VAL = 0.2, 0.2
SCENES = ('north', 'south')  # the second one is for the test
UCM_KINDS = {
    'agricultural': 'farmland',
    'airplane': 'airport',
    'baseballdiamond': 'baseballfield',
    'beach': 'beach',
    'denseresidential': 'denseresidential',
    'forest': 'forest',
    'harbor': 'port',
    'parkinglot': 'parking',
    'river': 'river',
    'sparseresidential': 'sparseresidential',
    'storagetanks': 'storagetanks',
    'tenniscourt': 'tenniscourt',
}
# Shares of the Finnish, German and Spanish style.
MIXES = {'rsicd': (0.3, 0.4, 0.3), 'rsitmd': (0.4, 0.3, 0.3), 'ucm': (0.2, 0.5, 0.3)}


@dataclass(frozen=True)
class Plan:
    """What all sets have in common.

    Args:
        root (Path): Of the whole sample.
        seed (int): Of the whole sample.
        size (int): Image width in pixels.
    """

    root: Path
    seed: int
    size: int


def folder_of(dataset: str) -> str:
    """Folder of a set below the sample root."""
    return f'urbancross/{dataset.capitalize()}' if dataset in COUNTRIES else dataset


def country_jobs(plan: Plan, dataset: str, images: int) -> list[Job]:
    """Images of one country, under SkyScript names such as ``a198234555_FI_19.jpg``."""
    jobs = []
    for index in range(images):
        seed = image_seed(plan.seed, dataset, index)
        # Both numbers have no common factor, so no object id comes twice.
        number = 100_000_000 + (index * 104_729 + seed[1]) % 900_000_000
        year = 15 + int(np.random.default_rng((*seed, 5)).integers(0, 8))
        name = f'a{number}_{COUNTRIES[dataset].code}_{year}.jpg'
        jobs.append(
            Job(
                str(plan.root / folder_of(dataset)),
                name,
                seed,
                dataset,
                None,
                plan.size,
                'country',
                folders=True,
            )
        )
    return jobs


def write_country(plan: Plan, dataset: str, records: Sequence[Record]) -> dict[str, int]:
    """Write the CSV of descriptions and the map of one country.

    As in the release there are no list files.
    """
    root = plan.root / folder_of(dataset)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow(COLUMNS)
    writer.writerows([r.name, r.captions[0], r.title, r.lon, r.lat] for r in records)
    path = root / f'instructblip_generation_{dataset}_refine.csv'
    path.write_text(table.getvalue(), encoding='utf-8')
    features = [feature for record in records for feature in record.features]
    collection = {'type': 'FeatureCollection', 'features': features}
    (root / 'tags.geojson').write_text(
        json.dumps(collection, separators=(',', ':')), encoding='utf-8'
    )
    return {'images': len(records), 'captions': len(records), 'features': len(features)}


def precomp_jobs(plan: Plan, dataset: str, images: int) -> list[Job]:
    """Images of one precomp set, a mixture of the three styles.

    UCM has equally many images of every class: ``images`` is rounded down to a multiple, and
    few images mean fewer classes, so that no class has less than five.
    """
    classes = sorted(UCM_KINDS)[: max(1, images // 5)]
    per_class = images // len(classes)
    jobs = []
    for index in range(per_class * len(classes) if dataset == 'ucm' else images):
        seed = image_seed(plan.seed, dataset, index)
        rng = np.random.default_rng((*seed, 5))
        country = list(COUNTRIES)[int(rng.choice(3, p=MIXES[dataset]))]
        if dataset == 'ucm':
            label = classes[index // per_class]
            kind, name = UCM_KINDS[label], f'{label}/{label}{index % per_class:02d}.jpg'
        else:
            weights = COUNTRIES[country].scenes
            kind = _draw_kind(weights, rng)
            bare = dataset == 'rsicd' and rng.random() < NUMBERED
            suffix = 'jpg' if dataset == 'rsicd' else 'tif'
            name = f'{index + 1:05d}.{suffix}' if bare else f'{kind}_{index + 1}.{suffix}'
        more: dict[str, Any] = dict(audio=_audio_names(index))
        if dataset == 'rsitmd':
            more.update(mask=f'{MASK_PREFIX}{Path(name).stem}.png')
        root = str(plan.root / dataset)
        jobs.append(Job(root, name, seed, country, kind, plan.size, dataset, **more))
    return jobs


def _draw_kind(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    p = np.array([weights.get(kind, 1.0) for kind in KINDS])
    return KINDS[int(rng.choice(len(KINDS), p=p / p.sum()))]


def _audio_names(index: int) -> tuple[str, ...]:
    """Spoken captions are numbered through the whole set."""
    first = CAPTIONS_PER_IMAGE * index
    return tuple(f'{first + k}.jpg' for k in range(CAPTIONS_PER_IMAGE))


def scene_jobs(plan: Plan, dataset: str, images: int) -> list[Job]:
    """Images of two scenes with masks and without captions, in the layout of DroneDeploy."""
    root, jobs = str(plan.root / dataset), []
    for index in range(images):
        scene = SCENES[index >= images - max(1, round(TEST * images))]
        name = f'{scene}_{index + 1:04d}'
        seed, country = image_seed(plan.seed, dataset, index), list(COUNTRIES)[index % 3]
        job = Job(root, f'{name}.jpg', seed, country, None, plan.size, UNCAPTIONED)
        jobs.append(replace(job, mask=f'{name}.png'))
    return jobs


def write_scenes(plan: Plan, dataset: str, records: Sequence[Record]) -> dict[str, int]:
    """Write the legend of the masks."""
    legend = {str(value): name for value, name in enumerate(COVER)}
    (plan.root / dataset / 'legend.json').write_text(json.dumps(legend, indent=1) + '\n')
    return {'images': len(records), 'captions': 0}


def write_precomp(plan: Plan, dataset: str, records: Sequence[Record]) -> dict[str, int]:
    """Write the text files of one precomp set with the quirks of the published ones.

    ``train_filename.txt`` names each image once beside five caption lines, test and validation
    repeat it five times. Two training captions of RSITMD are empty. UCM calls its images
    ``1.tif``, ``2.tif`` ..., and has no validation list. Spoken captions were published for RSICD
    and RSITMD alone; here UCM has some, too.
    """
    rng = np.random.default_rng(image_seed(plan.seed, f'{dataset} split', 0))
    train, test = _ucm_split(records) if dataset == 'ucm' else _split(len(records), rng)
    captions = [list(record.captions) for record in records]
    if dataset == 'rsitmd':
        captions[train[len(train) // 2]][3:] = ['', '']
    if dataset == 'ucm':
        names = [f'{index + 1}.tif' for index in range(len(records))]
    else:
        names = [record.name for record in records]
    files = _Files(plan.root / dataset / 'precomp', names, captions)
    files.write('train', train, 'train_audio', repeat=False)
    files.write('test', test, 'test_audios', repeat=True)
    if dataset != 'ucm':
        shuffled = rng.permutation(train).tolist()
        val = max(1, round(VAL * len(train)))
        files.write('train', shuffled[val:], 'train_audios_verify', False, '_verify')
        files.write('val', shuffled[:val], 'val_audios_verify', True, '_verify')
    return {
        'images': len(records),
        'captions': CAPTIONS_PER_IMAGE * len(records),
        'train_images': len(train),
        'test_images': len(test),
    }


def _split(count: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    order = rng.permutation(count)
    test = max(1, round(TEST * count))
    return sorted(int(i) for i in order[test:]), sorted(int(i) for i in order[:test])


def _ucm_split(records: Sequence[Record]) -> tuple[list[int], list[int]]:
    """The last fifth of every class is tested."""
    per_class = sum(Path(r.name).parent == Path(records[0].name).parent for r in records)
    train = [i for i in range(len(records)) if i % per_class < per_class - max(1, per_class // 5)]
    return train, sorted(set(range(len(records))) - set(train))


@dataclass(frozen=True)
class _Files:
    """The folder ``precomp`` of one set."""

    folder: Path
    names: list[str]
    captions: list[list[str]]

    def write(
        self, split: str, indices: Sequence[int], audio: str, repeat: bool, tail: str = ''
    ) -> None:
        """Write the captions, names and spoken captions of one list."""
        times = CAPTIONS_PER_IMAGE if repeat else 1
        self._lines(f'{split}_caps{tail}', [c for i in indices for c in self.captions[i]])
        self._lines(
            f'{split}_filename{tail}', [self.names[i] for i in indices for _ in range(times)]
        )
        self._lines(audio, [name for i in indices for name in _audio_names(int(i))])

    def _lines(self, name: str, lines: list[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f'{name}.txt').write_text(
            ''.join(f'{line}\n' for line in lines), encoding='utf-8'
        )
