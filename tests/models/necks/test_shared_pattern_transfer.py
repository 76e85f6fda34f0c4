"""What all modalities go through."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from urbancross_mm.models import SharedPatternTransfer

DIM = 16


def build(**options: object) -> SharedPatternTransfer:
    torch.manual_seed(0)
    return SharedPatternTransfer(DIM, **{'heads': 4, 'hidden_dim': 24, **options})


def encoder_by_hand(encoder: nn.TransformerEncoder, x: Tensor) -> Tensor:
    """Attention over one token: value and output projection, whatever queries and keys are."""
    for layer in encoder.layers:
        attention, normed = layer.self_attn, layer.norm1(x)
        value = functional.linear(
            normed, attention.in_proj_weight[2 * DIM :], attention.in_proj_bias[2 * DIM :]
        )
        x = x + attention.out_proj(value)
        x = x + layer.linear2(layer.linear1(layer.norm2(x)).relu())
    return encoder.norm(x)


@pytest.mark.parametrize('patterns, layers', [(3, 1), (1, 1), (4, 2)])
def test_against_the_equations(patterns: int, layers: int) -> None:
    neck = build(patterns=patterns, layers=layers).eval()
    feats = torch.randn(5, DIM)
    neck.norms['any'].running_mean.normal_()
    neck.norms['any'].running_var.uniform_(0.5, 2)
    x = feats / feats.norm(dim=1, keepdim=True)
    x = (x - neck.norms['any'].running_mean) / (
        neck.norms['any'].running_var + neck.norms['any'].eps
    ).sqrt()
    x = encoder_by_hand(neck.first, x)
    linear, gelu, _, last, _ = neck.gates
    gates = torch.sigmoid(last(gelu(linear(x))))
    mixed = sum(gates[:, k, None] * (x @ neck.memory[k]) for k in range(patterns))
    torch.testing.assert_close(neck(feats), encoder_by_hand(neck.second, mixed))


def test_the_length_of_a_vector_does_not_count_and_rows_do_not_mix() -> None:
    neck, feats = build().eval(), torch.randn(4, DIM)
    out = neck(feats)
    torch.testing.assert_close(neck(7 * feats), out)
    for row, alone in zip(out, feats):
        torch.testing.assert_close(neck(alone[None])[0], row)


def test_a_batch_of_one_trains_by_the_running_statistics() -> None:
    neck, row = build(dropout=0.0).train(), torch.randn(1, DIM, requires_grad=True)
    neck.gates[2].p = 0.0
    neck(torch.randn(8, DIM))
    before = neck.norms['any'].running_mean.clone()
    out = neck(row)
    assert torch.equal(neck.norms['any'].running_mean, before)
    torch.testing.assert_close(out, neck.eval()(row))
    (out * torch.randn(1, DIM)).sum().backward()
    assert row.grad.abs().sum() > 0


@pytest.mark.parametrize('training', [True, False])
def test_no_row(training: bool) -> None:
    assert build().train(training)(torch.zeros(0, DIM)).shape == (0, DIM)


def test_each_modality_may_have_statistics_of_its_own() -> None:
    feats = {'image': torch.randn(64, DIM) + 2, 'audio': torch.randn(64, DIM) - 2}
    apart, mixed = build(modalities=tuple(feats), dropout=0.0), build(dropout=0.0)
    for neck in (apart, mixed):
        for norm in neck.norms.values():
            norm.momentum = None  # the plain mean over all batches
        for name, rows in feats.items():
            neck(rows, name)
    means = {name: functional.normalize(rows).mean(dim=0) for name, rows in feats.items()}
    for name, mean in means.items():
        torch.testing.assert_close(apart.norms[name].running_mean, mean)
    both = sum(means.values()) / 2
    torch.testing.assert_close(mixed.norms['any'].running_mean, both, atol=1e-6, rtol=0)
    # So at test time a batch is normalized as it was in training.
    apart.gates[2].p = 0.0
    for name, rows in feats.items():
        trained = apart(rows, name)
        torch.testing.assert_close(apart.eval()(rows, name), trained, atol=0.05, rtol=0.05)
        apart.train()
    with pytest.raises(KeyError):
        apart(feats['image'], 'text')


def test_every_weight_is_used() -> None:
    neck = build(layers=2).train()
    (neck(torch.randn(6, DIM)) * torch.randn(6, DIM)).sum().backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_the_first_maps() -> None:
    kept, released = build().memory, build(memory='uniform').memory
    for pattern in kept:
        torch.testing.assert_close(pattern @ pattern.t(), torch.eye(DIM))
    assert released.min() >= 0 and released.max() < 1
    assert abs(released.mean().item() - 0.5) < 0.05
    assert not torch.equal(released[0], released[1])


def test_the_uniform_maps_stretch_what_a_norm_has_centered() -> None:
    feats = functional.layer_norm(torch.randn(50, 512), (512,))
    for memory, expected in (('orthogonal', 1.0), ('uniform', (512 / 12) ** 0.5)):
        pattern = SharedPatternTransfer(512, patterns=1, memory=memory).memory[0]
        ratio = (feats @ pattern).norm(dim=1) / feats.norm(dim=1)
        assert ratio.mean().item() == pytest.approx(expected, rel=0.05)


def test_layers_begin_differently() -> None:
    first, second = build(layers=2).first.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_the_published_size() -> None:
    count = sum(parameter.numel() for parameter in SharedPatternTransfer().parameters())
    assert count == pytest.approx(5.0e6, rel=0.02)


def test_options_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match="memory .*'zeros'"):
        build(memory='zeros')
    with pytest.raises(ValueError, match='patterns .* got 0'):
        build(patterns=0)
