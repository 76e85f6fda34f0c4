"""One sound file of each kind that a tool reads, small enough to be read a thousand times."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.datasets import tiny
from tests.recordings import record, tone
from urbancross_mm.datasets.converters.vocab import encode_vocabulary
from urbancross_mm.datasets.feature_file import write_features
from urbancross_mm.structures import Gallery

NAMES = ('a', 'b', 'c')


def annotations(root: Path) -> Path:
    """Three images with captions, masks and class maps; the annotation file."""
    items = [
        tiny.item(
            name,
            [f'image {name}', 'a road'],
            segments=f'{name}.json',
            lon=25.0,
            lat=60.0,
            geo_tags=['road of x'],
            label='town',
            seg_map_path=f'{name}.png',
        )
        for name in NAMES
    ]
    tiny.write(root, items)
    (root / 'seg_maps').mkdir()
    for name in NAMES:
        Image.fromarray(np.eye(40, 48, dtype=np.uint8)).save(root / 'seg_maps' / f'{name}.png')
    return root / 'annotations' / 'tiny.json'


def sidecar(root: Path) -> Path:
    """The masks of the first image."""
    annotations(root)
    return root / 'segments' / 'a.json'


def class_map(root: Path) -> Path:
    """The class map of the first image."""
    annotations(root)
    return root / 'seg_maps' / 'a.png'


def image(root: Path, suffix: str = '.png') -> Path:
    """One image in the format of the suffix."""
    path = root / f'p{suffix}'
    Image.fromarray(tiny.image()).save(path)
    return path


def recording(root: Path, suffix: str) -> Path:
    """A quarter of a second of sound."""
    return record(root / f'r{suffix}', tone(440, 0.25))


def country(root: Path) -> Path:
    """A folder of UrbanCross: ten images and the table of descriptions."""
    (root / 'images').mkdir()
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(['image_name', 'description', 'title_multi_objects', 'lon', 'lat'])
    for number in range(10):
        Image.fromarray(tiny.image(8, 8, number)).save(root / 'images' / f'{number}.png')
        table.writerow([f'{number}.png', f'a "street", number {number}', 'road of x;', 25.1, 60.2])
    (root / 'x_refine.csv').write_text(text.getvalue())
    return root / 'x_refine.csv'


def precomp(root: Path, which: str = 'train_caps.txt') -> Path:
    """A precomp folder of six images."""
    for split, names in (('train', range(4)), ('test', range(4, 6))):
        (root / f'{split}_filename.txt').write_text(''.join(f'{n}.png\n' for n in names))
        (root / f'{split}_caps.txt').write_text(
            ''.join(f'caption {k} of {n}\n' for n in names for k in range(5))
        )
    return root / which


def karpathy(root: Path) -> Path:
    """The JSON of RSICD's layout."""
    images = [
        dict(filename=f'{n}.jpg', split=split, sentences=[dict(raw=f'caption {n}')])
        for n, split in enumerate(['train', 'train', 'val', 'test'])
    ]
    return written(root / 'dataset.json', dict(images=images, dataset='x'))


def nwpu(root: Path) -> Path:
    """The JSON of NWPU-Captions' layout."""
    captions = {'raw': 'one', **{f'raw_{k}': f'caption {k}' for k in range(1, 5)}}
    classes = {
        name: [
            dict(filename=f'{name}_{n}.jpg', split=split, **captions)
            for n, split in enumerate(['train', 'val', 'test'])
        ]
        for name in ('airport', 'bridge')
    }
    return written(root / 'dataset_nwpu.json', classes)


def sentences(root: Path) -> Path:
    """A text file and the images that it is drawn for."""
    (root / 'images').mkdir()
    for number in range(4):
        Image.fromarray(tiny.image(8, 8, number)).save(root / 'images' / f'{number}.png')
    path = root / 'sentences.txt'
    path.write_text('a road\na river\na house\n', encoding='utf-8')
    return path


def vocabulary(root: Path) -> Path:
    """Words and their numbers."""
    (root / 'vocab.json').write_text(encode_vocabulary(['a road', 'a river']))
    return root / 'vocab.json'


def features(root: Path) -> Path:
    """Features of frozen encoders."""
    write_features(
        root / 'features.npz',
        ['a', 'b'],
        np.ones((2, 3), np.float32),
        ['x'],
        np.ones((1, 3), np.float32),
        dict(config='none'),
    )
    return root / 'features.npz'


def config(root: Path) -> Path:
    """A config with a base."""
    (root / 'base.py').write_text("lr = 0.1\nmodel = dict(type='A', parts=[dict(type='B')])\n")
    path = root / 'leaf.py'
    path.write_text("# A leaf.\n_base_ = ['./base.py']\nmodel = dict(size=3, name='x')\n")
    return path


def checkpoint(root: Path) -> Path:
    """A checkpoint as mmengine writes it, without a message hub."""
    path = root / 'epoch_1.pth'
    torch.save(
        dict(
            meta=dict(epoch=1, cfg='model = dict()'),
            state_dict=dict(w=torch.ones(3, 2)),
            optimizer=dict(state={}, param_groups=[dict(lr=0.1)]),
        ),
        path,
    )
    return path


def gallery(root: Path) -> Path:
    """Embeddings of two images."""
    Gallery(torch.eye(2), ['a.jpg', 'b.jpg'], [dict(lon=1.0), {}], 'model').save(root / 'g.pt')
    return root / 'g.pt'


def geotiff(root: Path) -> Path:
    """A raster with a position."""
    import rasterio
    from rasterio.transform import from_origin

    path = root / 'r.tif'
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        width=48,
        height=40,
        count=3,
        dtype='uint8',
        crs='EPSG:4326',
        transform=from_origin(25, 60, 1e-4, 1e-4),
    ) as file:
        file.write(tiny.image().transpose(2, 0, 1))
    return path


def geojson(root: Path) -> Path:
    """Two features of a map."""
    square = [[[25, 60], [25.1, 60], [25.1, 60.1], [25, 60]]]
    features = [
        dict(
            type='Feature',
            properties=dict(highway='primary', name='x'),
            geometry=dict(type='LineString', coordinates=[[25, 60], [25.1, 60.1]]),
        ),
        dict(
            type='Feature',
            properties=dict(landuse='forest'),
            geometry=dict(type='Polygon', coordinates=square),
        ),
    ]
    return written(root / 'map.geojson', dict(type='FeatureCollection', features=features))


def geopackage(root: Path) -> Path:
    """One road in a GeoPackage."""
    import pyogrio
    import shapely

    path = root / 'map.gpkg'
    roads = np.array([shapely.to_wkb(shapely.LineString([(25, 60), (25.1, 60.1)]))], dtype=object)
    pyogrio.raw.write(
        path,
        roads,
        [np.array(['primary'], dtype=object)],
        ['highway'],
        geometry_type='LineString',
        crs='EPSG:4326',
    )
    return path


def sam_masks(root: Path) -> Path:
    """Masks as SAM's ``amg.py`` writes them, as runs."""
    (root / 'sam').mkdir()
    masks = [
        dict(
            segmentation=dict(size=[40, 48], counts=[100 * k, 200, 1720 - 100 * k]),
            area=200,
            bbox=[0, 0, 9, 9],
            predicted_iou=0.9,
            stability_score=0.9,
        )
        for k in range(1, 4)
    ]
    return written(root / 'sam' / 'a.json', masks)


def manifest(root: Path) -> Path:
    """Records of a curation."""
    line = json.dumps(
        dict(picture='a.png', status='kept', reason='', fields=dict(lon=1.0), made_by={}, key='k')
    )
    (root / 'tile.jsonl').write_text(f'{line}\n{line.replace("a.png", "b.png")}\n')
    return root / 'tile.jsonl'


def written(path: Path, content: object) -> Path:
    """JSON on disk."""
    path.write_text(json.dumps(content))
    return path
