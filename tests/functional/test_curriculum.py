"""The values of the schedules, stage by stage."""

import math

import pytest

from urbancross_mm.functional.curriculum import reversal_ramp, scheduled


def values(count: int, *args: object, **kwargs: object) -> list[float]:
    return [scheduled(stage, *args, **kwargs) for stage in range(count)]


def test_the_published_ratio_and_the_source_samples_it_selects() -> None:
    ratios = values(5, 5)
    assert ratios == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [round(ratio * 80) for ratio in ratios] == [16, 32, 48, 64, 80]
    assert scheduled(9, 5) == 1.0 == scheduled(4, 5)  # never above, whatever floats add up to


def test_the_published_margin_reaches_its_cap_after_the_last_stage() -> None:
    margins = values(8, 5, start=0.5, step=0.2, end=1.5)
    assert margins == pytest.approx([0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.5, 1.5])


def test_a_step_downwards_stops_at_its_end_too() -> None:
    assert values(4, 4, start=1.0, step=-0.4, end=0.1) == pytest.approx([1.0, 0.6, 0.2, 0.1])


def test_linear_reaches_its_end_at_the_last_stage() -> None:
    linear = values(6, 4, 'linear', start=0.1, end=1.0)
    assert linear == pytest.approx([0.1, 0.4, 0.7, 1.0, 1.0, 1.0])
    assert values(3, 3, 'linear', start=1.0, end=0.5) == pytest.approx([1.0, 0.75, 0.5])
    assert scheduled(0, 1, 'linear', start=0.3) == 0.3


def test_the_last_value_of_a_table_stays() -> None:
    assert values(4, 9, 'table', table=(0.5, 0.1, 0.9)) == [0.5, 0.1, 0.9, 0.9]


@pytest.mark.parametrize(
    'args, words',
    [
        ((0, 5, 'cosine'), "one of .*'step', 'linear', 'table'.* got 'cosine'"),
        ((0, 5, 'table'), 'needs a table of values, got none'),
        ((-1, 5), 'counted from 0, got -1'),
    ],
)
def test_mistakes(args: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        scheduled(*args)


def test_ramp_of_dann() -> None:
    assert reversal_ramp(0.0) == 0.0
    assert reversal_ramp(0.1) == pytest.approx(math.tanh(0.5))  # 2 / (1 + e^-x) - 1 = tanh(x / 2)
    assert reversal_ramp(0.5) == pytest.approx(0.98661, abs=1e-5)
    assert reversal_ramp(1.0) == pytest.approx(0.99991, abs=1e-5)
    assert reversal_ramp(0.2, gamma=5.0) == pytest.approx(reversal_ramp(0.1))
    assert reversal_ramp(0.5, maximum=-0.1) == pytest.approx(-0.098661, abs=1e-6)
    assert reversal_ramp(-3.0) == 0.0 and reversal_ramp(7.0) == reversal_ramp(1.0)
