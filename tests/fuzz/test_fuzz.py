"""Whatever is in a file: a right result, or one sentence that names the file. Seeded and bounded.

``URBANCROSS_FUZZ=20`` tries twenty times as many damaged files.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.fuzz import sound
from tests.fuzz.mutate import mutate
from urbancross_mm.apis import load_config
from urbancross_mm.curation.core.records import Manifest, Record
from urbancross_mm.curation.geo.map_files import MapFeatures, read_map_file
from urbancross_mm.datasets import ImageTextDataset, LoadAudio, VocabTokenizer
from urbancross_mm.datasets.converters import (
    image_folder,
    karpathy,
    precomp,
    segment_folders,
    urbancross,
)
from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.datasets.verification.verify import verify
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.structures import Gallery
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar
from urbancross_mm.utils.checkpoints import read_checkpoint
from urbancross_mm.utils.error_sentence import LONGEST, sentence_of
from urbancross_mm.utils.images import probe_image, read_image

TIMES = int(os.environ.get('URBANCROSS_FUZZ', '1'))
REFUSALS = (ValueError, OSError)
# The files are tiny; an image whose damaged header claims more may take what that size needs.
MORE_MEMORY = 96 * 2**20
PIPELINE = [
    dict(type='LoadImage'),
    dict(type='LoadSegments', num_segments=3),
    dict(type='ResizeImage', scale=32),
    dict(type='PackRetrievalInputs'),
]


def load_dataset(path: Path) -> None:
    root = path.parents[1]
    # Serializing collects garbage, which takes longer than everything else.
    dataset = ImageTextDataset(
        'annotations/tiny.json', str(root), pipeline=PIPELINE, serialize_data=False
    )
    for number in range(len(dataset)):
        inputs = dataset[number]['inputs']
        assert inputs['image'].shape == (3, 32, 32)
        assert inputs['segment_bits'].shape[1:] == (32, 32)
        assert 1 <= inputs['segment_count'] <= 3
        # No bit of a mask that is not there.
        assert int(inputs['segment_bits'].max()) < 2 ** int(inputs['segment_count'])


def verify_dataset(path: Path) -> None:
    """What verification passes, training reads; what it finds names a file."""
    root = path.parents[1]
    report = verify([str(root / 'annotations/tiny.json')], str(root))
    assert report.to_text()
    errors = [
        example
        for finding in report.findings
        for example in finding.examples
        if finding.level == 'error'
    ]
    for example in errors:
        assert '.json' in example or '.png' in example
        assert len(example) < 2 * LONGEST
    if report.failed:
        raise ValueError(f'{path}: {errors[0]}')
    load_dataset(path)


def decode(path: Path) -> None:
    pixels, size = read_image(str(path))
    assert pixels.dtype == np.uint8 and pixels.shape == (*size, 3)
    assert probe_image(str(path)) is None


def hear(path: Path) -> None:
    (waveform,) = LoadAudio(max_seconds=0.2)(dict(audio_paths=[str(path)]))['audio']
    assert waveform.dtype == np.float32 and waveform.ndim == 1
    assert 0 < len(waveform) <= 3200 + 16 and np.isfinite(waveform).all()


def convert_country(path: Path) -> None:
    counts = urbancross.convert(
        urbancross.Options(
            root=path.parent, out=path.parent / 'out', name='x', min_count=1, force=True
        )
    )
    images = {
        item['img_path']
        for split in counts
        for item in json.loads((path.parent / f'out/x_{split}.json').read_text())['data_list']
    }
    assert images <= {f'{n}.png' for n in range(10)}


def convert_precomp(path: Path) -> None:
    counts = precomp.convert(
        precomp.Options(
            root=path.parent,
            out=path.parent / 'out',
            name='x',
            split='random',
            min_count=1,
            force=True,
        )
    )
    assert all(split['captions'] for split in counts.values())


def convert_karpathy(path: Path) -> None:
    counts = karpathy.convert(
        karpathy.DividedOptions(
            root=path, out=path.parent / 'out', name='x', min_count=1, force=True
        )
    )
    assert all(split['images'] for split in counts.values())


def convert_folder(path: Path) -> None:
    counts = image_folder.convert(
        image_folder.Options(
            images=path.parent / 'images',
            texts=[path],
            out=path.parent / 'out',
            name='x',
            force=True,
        )
    )
    assert sum(split['images'] for split in counts.values()) == 4


def tokenize(path: Path) -> None:
    tokens = VocabTokenizer(str(path))(['a road', 'zebra'])
    assert tokens.shape == (2, 40) and bool((tokens >= 0).all())


def look_up(path: Path) -> None:
    features = open_features(str(path))
    assert np.isfinite(features.image_feats).all() and np.isfinite(features.text_feats).all()


def read_tensors(path: Path) -> None:
    assert isinstance(read_checkpoint(path), dict)


def load_gallery(path: Path) -> None:
    gallery = Gallery.load(path)
    assert len(gallery.ids) == len(gallery.embeds) == len(gallery.metadata)
    assert all(isinstance(name, str) for name in gallery.ids)
    assert bool(torch.isfinite(gallery.embeds).all())


def cut_raster(path: Path) -> None:
    raster = Raster.open(path)
    if refusal := raster.why_absurd(32, 32):
        raise ValueError(f'{path}: {refusal}')
    window = (0, 0, min(32, raster.width), min(32, raster.height))
    bands = raster.color_bands
    try:
        pixels, valid, _ = raster.read(window, bands, raster.value_range(bands))
    except ValueError as error:  # the report of a curation names the file
        raise ValueError(f'{path}: {error}') from error
    assert pixels.dtype == np.uint8 and pixels.shape == (window[3], window[2], 3)
    assert 0 <= valid <= 1


def read_map(path: Path) -> None:
    features = MapFeatures()
    read_map_file(path, features)
    for geometry in features.geometries:
        assert geometry.is_valid and np.isfinite(geometry.bounds).all()
    assert all(path.name in sentence and len(sentence) <= 200 for sentence in features.broken)


def convert_masks(path: Path) -> None:
    out = path.parents[1] / 'out'
    segment_folders.convert(
        segment_folders.Options(root=path.parents[1], sam=path.parent, out=out, force=True)
    )
    for file in out.glob('*.json'):
        assert all(mask.any() for mask in decode_masks(read_sidecar(file)))


def read_manifest(path: Path) -> None:
    assert all(
        isinstance(item, Record) and isinstance(item.image, str)
        for item in Manifest(path).records()
    )


# name: what is written, what reads it, how many damaged versions
READERS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], None], int]] = {
    'annotations': (sound.annotations, load_dataset, 150),
    'annotations, verified': (sound.annotations, verify_dataset, 60),
    'masks': (sound.sidecar, load_dataset, 150),
    'masks, verified': (sound.sidecar, verify_dataset, 40),
    'class map, verified': (sound.class_map, verify_dataset, 40),
    **{
        f'image {suffix}': (partial(sound.image, suffix=suffix), decode, 100)
        for suffix in ('.png', '.jpg', '.tif', '.bmp', '.webp')
    },
    **{
        f'recording {suffix}': (partial(sound.recording, suffix=suffix), hear, 100)
        for suffix in ('.wav', '.flac', '.ogg')
    },
    'CSV': (sound.country, convert_country, 80),
    'captions': (sound.precomp, convert_precomp, 60),
    'file names': (partial(sound.precomp, which='train_filename.txt'), convert_precomp, 60),
    'RSICD JSON': (sound.karpathy, convert_karpathy, 80),
    'NWPU JSON': (sound.nwpu, convert_karpathy, 80),
    'sentences': (sound.sentences, convert_folder, 40),
    'vocabulary': (sound.vocabulary, tokenize, 100),
    'features': (sound.features, look_up, 150),
    'config': (sound.config, load_config, 60),
    'checkpoint': (sound.checkpoint, read_tensors, 150),
    'gallery': (sound.gallery, load_gallery, 100),
    'GeoTIFF': (sound.geotiff, cut_raster, 100),
    'map': (sound.geojson, read_map, 150),
    'GeoPackage': (sound.geopackage, read_map, 40),
    'masks of SAM': (sound.sam_masks, convert_masks, 100),
    'records': (sound.manifest, read_manifest, 150),
}


@pytest.mark.parametrize('name', READERS)
def test_sound_files_are_read(name: str, tmp_path: Path) -> None:
    make, read, _ = READERS[name]
    read(make(tmp_path))


@pytest.mark.parametrize('name', READERS)
@pytest.mark.filterwarnings('ignore')
def test_damaged_files_are_read_right_or_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    make, read, count = READERS[name]
    path = make(tmp_path)
    whole = path.read_bytes()
    rng = random.Random(name)
    is_json = path.suffix in ('.json', '.geojson')
    outcomes = dict(read=0, refused=0)
    for number in range(count * TIMES):
        path.write_bytes(mutate(whole, is_json, rng))
        shutil.rmtree(path.parent / 'out', ignore_errors=True)
        start = peak_memory(reset=True)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            outcomes[attempt(read, path, tmp_path, f'{name}, damage {number}')] += 1
        used = peak_memory() - start
        assert used < MORE_MEMORY + explained(path), (
            f'{name}, damage {number} took {used / 2**20:.0f} MB'
        )
    assert outcomes['refused'], outcomes


def attempt(read: Callable[[Path], None], path: Path, root: Path, what: str) -> str:
    """Read a damaged file; anything but a result or a good sentence fails the test."""
    try:
        read(path)
    except REFUSALS as error:
        sentence = sentence_of(error)
        named = path.stem in sentence or str(root) in sentence
        if not named or len(sentence) > LONGEST + 60 or '\x1b' in sentence:
            raise AssertionError(
                f'{what}: the sentence does not name {path.name}, or is too long: {sentence!r}'
            ) from error
        return 'refused'
    except Exception as error:
        raise AssertionError(f'{what}: {type(error).__name__} {error!s:.200}') from error
    return 'read'


def explained(path: Path) -> int:
    """Bytes that an image needs by the size that its header claims, in two copies."""
    try:
        with Image.open(path) as image:
            return 8 * image.width * image.height
    except Exception:  # no image
        return 0


def peak_memory(reset: bool = False) -> int:
    """Most bytes in memory since the last reset; where nothing can be reset, since the start."""
    try:
        if reset:
            Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    status = Path('/proc/self/status').read_text()
    return 1024 * int(status.partition('VmHWM:')[2].split()[0])
