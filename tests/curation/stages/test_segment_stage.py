"""Segments of images, from the masks of a segmenter to files that training reads."""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.curation.geo.workspaces import make_workspace
from tests.curation.segments.tiny_sam import OPTIONS, SIZES, save_tiny_sam
from tests.datasets import tiny
from urbancross_mm.curation import FAILED, KEPT, ImageRecord, Workspace, run_stage
from urbancross_mm.curation.captions.scorers import BaseScorer
from urbancross_mm.curation.segments.segmenters import BaseSegmenter
from urbancross_mm.curation.stages.segment_stage import SegmentStage
from urbancross_mm.datasets.transforms.segments import LoadSegments
from urbancross_mm.registry import CURATION
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar
from urbancross_mm.utils.files import atomic_write

SIZE = (60, 80)
COLORS = dict(red=(200, 0, 0), green=(0, 200, 0), blue=(0, 0, 200))


class Stripes(BaseSegmenter):
    """Three stripes of falling quality; counts the images that it is given."""

    source = 'stripes'
    calls = 0

    def __init__(self, count: int = 3) -> None:
        self.count = count

    def settings(self) -> dict[str, Any]:
        return dict(type='Stripes', count=self.count)

    def segment(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        Stripes.calls += 1
        masks = np.zeros((3, *SIZE), dtype=bool)
        masks[0, :20], masks[1, 20:40], masks[2, 40:, :60] = True, True, True
        return masks[: self.count], np.array([0.9, 0.8, 0.7])[: self.count]


class ByColor(BaseScorer):
    """A scorer that sees the mean color of what is not white, and reads its name."""

    def __init__(self, version: int = 1) -> None:
        self.version, self.device = version, ''
        self.seen: list[np.ndarray] = []

    def settings(self) -> dict[str, Any]:
        return dict(type='ByColor', version=self.version)

    def begin(self, device: str) -> None:
        self.device = device

    def encode_images(self, images: list[np.ndarray]) -> np.ndarray:
        assert self.device == 'cpu' and all(item.shape == (*SIZE, 3) for item in images)
        self.seen += images
        rows = np.array([item[(item < 255).any(axis=2)].mean(axis=0) for item in images])
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        rows = np.array([[name in text for name in COLORS] for text in texts], dtype=float)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for part in (Stripes, ByColor):
        monkeypatch.setitem(CURATION.module_dict, part.__name__, part)
    Stripes.calls = 0
    yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, tmp_path / 'out')


def image(workspace: Workspace, name: str = 'a/tile.png', **fields: Any) -> ImageRecord:
    """An image of a red, a green and a blue stripe."""
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    pixels[:20], pixels[20:40], pixels[40:] = COLORS.values()
    path = workspace.out / 'images' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return ImageRecord(name, dict(sha=name, captions=['green fields'], **fields))


def stage(**options: Any) -> SegmentStage:
    return SegmentStage(**{**dict(segmenter=dict(type='Stripes'), area=1000), **options})


def areas(workspace: Workspace, name: str = 'a/tile') -> list[int]:
    return [
        segment['area']
        for segment in read_sidecar(workspace.out / 'segments' / f'{name}.json')['segments']
    ]


def test_without_a_scorer_the_segmenter_decides(workspace: Workspace) -> None:
    one = image(workspace)
    kept, _ = run_stage(stage(area=1500, topk=1), [one], workspace)
    assert kept[0].fields['segments'] == 'a/tile.json'
    assert kept[0].fields['num_segments'] == 1 and kept[0].fields['segment_scores'] == [0.9]
    sidecar = read_sidecar(workspace.out / 'segments/a/tile.json')
    assert sidecar['source'] == 'stripes' and sidecar['segments'][0]['bbox'] == [0, 0, 80, 20]
    loaded = LoadSegments(4).transform(
        dict(
            segments_path=str(workspace.out / 'segments/a/tile.json'),
            img_path='a/tile.png',
            ori_shape=SIZE,
            img_shape=SIZE,
        )
    )
    assert loaded['num_segments'] == 1 and (loaded['segment_bits'][:20] == 1).all()


@pytest.mark.parametrize(('caption', 'first'), [('green fields', 1), ('blue lake, blue sea', 2)])
def test_the_caption_decides_with_a_scorer(workspace: Workspace, caption: str, first: int) -> None:
    one = image(workspace).plus(dict(captions=[caption]))
    kept, _ = run_stage(stage(scorer=dict(type='ByColor')), [one], workspace)
    assert kept[0].fields['segment_scores'] == [1.0, 0.0, 0.0]
    sidecar = read_sidecar(workspace.out / 'segments/a/tile.json')
    assert sidecar['segments'][0]['quality'] == pytest.approx(0.9 - 0.1 * first)
    assert decode_masks(sidecar)[0][20 * first + 5, 5]


def test_a_segment_is_scored_on_white_at_full_size(workspace: Workspace) -> None:
    made = stage(scorer=dict(type='ByColor'))
    run_stage(made, [image(workspace)], workspace)
    red = made.scorer.seen[0]
    assert (red[:20] == COLORS['red']).all() and (red[20:] == 255).all()


def test_only_the_largest_are_scored(workspace: Workspace) -> None:
    made = stage(scorer=dict(type='ByColor'), max_candidates=2)
    kept, _ = run_stage(made, [image(workspace)], workspace)
    assert len(made.scorer.seen) == 2 and areas(workspace) == [1600, 1600]
    assert kept[0].fields['num_segments'] == 2


def test_other_captions_and_scorers_do_not_segment_again(workspace: Workspace) -> None:
    one = image(workspace)
    run_stage(stage(scorer=dict(type='ByColor')), [one], workspace)
    first = (workspace.out / 'segments/a/tile.json').read_bytes()
    changed = one.plus(dict(captions=['red roofs']))
    _, report = run_stage(stage(scorer=dict(type='ByColor')), [changed], workspace)
    assert report.made == 1 and (workspace.out / 'segments/a/tile.json').read_bytes() != first
    for options in (
        dict(scorer=dict(type='ByColor', version=2)),
        dict(topk=2),
        dict(area=1500),
        dict(size=40),
    ):
        assert run_stage(stage(**options), [changed], workspace)[1].made == 1
    assert Stripes.calls == 1
    run_stage(stage(segmenter=dict(type='Stripes', count=2)), [changed], workspace)
    assert Stripes.calls == 2 and areas(workspace) == [1600, 1600]
    run_stage(stage(), [changed.plus(dict(sha='other pixels'))], workspace)
    assert Stripes.calls == 3


@pytest.mark.parametrize(
    'change',
    [
        lambda found: found['segments'][0].update(counts=[9]),
        lambda found: found['segments'][0].pop('bbox'),
        lambda found: found.update(size=[90_000, 120_000], image_size=[90_000, 120_000]),
    ],
)
def test_damaged_candidates_are_made_again(workspace: Workspace, change: Any) -> None:
    one = image(workspace)
    run_stage(stage(), [one], workspace)
    whole = (workspace.out / 'segments/a/tile.json').read_bytes()
    path = workspace.out / 'cache/candidates/a/tile.json'
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    (workspace.out / 'segments/a/tile.json').unlink()
    run_stage(stage(), [one], workspace)
    assert Stripes.calls == 2 and (workspace.out / 'segments/a/tile.json').read_bytes() == whole


def test_a_second_run_makes_nothing_but_lost_files(workspace: Workspace) -> None:
    images = [image(workspace, f'{number}.png') for number in range(3)]
    run_stage(stage(), images, workspace)
    content = (workspace.out / 'segments/1.json').read_bytes()
    assert run_stage(stage(), images, workspace)[1].made == 0
    (workspace.out / 'segments/1.json').unlink()
    (workspace.out / 'cache/candidates/1.json').write_text('{"torn')
    assert run_stage(stage(), images, workspace)[1].made == 1
    assert (workspace.out / 'segments/1.json').read_bytes() == content and Stripes.calls == 4
    (workspace.out / 'segments/1.json').write_bytes(content[:-9])
    assert run_stage(stage(), images, workspace)[1].made == 1
    assert (workspace.out / 'segments/1.json').read_bytes() == content


def test_a_record_of_other_options_needs_its_own_file(workspace: Workspace) -> None:
    images = [image(workspace, f'{number}.png') for number in range(3)]
    run_stage(stage(), images, workspace)
    content = (workspace.out / 'segments/1.json').read_bytes()
    run_stage(stage(size=40), images[:2], workspace)
    # The same segments and scores, but masks of another size.
    assert (workspace.out / 'segments/1.json').read_bytes() != content
    assert run_stage(stage(), images, workspace)[1].made == 2
    assert (workspace.out / 'segments/1.json').read_bytes() == content


def test_a_full_disk_concerns_one_image(workspace: Workspace, monkeypatch) -> None:
    def write(path: Path, content: str) -> None:
        if 'segments' in path.parts and path.name == '1.json':
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        atomic_write(path, content)

    images = [image(workspace, f'{number}.png') for number in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr('urbancross_mm.structures.segment_masks.atomic_write', write)
        kept, report = run_stage(stage(), images, workspace)
    assert [item.name for item in kept] == ['0.png', '2.png'] and report.counts[FAILED] == 1
    assert 'No space left on device' in str(report)
    kept, report = run_stage(stage(), images, workspace)
    assert len(kept) == 3 and report.made == 1


def test_captions_do_not_matter_without_a_scorer(workspace: Workspace) -> None:
    one = image(workspace)
    run_stage(stage(), [one], workspace)
    assert run_stage(stage(), [one.plus(dict(captions=['x']))], workspace)[1].made == 0


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (dict(segmenter=dict(type='Stripes', count=0)), 'no mask found'),
        (dict(area=1600), 'no mask larger than 1600 px'),
        (dict(area=0.5, scorer=dict(type='ByColor')), 'no mask larger than 0.5 of the image'),
    ],
)
def test_an_image_without_masks_is_kept(workspace: Workspace, options: dict, reason: str) -> None:
    kept, report = run_stage(stage(**options), [image(workspace)], workspace)
    assert kept[0].fields['num_segments'] == 0 and kept[0].fields['segment_scores'] == []
    assert report.reasons == {(KEPT, reason): 1}
    loaded = LoadSegments(4).transform(
        dict(
            segments_path=str(workspace.out / 'segments/a/tile.json'),
            img_path='a/tile.png',
            ori_shape=SIZE,
            img_shape=SIZE,
        )
    )
    assert loaded['num_segments'] == 1 and (loaded['segment_bits'] == 1).all()


def test_bad_images_fail_alone(workspace: Workspace) -> None:
    good, corrupt, uncaptioned = (image(workspace, f'{name}.png') for name in 'abc')
    workspace.image_path(corrupt).write_bytes(b'no image')
    uncaptioned = uncaptioned.plus(dict(captions=[]))
    kept, report = run_stage(
        stage(scorer=dict(type='ByColor')), [good, corrupt, uncaptioned], workspace
    )
    assert [item.name for item in kept] == ['a.png'] and report.counts[FAILED] == 2
    text = str(report)
    assert 'cannot be decoded' in text and 'no caption to score' in text


def test_non_latin_captions_are_scored(workspace: Workspace) -> None:
    one = image(workspace).plus(dict(captions=['green 绿色的田野，森林。', 'blue Озеро']))
    kept, _ = run_stage(stage(scorer=dict(type='ByColor')), [one], workspace)
    # The mean over the captions.
    assert kept[0].fields['segment_scores'] == [0.5, 0.5, 0.0]


def test_sam_by_config(workspace: Workspace, tmp_path: Path) -> None:
    weights = save_tiny_sam(tmp_path / 'tiny.pth')
    made = stage(
        area=20,
        topk=4,
        segmenter=dict(
            type='SamSegmenter', checkpoint=str(weights), model_type='tiny', model=SIZES, **OPTIONS
        ),
    )
    made.check(workspace)
    path = workspace.out / 'images/a.png'
    path.parent.mkdir(parents=True)
    Image.fromarray(tiny.image(*SIZE)).save(path)
    kept, report = run_stage(made, [ImageRecord('a.png', dict(sha='a'))], workspace)
    assert kept[0].fields['num_segments'] == 4, report
    line = (workspace.out / 'manifest/segment.jsonl').read_text()
    assert '"model_type": "tiny"' in line and '"weights": "' in line and str(tmp_path) not in line
    assert read_sidecar(workspace.out / 'segments/a.json')['source'] == 'sam:tiny'


def test_missing_weights_stop_before_any_work(workspace: Workspace) -> None:
    with pytest.raises(FileNotFoundError, match='none.pth'):
        stage(segmenter=dict(type='SamSegmenter', checkpoint='none.pth')).check(workspace)


@pytest.mark.parametrize(
    'options',
    [
        dict(area=-1),
        dict(topk=0),
        dict(size=0),
        dict(max_candidates=0),
        dict(segmenter=dict(type='ByColor')),
    ],
)
def test_wrong_options(options: dict) -> None:
    with pytest.raises(ValueError, match='got|ByColor'):
        stage(**options)


def test_threads_change_nothing(tmp_path: Path) -> None:
    results = []
    for workers in (1, 4):
        workspace, images = make_workspace(
            tmp_path / str(workers), {f'{n}.png': {} for n in range(9)}
        )
        workspace = replace(workspace, workers=workers)
        run_stage(SegmentStage(dict(type='ColorSegmenter'), area=0), images, workspace)
        results.append(
            {path.name: path.read_bytes() for path in (workspace.out / 'segments').glob('*.json')}
        )
    assert len(results[0]) == 9 and results[0] == results[1]
