"""One word for an adaptation, and one sentence why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from urbancross_mm.inference.trust.estimate import Estimate

# Steps that an adaptation needs (MinStepsHook).
STEPS = 240
# Of the runs behind the calibration (docs/results): what contents that match hardly ever miss.
LEAST_SUPPORT, LEAST_STABILITY, LEAST_COVERAGE = 0.3, 0.2, 0.6


class Verdict(NamedTuple):
    """``name``: of VERDICTS; ``reason``: a sentence."""

    name: str
    reason: str


VERDICTS = ('adapted', 'uncertain', 'not enough steps', 'content does not match', 'do not use')


def judge(measured: Mapping[str, float], gain: Estimate) -> Verdict:
    """Decide by content, then steps, then the estimate.

    Args:
        measured (Mapping[str, float]): The measures, with ``steps``.
        gain (Estimate): Of the gain.

    Returns:
        Verdict: 'adapted' only if the estimate lies above 0 with its error.
    """
    content = _mismatch(measured)
    steps = measured['steps']
    said = f'the estimated gain is {gain.gain:+.0f} % ({gain.low:+.0f} to {gain.high:+.0f} %)'
    if content:
        return Verdict('content does not match', content)
    if gain.high < 0:
        return Verdict('do not use', f'{said}: the source model is probably better')
    if steps < STEPS:
        return Verdict(
            'not enough steps',
            f'the run took {steps:.0f} steps, and adaptations were tried from {STEPS} on',
        )
    if gain.low <= 0:
        return Verdict('uncertain', f'{said}, which includes a loss: caption fifty tiles and test')
    return Verdict('adapted', f'{said}, the contents match, and {steps:.0f} steps were taken')


def _mismatch(measured: Mapping[str, float]) -> str:
    """What says that images and texts speak of other things, or ''."""
    share = min(measured['image_coverage'], measured['text_coverage'])
    for value, least, words in (
        (share, LEAST_COVERAGE, 'of the images or texts are in groups that find a partner'),
        (measured['support'], LEAST_SUPPORT, 'is how far both halves of the target agree on pairs'),
        (measured['stability'], LEAST_STABILITY, 'is how far the pairing is the same each time'),
    ):
        if value < least:
            return f'{value:.2f} {words} (at least {least}): captions and images differ'
    return ''
