"""Every pair is judged on its own."""

import pytest
import torch
from torch.nn.functional import logsigmoid

from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import SigLIPLoss


def test_against_a_double_loop() -> None:
    images, texts = normalize(torch.randn(3, 6)), normalize(torch.randn(4, 6))
    positives = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
    expected = 0.0
    for i in range(3):
        for j in range(4):
            logit = 10 * images[i] @ texts[j] - 10
            expected -= logsigmoid(logit if positives[i, j] else -logit).item() / 3
    loss = SigLIPLoss()(images, texts, positives)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_scale_and_bias_learn() -> None:
    loss = SigLIPLoss()
    loss(torch.eye(3), torch.eye(3)).backward()
    assert loss.logit_scale.grad is not None and loss.logit_bias.grad is not None
    assert loss.diagnostics()['logit_bias'].item() == -10


def test_bad_scale() -> None:
    with pytest.raises(ValueError, match='-1'):
        SigLIPLoss(init_scale=-1)
