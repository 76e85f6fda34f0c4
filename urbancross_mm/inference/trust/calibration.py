"""What the estimate of a gain was learned from.

252 adaptations of linear heads on frozen features (EfficientNet-Lite2, MiniLM) between RSICD and UC
Merced, whole and by halves of their classes, whose gain in mR on held-out pairs is known. Made by
``benchmarks/adaptation_trust.py``; see docs/results/index.md#adaptation.
"""

from urbancross_mm.inference.trust.estimate import Calibration

CALIBRATION = Calibration(
    names=('fit', 'shared', 'score_rise'),
    center=(0.56555, 0.26029, 0.79308),
    scale=(0.06879, 0.07153, 0.61056),
    weights=(0.08155, 0.10189, 0.07741),
    lows=(0.36011, 0.10072, -0.6277),
    highs=(0.72593, 0.41278, 2.6207),
    intercept=0.18098,
    error=0.24149,
    least_within=0.15151,
    runs=252,
    pairs=14,
)
