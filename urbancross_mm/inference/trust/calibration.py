"""What the estimate of a gain was learned from.

324 adaptations of linear heads on frozen features (EfficientNet-Lite2, MiniLM) between RSICD and UC
Merced, whole and by halves of their classes, whose gain in mR on held-out pairs is known. Made by
``benchmarks/adaptation_trust.py``; see docs/results/index.md#adaptation.
"""

from urbancross_mm.inference.trust.estimate import Calibration

CALIBRATION = Calibration(
    names=('fit', 'shared', 'score_rise'),
    center=(0.56483, 0.2754, 0.86168),
    scale=(0.06801, 0.08148, 0.6559),
    weights=(0.089, 0.08759, 0.07051),
    lows=(0.32938, 0.10072, -0.74618),
    highs=(0.72593, 0.48011, 3.1433),
    intercept=0.19669,
    error=0.22806,
    least_within=0.15151,
    runs=324,
    pairs=14,
)
