"""The stage that scores captions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.curation.captions.test_scorers import GRU, PIPELINE, clip_model
from tests.curation.geo.workspaces import make_workspace
from urbancross_mm.curation import (
    DROPPED,
    FAILED,
    BaseScorer,
    RetrieverScorer,
    ScoreStage,
    Workspace,
    run_stage,
)
from urbancross_mm.registry import CURATION

MODEL = dict(clip_model(None), text_encoder=GRU)
SCORER = dict(type='RetrieverScorer', model=MODEL, pipeline=PIPELINE)
IMAGES = {
    'a.png': dict(captions=['a red roof, many cars']),
    'b.png': dict(captions=['water', 'a road.']),
    'c.png': dict(captions=['a road.']),
    'd.png': dict(captions=[]),
    'e.png': dict(captions=['water']),
}


@CURATION.register_module()
class LetterScorer(BaseScorer):
    """A text points where its length says, an image where its width says; notes them all."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def settings(self) -> dict[str, Any]:
        return dict(scorer='letters')

    def begin(self, device: str) -> None:
        self.seen.append(device)

    def encode_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.seen += [image.shape[1] for image in images]
        return unit([image.shape[1] for image in images])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return unit([len(text) if text != 'nothing' else np.nan for text in texts])


def unit(angles: Sequence[float]) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def lines(workspace: Workspace) -> list[dict]:
    path = workspace.out / 'manifest/score.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scores_are_cosines_and_several_captions_share_one(tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    kept, report = run_stage(ScoreStage(dict(type='LetterScorer')), images, workspace)
    widths = {f'{letter}.png': 3 * (8 + i) for i, letter in enumerate('abcde')}
    for image in kept:
        each = [np.cos(widths[image.name] - len(text)) for text in image.fields['captions']]
        assert image.fields['score'] == pytest.approx(np.mean(each), abs=2e-6)
        assert image.fields['score'] == round(image.fields['score'], 6)
        assert ('caption_scores' in image.fields) == (len(each) > 1)
    np.testing.assert_allclose(
        kept[1].fields['caption_scores'], [np.cos(27 - 5), np.cos(27 - 7)], atol=2e-6
    )
    assert [image.name for image in kept] == ['a.png', 'b.png', 'c.png', 'e.png']
    assert report.reasons == {(DROPPED, 'no caption to score'): 1}


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_images_and_texts_are_encoded_once(tmp_path: Path, batch_size: int) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    stage = ScoreStage(dict(type='LetterScorer'), batch_size)
    run_stage(stage, images, workspace)
    seen = stage.scorer.seen
    assert seen[0] == 'cpu' and len(seen) == len(set(seen)) == 1 + 4 + 3


def test_a_bad_image_fails_alone(tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    whole, _ = run_stage(ScoreStage(dict(type='LetterScorer'), 8), images, workspace)
    workspace.image_path(images[0]).write_bytes(b'no image')
    (workspace.out / 'manifest/score.jsonl').unlink()
    kept, report = run_stage(ScoreStage(dict(type='LetterScorer'), 8), images, workspace)
    assert kept == whole[1:] and report.counts[FAILED] == 1
    assert 'a.png cannot be decoded' in str(report)


def test_no_number_is_no_score(tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, {'a.png': dict(captions=['nothing', 'a'])})
    _, report = run_stage(ScoreStage(dict(type='LetterScorer')), images, workspace)
    assert report.reasons == {(FAILED, 'the score is not a finite number'): 1}


def test_a_retriever_scores(tmp_path: Path) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    stage = ScoreStage(SCORER, 2)
    stage.check(workspace)
    kept, _ = run_stage(stage, images, workspace)
    scores = [image.fields['score'] for image in kept]
    assert len(set(scores)) == 4 and all(-1 <= score <= 1 for score in scores)
    made_by = lines(workspace)[0]['made_by']
    assert 'torch' in made_by.pop('versions')
    assert made_by == dict(stage='ScoreStage', **stage.scorer.settings())
    _, report = run_stage(ScoreStage(SCORER, 2), images, workspace)
    assert report.made == 0
    changed = [images[0], images[1].plus(dict(captions=['trees'])), *images[2:]]
    assert run_stage(ScoreStage(SCORER, 1), changed, workspace)[1].made == 1


@pytest.mark.parametrize('stop_at', [1, 2])
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, monkeypatch, stop_at: int) -> None:
    workspace, images = make_workspace(tmp_path, IMAGES)
    whole = Workspace(tmp_path, tmp_path / 'whole')
    (tmp_path / 'whole').mkdir()
    (tmp_path / 'whole/images').symlink_to(workspace.out / 'images')
    run_stage(ScoreStage(SCORER, 2), images, whole)
    encode, calls = RetrieverScorer.encode_images, []

    def stopped(self, batch):
        calls.append(len(batch))
        if len(calls) > stop_at:
            raise KeyboardInterrupt
        return encode(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(RetrieverScorer, 'encode_images', stopped)
        with pytest.raises(KeyboardInterrupt):
            run_stage(ScoreStage(SCORER, 2), images, workspace)
    run_stage(ScoreStage(SCORER, 2), images, workspace)
    assert (workspace.out / 'manifest/score.jsonl').read_bytes() == (
        whole.out / 'manifest/score.jsonl'
    ).read_bytes()


def test_the_memory_of_texts_is_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr('urbancross_mm.curation.stages.score_stage.CACHE_SIZE', 1)
    workspace, images = make_workspace(tmp_path, IMAGES)
    stage = ScoreStage(dict(type='LetterScorer'), 2)
    run_stage(stage, images, workspace)
    assert len(stage._vectors) == 1


@pytest.mark.parametrize(('parts', 'cut'), [(None, 2), ('raw', 1)])
def test_captions_that_are_cut_are_counted(tmp_path: Path, parts: str | None, cut: int) -> None:
    long = ['red roof ' * 60, 'red roof, ' * 60, 'a red roof']
    workspace, images = make_workspace(
        tmp_path, {f'{number}.png': dict(captions=[text, text]) for number, text in enumerate(long)}
    )
    stage = ScoreStage(dict(SCORER, parts=parts))
    _, report = run_stage(stage, images, workspace)
    (remark,) = report.remarks
    assert f'{cut} of 3 distinct captions' in remark
