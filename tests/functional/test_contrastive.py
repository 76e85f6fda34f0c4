"""Losses against double loops: value and gradient, several positives, collapse, half types."""

import math

import pytest
import torch

from urbancross_mm.functional import contrastive
from urbancross_mm.functional.similarity import normalize


def naive_ranking(scores, margin, negatives, positives):
    """The formula, one anchor and one negative at a time; sum and number of hinge terms."""
    size, total, terms = len(scores), 0.0, 0
    for matrix, mask in ((scores, positives), (scores.t(), positives.t())):
        for i in range(size):
            hinges = [
                (margin + matrix[i, j] - matrix[i, i]).clamp(min=0)
                for j in range(size)
                if j != i and not mask[i, j]
            ]
            if negatives == 'hardest':
                hinges = [max(hinges)] if hinges else []
            total = total + sum(hinges)
            terms += len(hinges)
    return total, terms


def naive_info_nce(images, texts, scale, positives):
    """Mean over anchors of the mean over positives of -log softmax, both ways."""
    logits = scale * images @ texts.t()
    means = []
    for matrix, mask in ((logits, positives), (logits.t(), positives.t())):
        losses = []
        for row, good in zip(matrix, mask):
            picked = [row.logsumexp(0) - row[j] for j in range(len(row)) if good[j]]
            if picked:
                losses.append(sum(picked) / len(picked))
        means.append(sum(losses) / len(losses))
    return sum(means) / 2


def same_value_and_gradient(first, second, *inputs) -> None:
    """Compare two scalars and their gradients."""
    torch.testing.assert_close(first, second)
    gradients = (torch.autograd.grad(loss, inputs, retain_graph=True) for loss in (first, second))
    for one, other in zip(*gradients):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ('negatives', 'reduction', 'value'),
    [
        ('all', 'sum', 624.0),
        ('hardest', 'sum', 16.0),
        ('all', 'mean', 0.2),
        ('hardest', 'mean', 0.2),
    ],
)
def test_ranking_loss_of_a_collapsed_model(negatives: str, reduction: str, value: float) -> None:
    loss = contrastive.pairwise_ranking(torch.zeros(40, 40), 0.2, negatives, reduction)
    assert loss.item() == pytest.approx(value)


def test_ranking_defaults_are_the_published_ones() -> None:
    assert contrastive.pairwise_ranking(torch.zeros(40, 40)).item() == pytest.approx(624)


@pytest.mark.parametrize('negatives', ['all', 'hardest'])
@pytest.mark.parametrize('masked', [False, True])
def test_ranking_matches_double_loop(negatives: str, masked: bool) -> None:
    scores = torch.randn(9, 9, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(9, 9) < 0.3 if masked else torch.zeros(9, 9, dtype=torch.bool)
    mask[4] |= masked  # an anchor without a single negative
    total, terms = naive_ranking(scores, 0.3, negatives, mask)
    arguments = (scores, 0.3, negatives)
    positives = mask if masked else None
    same_value_and_gradient(
        contrastive.pairwise_ranking(*arguments, 'sum', positives), total, scores
    )
    same_value_and_gradient(
        contrastive.pairwise_ranking(*arguments, 'mean', positives), total / terms, scores
    )


@pytest.mark.parametrize('negatives', ['all', 'hardest'])
@pytest.mark.parametrize('size', [0, 1])
def test_ranking_without_negatives_is_zero(negatives: str, size: int) -> None:
    scores = torch.zeros(size, size, requires_grad=True)
    loss = contrastive.pairwise_ranking(scores, negatives=negatives, reduction='mean')
    loss.backward()
    assert loss.item() == 0.0
    assert not scores.grad.any()


def test_ranking_is_computed_in_float32() -> None:
    assert (
        contrastive.pairwise_ranking(torch.zeros(4, 4, dtype=torch.bfloat16)).dtype == torch.float32
    )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(scores=torch.zeros(3, 4)), r'square.*\(3, 4\)'),
        (dict(scores=torch.zeros(3, 3), negatives='some'), "negatives .* got 'some'"),
        (dict(scores=torch.zeros(3, 3), reduction='max'), "reduction .* got 'max'"),
        (dict(scores=torch.zeros(3, 3), positives=torch.ones(3, 3)), 'positives must be bool'),
    ],
)
def test_ranking_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contrastive.pairwise_ranking(**arguments)


def test_info_nce_without_positives_is_clip_cross_entropy() -> None:
    images, texts = normalize(torch.randn(2, 7, 5))
    images.requires_grad_()
    logits = 9.0 * images @ texts.t()
    target = torch.arange(7)
    expected = (
        torch.nn.functional.cross_entropy(logits, target)
        + torch.nn.functional.cross_entropy(logits.t(), target)
    ) / 2
    same_value_and_gradient(contrastive.info_nce(images, texts, 9.0), expected, images)


def test_info_nce_with_several_positives_matches_loops() -> None:
    images = normalize(torch.randn(6, 5, dtype=torch.float64)).requires_grad_()
    texts = normalize(torch.randn(8, 5, dtype=torch.float64)).requires_grad_()
    scale = torch.tensor(7.0, dtype=torch.float64, requires_grad=True)
    positives = torch.rand(6, 8) < 0.3
    positives[2] = False  # an image without a text serves as a negative only
    positives[0, 0] = True
    same_value_and_gradient(
        contrastive.info_nce(images, texts, scale, positives),
        naive_info_nce(images, texts, scale, positives),
        images,
        texts,
        scale,
    )


def test_info_nce_of_a_collapsed_model_is_log_n_and_equal_rows_cannot_do_better() -> None:
    constant = normalize(torch.ones(16, 4))
    assert contrastive.info_nce(constant, constant, 50.0).item() == pytest.approx(math.log(16))
    same = torch.ones(16, 16, dtype=torch.bool)
    assert contrastive.info_nce(constant, constant, 50.0, same).item() == pytest.approx(
        math.log(16)
    )


def test_info_nce_gradcheck() -> None:
    images = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    texts = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    positives = torch.eye(3, 5, dtype=torch.bool)
    positives[0, 4] = True
    assert torch.autograd.gradcheck(contrastive.info_nce, (images, texts, scale, positives))


def test_losses_ignore_autocast() -> None:
    images, texts = normalize(torch.randn(2, 7, 64))
    with torch.autocast('cpu', torch.bfloat16):
        cast = contrastive.info_nce(images, texts, 100.0)
    assert cast.dtype == torch.float32
    torch.testing.assert_close(cast, contrastive.info_nce(images, texts, 100.0))


def test_siglip_matches_double_loop() -> None:
    images = normalize(torch.randn(4, 5)).requires_grad_()
    texts = normalize(torch.randn(6, 5)).requires_grad_()
    positives = torch.rand(4, 6) < 0.4
    expected = (
        sum(
            torch.log1p(torch.exp(-(1 if positives[i, j] else -1) * (5 * images[i] @ texts[j] - 2)))
            for i in range(4)
            for j in range(6)
        )
        / 4
    )
    same_value_and_gradient(
        contrastive.siglip(images, texts, 5.0, -2.0, positives), expected, images, texts
    )


@pytest.mark.parametrize(
    'loss',
    [
        lambda *args: contrastive.info_nce(args[0], args[1], 1.0, *args[2:]),
        lambda *args: contrastive.siglip(args[0], args[1], 1.0, 0.0, *args[2:]),
    ],
)
def test_embedding_losses_refuse(loss) -> None:
    with pytest.raises(ValueError, match='3 images and 4 texts'):
        loss(torch.eye(3, 5), torch.eye(4, 5))
    with pytest.raises(ValueError, match=r'positives .*bool .*\(3, 4\)'):
        loss(torch.eye(3, 5), torch.eye(4, 5), torch.ones(4, 3, dtype=torch.bool))


@pytest.mark.parametrize('shape', [(0, 0), (0, 3), (3, 0), (1, 1)])
@pytest.mark.parametrize(
    'loss',
    [
        lambda v, t, right: contrastive.siglip(v, t, 10.0, -10.0, right),
        lambda v, t, right: contrastive.info_nce(v, t, 10.0, right),
    ],
)
def test_a_batch_of_nothing_or_one_costs_nothing(loss, shape: tuple[int, int]) -> None:
    embeds = [torch.ones(rows, 1, requires_grad=True) for rows in shape]
    value = loss(*embeds, torch.ones(shape, dtype=torch.bool))
    value.backward()
    assert value.item() == pytest.approx(0.7 if value > 0.1 else 0, abs=0.01)
    assert all(rows.grad.isfinite().all() for rows in embeds)
