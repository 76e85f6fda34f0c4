"""Images that two datasets share are found, and told apart by how alike they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets import tiny
from urbancross_mm.datasets.verification.report import Report
from urbancross_mm.datasets.verification.verify import verify


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Two datasets of three images, and nothing in common."""
    for name, seed in (('city', 0), ('town', 10)):
        items = [tiny.item(f'{name}{n}', [f'{name} {n}']) for n in range(3)]
        tiny.write(tmp_path / name, items, images=False, split='train')
        (tmp_path / name / 'images').mkdir(parents=True, exist_ok=True)
        for n, item in enumerate(items):
            image = tiny.image(seed=seed + n)
            Image.fromarray(image).save(tmp_path / name / 'images' / item['img_path'])
    return tmp_path / 'city', tmp_path / 'town'


def compare(roots: tuple[Path, Path], **options: object) -> Report:
    (city, town) = roots
    other = (str(town / 'annotations/tiny.json'), str(town / 'images'))
    return verify([str(city / 'annotations/tiny.json')], str(city), against=[other], **options)


def findings(report: Report) -> dict[str, int]:
    return {f'{finding.level} {finding.what}': finding.count for finding in report.findings}


def test_nothing_in_common(roots: tuple[Path, Path]) -> None:
    report = compare(roots)
    assert not report.failed and report.shared == [] and findings(report) == {}


def test_the_same_file_the_same_pixels_and_a_lookalike(roots: tuple[Path, Path]) -> None:
    city, town = (root / 'images' for root in roots)
    (town / 'town0.png').write_bytes((city / 'city0.png').read_bytes())
    pixels = Image.open(city / 'city1.png')
    pixels.save(town / 'town1.png', compress_level=0)
    assert (town / 'town1.png').read_bytes() != (city / 'city1.png').read_bytes()
    brighter = np.asarray(Image.open(city / 'city2.png')).clip(0, 250) + 3
    Image.fromarray(brighter.astype(np.uint8)).save(town / 'town2.png')
    report = compare(roots)
    kinds = {(pair.kind, pair.image, pair.other_image) for pair in report.shared}
    assert kinds == {
        ('identical', 'city0.png', 'town0.png'),
        ('identical', 'city1.png', 'town1.png'),
        ('similar', 'city2.png', 'town2.png'),
    }
    assert report.failed
    assert findings(report) == {
        'error identical image in another dataset': 2,
        'error similar image in another dataset': 1,
        'info images that another dataset has too': 1,
    }
    text = report.to_text()
    assert '2 identical and 1 similar of 3 images' in text
    assert f'city0.png = {roots[1]}/annotations/tiny.json: town0.png' in text
    assert 'city2.png ~ ' in text


def test_an_image_that_cannot_be_compared_is_an_error(roots: tuple[Path, Path]) -> None:
    (roots[1] / 'images/town1.png').write_bytes(b'no image')
    assert findings(compare(roots)) == {'error unreadable image': 1}


def test_mistakes(roots: tuple[Path, Path]) -> None:
    city, town = roots
    with pytest.raises(ValueError, match='--no-pixels'):
        compare(roots, pixels=False)
    own = str(city / 'annotations/tiny.json')
    with pytest.raises(FileNotFoundError, match=f'{town}/none, for .*town/annotations'):
        verify([own], str(city), against=[(str(town / 'annotations/tiny.json'), f'{town}/none')])
    (town / 'annotations/tiny.json').write_text(
        '{"metainfo": {"schema": 1}, "data_list": [{"img_id": 1}]}'
    )
    with pytest.raises(ValueError, match=r"tiny\.json, item 0: .*img_path.*'img_id': 1"):
        compare(roots)
