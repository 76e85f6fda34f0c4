"""What the estimate of a gain was learned from: see benchmarks/adaptation_trust.py."""

from urbancross_mm.inference.trust.estimate import Calibration

CALIBRATION = Calibration(
    names=('followed_rise',),
    center=(0.2,),
    scale=(0.1,),
    weights=(0.1,),
    lows=(-1.0,),
    highs=(1.0,),
    intercept=0.1,
    error=0.1,
    least_within=0.17,
    runs=1,
    pairs=1,
)
