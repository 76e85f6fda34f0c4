"""One word for an adaptation, and one sentence why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from urbancross_mm.inference.trust.estimate import Estimate

# Steps that an adaptation needs (MinStepsHook).
STEPS = 240


# Share of the items with clearly better partners in the source: above the first a loss is likely,
# above the second contents differ (docs/results/index.md#does-the-report-tell).
DOUBTFUL, MISSING = 0.12, 0.25


class Verdict(NamedTuple):
    """``name``: of VERDICTS; ``reason``: a sentence."""

    name: str
    reason: str


VERDICTS = ('adapted', 'uncertain', 'not enough steps', 'content does not match', 'do not use')


def judge(measured: Mapping[str, float], gain: Estimate, least_within: float) -> Verdict:
    """Decide by content, then by steps, then by what became of the plan, and by the estimate.

    Coverage and stability are not asked: over runs whose pairs were known, they did not tell
    contents that match from others.

    Args:
        measured (Mapping[str, float]): The measures, with ``steps``, ``missing_texts`` and
            ``missing_images``.
        gain (Estimate): Of the gain.
        least_within (float): Least ``text_within`` of contents that match.

    Returns:
        Verdict: 'adapted' only if the estimate lies above 0 with its error, and among the runs that
        it was learned from.
    """
    within, steps = measured['text_within'], measured['steps']
    said = f'the estimated gain is {gain.gain:+.0f} % ({gain.low:+.0f} to {gain.high:+.0f} %)'
    missing = measured['missing_texts'] + measured['missing_images']
    if missing > MISSING:
        return Verdict(
            'content does not match',
            f'{measured["missing_texts"]:.0%} of the images have clearly better texts in the '
            f'source, and {measured["missing_images"]:.0%} of the texts clearly better images',
        )
    if within < least_within:
        return Verdict(
            'content does not match',
            f'{within:.2f} of what sets the captions apart sets images apart too, and where '
            f'contents matched it was at least {least_within:.2f}, in 9 of 10 runs',
        )
    if steps < STEPS:
        return Verdict(
            'not enough steps',
            f'the run took {steps:.0f} steps, and an adaptation needs {STEPS} to be relied on',
        )
    before, after = measured['score_before'], measured['score_after']
    if after < before:
        return Verdict(
            'do not use',
            f'the adapted model scores the pairs of the plan at {after:.2f}, the source model at '
            f'{before:.2f}: half of such runs were harmful, mostly by a learning rate too high',
        )
    if gain.high < 0:
        return Verdict('do not use', f'{said}: the source model is probably better')
    if missing > DOUBTFUL:
        return Verdict(
            'uncertain',
            f'{measured["missing_texts"]:.0%} of the images have clearly better texts in the '
            f'source, and {measured["missing_images"]:.0%} of the texts clearly better images: '
            'look at the sheets, caption fifty tiles and test',
        )
    if gain.outside:
        return Verdict(
            'uncertain',
            f'{said}, but no run that it was learned from had such values of '
            f'{" and ".join(gain.outside)}: caption fifty tiles and test',
        )
    if gain.low <= 0:
        return Verdict('uncertain', f'{said}, which includes a loss: caption fifty tiles and test')
    return Verdict(
        'adapted',
        f'{said}, captions and images have much in common, and {steps:.0f} steps sufficed',
    )
