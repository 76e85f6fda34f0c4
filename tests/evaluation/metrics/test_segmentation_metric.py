"""The metric against a naive confusion matrix, beside other metrics, at any sharding."""

import logging
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from tests.evaluation.metrics.test_recall_at_k import world
from tests.ranks import run_on_ranks
from tests.runs import run, small_config
from tests.segmenting import NARROW
from urbancross_mm.evaluation import SegmentationMetric
from urbancross_mm.inference.segmentation import read_legend
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.run_logs import read_validations

CLASSES = ['background', 'plane', 'boat', 'pond', 'bridge', 'stadium']
ABSENT_BUT_PREDICTED, NOWHERE = 4, 5


def maps(number: int = 13) -> list[RetrievalDataSample]:
    """Samples of ``world`` with maps of several sizes; some without labels, some without a map."""
    generator = torch.Generator().manual_seed(3)
    samples = world(num_images=number)
    for position, sample in enumerate(samples):
        if position % 5 == 4:
            continue
        size = (1, 6 + position, 7)
        labels = torch.randint(ABSENT_BUT_PREDICTED, size, generator=generator)
        predicted = torch.randint(NOWHERE, size, generator=generator)
        right = torch.rand(size, generator=generator) < 0.6
        predicted = torch.where(right, labels, predicted)
        labels[torch.rand(size, generator=generator) < 0.2] = 255
        if position % 5 == 3:
            labels[:] = 255
        sample.gt_sem_seg = PixelData(data=labels)
        sample.pred_sem_seg = PixelData(data=predicted)
    return samples


def evaluate(
    samples: list[RetrievalDataSample], *others: dict, classes=CLASSES, **settings
) -> dict:
    metric = dict(type='urbancross_mm.SegmentationMetric', **settings)
    evaluator = Evaluator([metric, *others])
    evaluator.dataset_meta = {} if classes is None else dict(classes=classes)
    for start in range(0, len(samples), 4):
        evaluator.process(data_samples=samples[start : start + 4], data_batch=None)
    return evaluator.evaluate(len(samples))


def naive(samples: list[RetrievalDataSample], count: int = len(CLASSES)) -> dict[str, float]:
    """From one confusion matrix, a pixel and a class at a time."""
    matrix = [[0] * count for _ in range(count)]
    for sample in samples:
        if 'gt_sem_seg' in sample:
            pairs = zip(sample.gt_sem_seg.data.flatten(), sample.pred_sem_seg.data.flatten())
            for label, predicted in ((int(a), int(b)) for a, b in pairs):
                if label != 255:
                    matrix[label][predicted] += 1
    total = sum(map(sum, matrix))
    accuracy, iou, f1, weighted = [], [], [], 0.0
    for k in range(count):
        hit, labeled = matrix[k][k], sum(matrix[k])
        predicted = sum(row[k] for row in matrix)
        if labeled:
            accuracy.append(hit / labeled)
            weighted += labeled / total * hit / (labeled + predicted - hit)
        if labeled + predicted:
            iou.append(hit / (labeled + predicted - hit))
            f1.append(2 * hit / (labeled + predicted))
    shares = dict(
        aAcc=sum(matrix[k][k] for k in range(count)) / total,
        mAcc=np.mean(accuracy),
        mIoU=np.mean(iou),
        FWIoU=weighted,
        mF1=np.mean(f1),
    )
    return {f'segmentation/{name}': 100 * share for name, share in shares.items()}


def test_mmseg_does_not_warn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        SegmentationMetric()
    assert caplog.records == []


def test_against_a_confusion_matrix() -> None:
    samples = maps()
    expected = naive(samples)
    assert len({round(value, 1) for value in expected.values()}) == 5
    assert evaluate(samples) == pytest.approx(expected, abs=0.005)


def test_the_classes_of_the_mean_f1() -> None:
    """One that is predicted but never labeled counts 0; one in neither is left out."""
    sample = world()[0]
    sample.gt_sem_seg = PixelData(data=torch.tensor([[[0, 0, 1, 1]]]))
    sample.pred_sem_seg = PixelData(data=torch.tensor([[[0, 0, 1, 1]]]))
    assert set(evaluate([sample]).values()) == {100.0}
    sample.pred_sem_seg.data[0, 0, 3] = ABSENT_BUT_PREDICTED
    metrics = evaluate([sample])
    assert metrics['segmentation/mF1'] == pytest.approx(100 * (1 + 2 / 3 + 0) / 3, abs=0.005)
    assert metrics['segmentation/FWIoU'] == 75.0
    assert not any(map(math.isnan, metrics.values()))


def test_beside_the_other_metrics() -> None:
    """mmseg's own takes images without a class map if the pipeline gives them an empty one."""
    samples = maps()
    for sample in samples:
        if 'gt_sem_seg' not in sample:
            sample.gt_sem_seg = PixelData(data=torch.full((1, 4, 4), 255))
            sample.pred_sem_seg = PixelData(data=torch.zeros(1, 4, 4).long())
    others = [
        dict(type='urbancross_mm.RecallAtK'),
        dict(type='mmseg.IoUMetric', prefix='theirs'),
    ]
    metrics = evaluate(samples, *others)
    assert 'retrieval/mR' in metrics
    for name in ('mIoU', 'aAcc', 'mAcc'):
        assert metrics[f'segmentation/{name}'] == pytest.approx(metrics[f'theirs/{name}'], abs=0.02)
    assert metrics.items() >= evaluate(maps()).items()


def test_what_padding_repeats_counts_once() -> None:
    samples = maps()
    assert evaluate([*samples, samples[0], samples[1]]) == evaluate(samples)


def test_numbers_instead_of_names() -> None:
    assert evaluate(maps(), classes=None) == evaluate(maps())


def test_another_ignored_label() -> None:
    samples = maps()
    labels = [sample.gt_sem_seg.data for sample in samples if 'gt_sem_seg' in sample]
    for data in labels:
        data[data == 255] = 2
    other = evaluate(samples, ignore_index=2)
    for data in labels:
        data[data == 2] = 255
    assert other == evaluate(samples) != evaluate(maps())


def test_no_class_map_at_all_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(
        'urbancross_mm.evaluation.metrics.segmentation_metric.print_log',
        lambda text, logger, level: said.append((text, level)),
    )
    metrics = evaluate(world(), dict(type='urbancross_mm.RecallAtK'))
    assert 'retrieval/mR' in metrics and not any('segmentation' in name for name in metrics)
    ((text, level),) = said
    assert 'none of 13 images has a class map' in text and level == logging.WARNING


def without_prediction(samples: list[RetrievalDataSample]) -> None:
    del samples[1].pred_sem_seg


def strange_label(samples: list[RetrievalDataSample]) -> None:
    samples[1].gt_sem_seg.data[0, 0, 0] = 6


def strange_prediction(samples: list[RetrievalDataSample]) -> None:
    samples[1].pred_sem_seg.data[0, 0, 0] = 14


def another_image(samples: list[RetrievalDataSample]) -> None:
    for sample, path in zip(samples[:2], ('a.png', 'b.png')):
        sample.set_metainfo(dict(img_id='set/001', img_path=path))


@pytest.mark.parametrize(
    ('spoil', 'error', 'message'),
    [
        (without_prediction, KeyError, "'set/001' has a class map but no pred_sem_seg"),
        (strange_label, ValueError, "label of 'set/001' is 6, .* 6 classes"),
        (strange_prediction, ValueError, "prediction of 'set/001' is 14, .* 6 classes"),
        (another_image, ValueError, "'set/001', a.png and b.png"),
    ],
)
def test_bad_samples_are_named(spoil, error, message: str) -> None:
    samples = maps()
    spoil(samples)
    with pytest.raises(error, match=message):
        evaluate(samples)


def on_a_rank(rank: int, labeled_on_one: bool) -> dict:
    """Share 13 images; the padding repeats one, or only one rank has class maps."""
    samples = maps()
    own = [samples[i] for i in [*range(13), 0][rank::2]]
    if labeled_on_one:
        own = [s for s in samples if ('gt_sem_seg' in s) == bool(rank)]
    metric = SegmentationMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process(None, [s.to_dict() for s in own])
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('labeled_on_one', [False, True])
def test_two_ranks_equal_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labeled_on_one: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'meet').mkdir()
    ranks = run_on_ranks(on_a_rank, tmp_path / 'meet', labeled_on_one)
    assert ranks == [evaluate(maps())] * 2


def test_in_a_run(in_sample_dir: Path, tmp_path: Path) -> None:
    """Beside retrieval, with the classes of the dataset, which the checkpoint then names."""
    cfg = small_config('sirs/sirs.py', tmp_path, **NARROW)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.val_evaluator = [
        dict(type='RecallAtK'),
        dict(type='SegmentationMetric'),
        dict(type='mmseg.IoUMetric', prefix='theirs'),
    ]
    cfg.default_hooks.checkpoint.save_best = 'segmentation/mIoU'
    cfg.default_hooks.checkpoint.rule = 'greater'
    runner = run(cfg)
    (scores,) = read_validations(tmp_path).values()
    assert scores['segmentation/mIoU'] == pytest.approx(scores['theirs/mIoU'], abs=0.02)
    assert 0 < scores['segmentation/mF1'] <= 100 and 'retrieval/mR' in scores
    assert 'StorageTank' in next(tmp_path.glob('*/*.log')).read_text()
    best = next(tmp_path.glob('best_segmentation_mIoU_*.pth'))
    assert read_legend(runner.model, best, Config()).names[3] == 'StorageTank'


def test_mmseg_is_imported_when_the_metric_is_built() -> None:
    code = 'import sys, urbancross_mm.evaluation; sys.exit("mmseg" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
