"""The loss towards a plan that was made before training."""

import pytest
import torch

from tests.models.helpers import EMBED_DIM, domain_batch, sample, target_items
from urbancross_mm.functional.pairing_plan import PlanOptions, make_plan
from urbancross_mm.functional.plan_digest import plan_digest
from urbancross_mm.functional.transport import sinkhorn
from urbancross_mm.models import PlannedPairingLoss
from urbancross_mm.models.adaptation.losses.pairing_loss import Items
from urbancross_mm.models.adaptation.target_items import TargetItems
from urbancross_mm.structures import DomainBatch


def items(images: int = 12) -> TargetItems:
    samples = [sample(f'spain/{i}', [f'text {i}', f'text {i + 100}']) for i in range(images)]
    return target_items(samples)


def build(**kwargs: object) -> PlannedPairingLoss:
    loss = PlannedPairingLoss(**{'memory_size': 20, **kwargs})
    loss.set_embed_dim(EMBED_DIM)
    return loss


def batch_of(target: TargetItems, images: list[int], texts: list[int]) -> DomainBatch:
    return domain_batch(3, len(images))._replace(
        target_image_ids=target.image_keys[images], target_text_ids=target.text_ids[texts]
    )


@pytest.mark.parametrize('options', [{}, dict(structure=0, neighbors=3), dict(matched=0.7)])
def test_pairs_are_those_of_the_plan(options: dict) -> None:
    target = items()
    loss = build(plan=options)
    loss.set_target(target, seed=3)
    plan = make_plan(target.target, PlanOptions(**options), None, target.texts, 3)
    rows, columns = torch.tensor([5, 0, 11]), torch.tensor([23, 4])
    images = Items(torch.zeros(3, EMBED_DIM), target.image_keys[rows])
    texts = Items(torch.zeros(2, EMBED_DIM), target.text_ids[columns])
    got = loss.pairing(images, texts)
    torch.testing.assert_close(got, plan.density(rows, columns))
    assert (got > 0).all() and got.std() > 0


def test_the_memory_knows_whose_embeddings_it_holds() -> None:
    target = items()
    loss = build()
    loss.set_target(target)
    seen = []
    pairing = loss.pairing
    loss.pairing = lambda *both: seen.append(both) or pairing(*both)
    loss(batch_of(target, [0, 1, 2], [3, 4, 5]))
    loss(batch_of(target, [6, 7], [8, 9]))
    images, texts = seen[-1]
    assert torch.equal(images.ids, target.image_keys[[6, 7, 0, 1, 2]])
    assert torch.equal(texts.ids, target.text_ids[[8, 9, 3, 4, 5]])


def test_the_first_step_counts_and_the_gradient_reaches_both_towers() -> None:
    target = items()
    loss = build()
    loss.set_target(target)
    batch = batch_of(target, [0, 1, 2, 3], [4, 5, 6, 7])
    loss(batch)['loss_pairing'].backward()
    assert batch.target_image.grad.abs().sum() > 0 and batch.target_text.grad.abs().sum() > 0


def test_a_training_towards_the_plan_agrees_with_it() -> None:
    """Images end nearest to the texts that the plan gives them."""
    target = items(8)
    loss = build(memory_size=1, scale=10.0, plan=dict(eps=0.05))
    plan = loss.set_target(target)
    everything = torch.arange(8), torch.arange(8)
    wanted = plan.density(*everything)
    images, texts = (torch.randn(8, EMBED_DIM, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([images, texts], 0.05)
    for _ in range(150):
        batch = batch_of(target, list(range(8)), list(range(8)))._replace(
            target_image=torch.nn.functional.normalize(images, dim=1),
            target_text=torch.nn.functional.normalize(texts, dim=1),
        )
        loss.filled.zero_()
        optimizer.zero_grad()
        loss(batch)['loss_pairing'].backward()
        optimizer.step()
    scores = (
        torch.nn.functional.normalize(images, dim=1)
        @ torch.nn.functional.normalize(texts, dim=1).t()
    )
    sharp = wanted.amax(1) > 0.9 * wanted.sum(1)
    assert sharp.any()
    assert torch.equal(scores.argmax(1)[sharp], wanted.argmax(1)[sharp])


def test_klot_is_zero_where_the_cosines_give_the_plan_and_else_above() -> None:
    loss = build(objective='klot')
    logits = torch.randn(5, 7)
    pairs = sinkhorn(logits, 1.0, 500)
    assert loss.distance(logits, pairs).item() == pytest.approx(0, abs=1e-5)
    assert loss.distance(logits, torch.rand(5, 7)) > 0.1
    target = items()
    loss.set_target(target)
    batch = batch_of(target, [0, 1, 2, 3], [4, 5, 6, 7])
    loss(batch)['loss_pairing'].backward()
    assert batch.target_image.grad.abs().sum() > 0


def test_the_plan_is_not_in_a_checkpoint() -> None:
    loss = build()
    before = set(loss.state_dict())
    loss.set_target(items())
    assert set(loss.state_dict()) == before


def test_a_checkpoint_says_what_the_plan_was_made_of() -> None:
    target, loss = items(), build()
    assert not loss.plan_digest.any()
    loss.set_target(target)
    found = loss.state_dict()['plan_digest'].clone()
    assert torch.equal(
        found, plan_digest(target.target, target.image_keys, target.text_ids, target.labels)
    )
    loss.set_target(items(13))
    assert not torch.equal(found, loss.state_dict()['plan_digest'])


def test_without_a_plan_the_hook_is_named() -> None:
    with pytest.raises(RuntimeError, match='TargetPlanHook'):
        build()(domain_batch(3, 6))


def test_an_item_that_is_not_of_the_target_is_named() -> None:
    target = items()
    loss = build()
    loss.set_target(target)
    batch = batch_of(target, [0, 1], [2, 3])
    with pytest.raises(ValueError, match='1 items .* id 77'):
        loss(batch._replace(target_image_ids=torch.tensor([77, int(target.image_keys[0])])))


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(epsilon=1), 'no option epsilon; there are eps, '),
        (dict(eps=0.0), 'eps=0.0'),
        (dict(matched=1.5, groups=-1), 'matched=1.5, groups=-1'),
        (dict(max_items=1), 'max_items=1'),
    ],
)
def test_mistakes(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PlannedPairingLoss(plan=options)


def test_an_unknown_objective() -> None:
    with pytest.raises(ValueError, match="'kl'"):
        PlannedPairingLoss(objective='kl')
