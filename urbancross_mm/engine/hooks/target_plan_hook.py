"""What an adaptation settles before it begins."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from urbancross_mm.functional.plan_digest import change
from urbancross_mm.registry import HOOKS
from urbancross_mm.utils.config import find_pipeline
from urbancross_mm.utils.dist import copy_from_first

# UCM and RSICD share eight to nine words in ten; two languages share next to none.
FEW_WORDS = 0.5


@HOOKS.register_module()
class TargetPlanHook(Hook):
    """Let the losses of an adaptation see the whole target before training.

    The model that training starts from encodes the images and texts of the target once, with the
    pipeline of the test set. :class:`PlannedPairingLoss` makes its plan of them. Each rank does
    the same with the seed of the first, so that the plans are equal. A resumed run does it again,
    and warns if its plan is of other items, labels or weights than that of its checkpoint. Texts
    in other words than those of the source, as of another language, are warned of.

    Args:
        batch_size (int): Images, and texts, per forward pass. Defaults to 64.

    Raises:
        ValueError: If the training set has no member of the target, or several.
    """

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def before_train(self, runner: Runner) -> None:
        """Encode the target and hand it to the losses.

        Args:
            runner (Runner): Has the model, the training set and the log.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        members = target_members(runner, model.adaptation.target)
        if len(members) > 1:
            raise ValueError(
                f'the training set has {len(members)} members of the target '
                f'{model.adaptation.target!r}: join them in one UnpairedDataset'
            )
        _warn_of_other_words(runner, members[0])
        before = _digests(model.adaptation)
        summary = model.adaptation.prepare(
            model,
            members[0],
            _plain_pipeline(runner),
            self.batch_size,
            runner.cfg.train_dataloader.get('num_workers', 0),
            _common_seed(runner),
        )
        runner.logger.info(summary)
        if runner.iter:
            _warn_of_another_plan(runner, before, _digests(model.adaptation))


def target_members(runner: Runner, target: str) -> list[BaseDataset]:
    """The datasets of the target in the training set; on every rank the same.

    Args:
        runner (Runner): Has the loader.
        target (str): The domain.

    Returns:
        list[BaseDataset]: One at least.

    Raises:
        ValueError: If there is none.
    """
    members = [
        member
        for member in getattr(runner.train_dataloader.dataset, 'datasets', ())
        if member.metainfo.get('domain') == target
    ]
    if not members:
        raise ValueError(f'the training loader has no image of the target {target!r}')
    return members


def known_words(texts: Iterable[str], others: Iterable[str]) -> float:
    """Share of the words of texts, counted as often as they occur, that other texts use.

    Args:
        texts (Iterable[str]): Such as those of the target.
        others (Iterable[str]): Such as those of the source.

    Returns:
        float: 0 to 1; 1 if there is no word.
    """
    known = {word for text in others for word in _words(text)}
    words = [word for text in texts for word in _words(text)]
    return sum(word in known for word in words) / len(words) if words else 1.0


def _words(text: str) -> list[str]:
    return re.findall(r'\w+', text.lower())


def _warn_of_other_words(runner: Runner, target: Any) -> None:
    captions = [
        caption
        for member in runner.train_dataloader.dataset.datasets
        # Labels are in the words of the target.
        if member is not target and not getattr(member, 'anchors_file', None)
        for index in range(len(member))
        for caption in BaseDataset.get_data_info(member, index)['captions']
    ]
    share = known_words(target.pool, captions)
    if captions and share < FEW_WORDS:
        runner.logger.log(
            logging.WARNING,
            f'only {share:.0%} of the words of the target occur in captions of the source, such '
            f'as not in {target.pool[0]!r}: if they are of another language, the model does not '
            'know it, and the adaptation will harm',
        )


def _plain_pipeline(runner: Runner) -> list[dict[str, Any]] | None:
    """The pipeline that does not augment, if the config has one."""
    pipeline = find_pipeline(runner.cfg, 'test_dataloader', 'val_dataloader')
    if pipeline is None:
        runner.logger.warning(
            'neither test_dataloader nor val_dataloader has a pipeline: the plan is made of images '
            'as the training pipeline augments them'
        )
    return pipeline


def _common_seed(runner: Runner) -> int:
    """That of the first rank; ``randomness.diff_rank_seed`` gives each its own."""
    seed = torch.tensor(runner.seed or 0)
    copy_from_first([seed])
    return int(seed)


def _digests(adaptation: nn.Module) -> dict[str, torch.Tensor]:
    """What the plans of the losses were made of."""
    return {
        name: buffer.cpu().clone()
        for name, buffer in adaptation.named_buffers()
        if name.endswith('plan_digest')
    }


def _warn_of_another_plan(
    runner: Runner, before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]
) -> None:
    for what in sorted({change(before[name], after[name]) for name in after} - {''}):
        runner.logger.warning(
            f'the resumed run goes on with another plan than it began with, because {what} changed '
            'since: restore them, or begin a new run'
        )
