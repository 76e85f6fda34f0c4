"""Which data a config tests on, and testing one domain's model on another's."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mmengine.config import Config

from urbancross_mm.evaluation import RecallAtK
from urbancross_mm.registry import MODELS
from urbancross_mm.utils.config import nested_dicts


def replace_test_set(source: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    """Test a source's model on the test split of a target.

    Test data, their pipeline and the metric are the target's. The tokenizer stays the source's:
    a vocabulary that was built from the target's captions would mean other words to its model.
    Features that were computed beforehand are data, though, looked up in the target's file.

    Args:
        source (Mapping): The config of the model.
        target (Mapping): The config of the data.

    Returns:
        dict[str, Any]: The source's config with another test set; the arguments are left alone.
    """
    tokenize = next(nested_dicts(source.get('test_dataloader'), 'TokenizeText'), None)
    config = dict(source)
    for key in ('test_dataloader', 'test_evaluator'):
        config[key] = deepcopy(target.get(key))
    if tokenize is None or next(nested_dicts(tokenize, 'FeatureTokenizer'), None):
        return config
    for step in nested_dicts(config['test_dataloader'], 'TokenizeText'):
        step.clear()
        step.update(deepcopy(tokenize))
    return config


def add_label_free_scores(cfg: Config) -> None:
    """Let a test log what reads no pair, too, unless the model scores pairs.

    It is no setting of a job: results of earlier versions stay valid without these scores.

    Args:
        cfg (Config): Its ``test_evaluator`` is changed in place.
    """
    evaluators = cfg.test_evaluator
    if next(nested_dicts(evaluators, 'LabelFreeMetric'), None):
        return
    if getattr(MODELS.get(cfg.model.type), 'score_pairs', None) is None:
        evaluators = evaluators if isinstance(evaluators, list) else [evaluators]
        cfg.test_evaluator = [*evaluators, dict(type='LabelFreeMetric')]


def check_same_test_set(
    path: str, config: Mapping[str, Any], target_path: str, target: Mapping[str, Any]
) -> None:
    """Refuse to compare numbers of different test data.

    Args:
        path (str): Adaptation config.
        config (Mapping): Its content.
        target_path (str): Source config of its target domain, or the first adaptation config.
        target (Mapping): Its content.

    Raises:
        ValueError: If they test on different files or items, or count hits differently, or not at
            all. Other metrics beside do not matter.
    """
    if not _protocols(target):
        raise ValueError(
            f'the test of {target_path} has no RecallAtK: a matrix needs a target with captions'
        )
    for what, adapted, trained in (
        ('data', files_of_test(config), files_of_test(target)),
        ('protocol', _protocols(config), _protocols(target)),
    ):
        if adapted != trained:
            raise ValueError(
                f'the test {what} of {path} and of {target_path} differ, so their '
                f'numbers cannot be compared: {adapted} and {trained}'
            )


def files_of_test(config: Mapping[str, Any]) -> list[str]:
    """Name the data that a config tests on.

    Args:
        config (Mapping): A config.

    Returns:
        list[str]: The annotation file of each dataset, and which of its items are used.
    """
    files = []
    for node in nested_dicts(config.get('test_dataloader')):
        if 'ann_file' in node:
            path = os.path.join(node.get('data_root') or '', node['ann_file'])
            items = node.get('indices')
            files.append(path if items is None else f'{path} (items {items})')
    return files


def _protocols(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What decides the value of each RecallAtK, defaults filled in."""
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(RecallAtK).parameters.items()
    }
    return [
        {
            name: json.loads(json.dumps(metric.get(name, defaults[name])))
            for name in ('topk', 'ties', 'equal_captions')
        }
        for metric in nested_dicts(config.get('test_evaluator'), 'RecallAtK')
    ]
