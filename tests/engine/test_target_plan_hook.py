"""What the hook reads of a run before it lets the losses make a plan."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from tests.datasets.tiny import item, write
from tests.engine.test_adaptation_hooks import Lines
from tests.models.helpers import sample, target_items
from tests.ranks import run_on_ranks
from urbancross_mm.datasets import AnchorDataset, ImageTextDataset, UnpairedDataset
from urbancross_mm.engine import TargetPlanHook
from urbancross_mm.engine.hooks.target_plan_hook import known_words
from urbancross_mm.models import PlannedPairingLoss
from urbancross_mm.models.adaptation.target_items import TargetItems

ENGLISH = ['a red roof', 'a long road', 'trees at the water', 'a field']
SPANISH = ['un tejado rojo', 'una carretera larga', 'unos bosques', 'un campo']
PLAIN = [dict(type='LoadImage'), dict(type='ResizeImage', scale=8)]


class Adaptation(nn.ModuleList):
    """Remembers what it was prepared with."""

    def __init__(self, items: TargetItems | None = None) -> None:
        super().__init__([PlannedPairingLoss()])
        self.target, self.items, self.arguments = 'spain', items, ()

    def prepare(self, model: nn.Module, *arguments: Any) -> str:
        self.arguments = arguments
        if self.items is not None:
            self[0].set_target(self.items)
        return 'prepared'


def runner(
    members: list[Any], adaptation: Adaptation | None = None, iteration: int = 0, **cfg: Any
) -> SimpleNamespace:
    model = nn.Module()
    model.adaptation = adaptation or Adaptation()
    logger = logging.Logger('test')
    logger.addHandler(lines := Lines())
    return SimpleNamespace(
        model=model,
        iter=iteration,
        seed=7,
        cfg=Config(dict(dict(train_dataloader={}, test_dataloader=loader(PLAIN)), **cfg)),
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(datasets=members)),
        logger=logger,
        lines=lines,
    )


def loader(pipeline: list[dict[str, Any]] | None) -> dict[str, Any]:
    return dict(dataset=dict(type='ImageTextDataset', pipeline=pipeline))


def files(root: Path, texts: list[str]) -> dict[str, str]:
    return write(root, [item(str(i), [text]) for i, text in enumerate(texts)])


@pytest.fixture
def target(tmp_path: Path) -> UnpairedDataset:
    return UnpairedDataset(**files(tmp_path / 'spain', SPANISH), domain='spain')


@pytest.fixture
def source(tmp_path: Path) -> ImageTextDataset:
    return ImageTextDataset(**files(tmp_path / 'finland', ENGLISH), domain='finland')


def warnings_of(run: SimpleNamespace) -> list[str]:
    TargetPlanHook().before_train(run)
    return [line for line in run.lines.texts if line.startswith('WARNING')]


@pytest.mark.parametrize(
    'texts, others, share',
    [
        (['A road.', 'a tree'], ['the road', 'A'], 0.75),
        (['a a a b'], ['a'], 0.75),
        (['un campo'], ['a field'], 0.0),
        (['un campo'], [], 0.0),
        ([], ['a'], 1.0),
        (['...'], ['a'], 1.0),
    ],
)
def test_known_words_count_as_often_as_they_occur(
    texts: list[str], others: list[str], share: float
) -> None:
    assert known_words(texts, others) == share


def test_another_language_is_warned_of(target, source) -> None:
    (line,) = warnings_of(runner([source, target]))
    assert 'only 0%' in line and 'un campo' in line


def test_the_same_language_is_not(tmp_path, source) -> None:
    same = UnpairedDataset(**files(tmp_path / 'spain', ENGLISH[1:]), domain='spain')
    assert warnings_of(runner([source, same])) == []


def test_labels_do_not_hide_another_language(tmp_path, source) -> None:
    """Their captions are those of the target, so they say nothing of what the source knows."""
    data = files(tmp_path / 'spain', SPANISH)
    path = tmp_path / 'anchors.csv'
    path.write_text('image,caption\n' + ''.join(f'{i}.png,{t}\n' for i, t in enumerate(SPANISH)))
    labeled = dict(data, anchors_file=str(path))
    target, anchors = UnpairedDataset(**labeled, domain='spain'), AnchorDataset(**labeled)
    (line,) = warnings_of(runner([source, target, anchors]))
    assert 'only 0%' in line
    # Nor are they a source of another language where there is no other.
    assert warnings_of(runner([target, anchors])) == []


def test_two_members_of_the_target(target, source) -> None:
    with pytest.raises(ValueError, match="2 members of the target 'spain'.*UnpairedDataset"):
        TargetPlanHook().before_train(runner([source, target, target]))


def test_no_member_of_the_target(source) -> None:
    with pytest.raises(ValueError, match="'spain'"):
        TargetPlanHook().before_train(runner([source]))


@pytest.mark.parametrize(
    'cfg',
    [
        dict(),
        dict(test_dataloader=None, val_dataloader=loader(PLAIN)),
        dict(test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[loader(PLAIN)]))),
    ],
)
def test_the_pipeline_is_that_of_the_test_set_also_in_a_concatenated_one(target, cfg) -> None:
    run = runner([target], **cfg)
    assert warnings_of(run) == []
    dataset, pipeline, size, workers, seed = run.model.adaptation.arguments
    assert dataset is target and pipeline == PLAIN
    assert (size, workers, seed) == (64, 0, 7)


def test_no_plain_pipeline_is_said(target) -> None:
    run = runner([target], test_dataloader=None)
    (line,) = warnings_of(run)
    assert 'test_dataloader' in line and run.model.adaptation.arguments[1] is None


def seed_of(rank: int, root: str) -> int:
    target = UnpairedDataset('annotations/tiny.json', root, domain='spain')
    run = runner([target])
    run.seed = 7 + rank  # diff_rank_seed
    TargetPlanHook().before_train(run)
    return run.model.adaptation.arguments[-1]


def test_all_ranks_have_the_seed_of_the_first(tmp_path) -> None:
    files(tmp_path / 'spain', SPANISH)
    (tmp_path / 'meet').mkdir()
    assert run_on_ranks(seed_of, tmp_path / 'meet', str(tmp_path / 'spain')) == [7, 7]


def target_of(count: int, seed: int = 0, **fields: Any) -> TargetItems:
    torch.manual_seed(seed)
    return target_items([sample(f'{i}', [f'{i}']) for i in range(count)])._replace(**fields)


@pytest.mark.parametrize(
    'later, words',
    [
        (target_of(9), 'images, texts or labels'),
        (target_of(8, labels={'1': ['text']}), 'images, texts or labels'),
        (target_of(8, seed=1), 'starting checkpoint'),
        (target_of(8), None),
    ],
)
def test_a_resumed_run_says_that_its_plan_is_another(target, later, words) -> None:
    first, resumed = Adaptation(target_of(8)), Adaptation(later)
    warnings_of(runner([target], first))
    state = first.state_dict()
    resumed.load_state_dict(state)
    found = warnings_of(runner([target], resumed, iteration=5))
    assert [words in line and 'resumed' in line for line in found] == [True] * bool(words)


def test_only_a_resumed_run_whose_checkpoint_knows_its_plan_can_say_so(target) -> None:
    began = Adaptation(target_of(8))
    warnings_of(runner([target], began))
    # A new run that starts from the weights of another adaptation.
    other = Adaptation(target_of(9))
    other.load_state_dict(began.state_dict())
    assert warnings_of(runner([target], other)) == []
    # A checkpoint of before it was recorded.
    assert warnings_of(runner([target], Adaptation(target_of(9)), iteration=5)) == []
