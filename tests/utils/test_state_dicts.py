"""What a checkpoint brings, in one line, and weights under other names."""

import torch
from torch import nn

from urbancross_mm.utils.state_dicts import count_parts, load_report, own_weights


def test_a_report_is_short_and_by_part() -> None:
    expected = {'visual.a': torch.ones(1), 'visual.b': torch.ones(2), 'text.a': torch.ones(1)}
    assert load_report(expected, expected, 'x.pt') == 'loaded 3 of 3 weights from x.pt'
    weights = {'visual.a': torch.ones(1), 'visual.b': torch.ones(3), 'head.x.y': torch.ones(1)}
    assert load_report(expected, weights, 'x.pt', ['decoder.a', 'decoder.b']) == (
        'loaded 1 of 3 weights from x.pt; missing: text (1); of another shape: visual (1); '
        'unexpected: decoder (2), head (1)'
    )


def test_many_parts_are_counted() -> None:
    names = [f'part{number}.weight' for number in range(9)]
    assert count_parts(names, most=2) == 'part0 (1), part1 (1), 7 more'
    assert count_parts([]) == 'none'
    assert len(count_parts(['x' * 1000])) < 80


class Renaming(nn.Linear):
    """Knows its weights by other names."""

    def own_weights(self, weights: dict) -> dict:
        return {name.removeprefix('old_'): value for name, value in weights.items()}


class Wrapped(nn.Module):
    """As DistributedDataParallel holds a model."""

    def __init__(self) -> None:
        super().__init__()
        self.module = Renaming(2, 2)


def test_a_model_names_its_own_weights() -> None:
    weights = {'old_weight': torch.ones(2, 2)}
    assert list(own_weights(Renaming(2, 2), weights)) == ['weight']
    assert list(own_weights(Wrapped(), weights)) == ['weight']
    assert own_weights(nn.Linear(2, 2), weights) is weights
