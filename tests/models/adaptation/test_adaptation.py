"""A retriever with an adaptation trains on two domains, and is otherwise the plain one."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from tests.models.helpers import (
    EMBED_DIM,
    HEAD,
    IMAGE_ENCODER,
    TEXT_ENCODER,
    batch,
    cross_modal,
    target_items,
    total,
    urbancross,
)
from tests.ranks import run_on_ranks
from tests.runs import CONFIGS
from urbancross_mm.functional.selection import fuse, select_similar
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.models import (
    BaseRetriever,
    CrossDomainTripletLoss,
    DomainDistanceLoss,
    WeightedDomainAdversarialLoss,
)
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import CurriculumStage, DomainBatch, RetrievalDataSample
from urbancross_mm.utils.ids import stable_id
from urbancross_mm.utils.state_dicts import check_state_dict

PLAIN = dict(
    type='CrossModalRetriever', image_encoder=IMAGE_ENCODER, text_encoder=TEXT_ENCODER, head=HEAD
)
SEGMENTS = dict(PLAIN, type='UrbanCross', segment_encoder=dict(mode='trainable'))
ADVERSARIAL = dict(type='WeightedDomainAdversarialLoss')
TRIPLET = dict(type='CrossDomainTripletLoss')
LIVE = dict(type='SimilarSourceSelector', encoders='live', ratio=0.5)
METHODS = sorted(path.stem for path in (CONFIGS / '_base_' / 'methods').glob('*.py'))
RETRIEVERS = [(PLAIN, cross_modal), (SEGMENTS, lambda: urbancross('trainable'))]


def build(retriever: dict = PLAIN, **kwargs: Any) -> BaseRetriever:
    return MODELS.build(dict(retriever, adaptation={'target': 'spain', **kwargs}))


def loss(
    model: BaseRetriever, inputs: dict[str, Tensor], samples: list[RetrievalDataSample]
) -> dict[str, Tensor]:
    return model(inputs, samples, mode='loss')


def domains(
    source: int = 6, target: int = 3, order: list[int] | None = None
) -> tuple[dict[str, Tensor], list[RetrievalDataSample]]:
    """A batch whose first rows are of the source, unless in another order."""
    inputs, samples = batch(source + target)
    for row, sample in enumerate(samples):
        sample.set_metainfo(dict(domain='finland' if row < source else 'spain'))
        if row >= source:
            sample.set_metainfo(dict(caption_text_ids=[]))
    order = order or list(range(source + target))
    return {name: rows[order] for name, rows in inputs.items()}, [samples[row] for row in order]


@pytest.mark.parametrize('config, plain', RETRIEVERS, ids=['plain', 'segments'])
@pytest.mark.parametrize('loader', ['torch', 'mmengine'])
def test_checkpoints_are_those_of_the_plain_model(
    config: dict, plain: Callable, loader: str
) -> None:
    model, other = build(config, losses=[ADVERSARIAL]), plain()
    state = model.state_dict()
    assert [name for name in state if not name.startswith('adaptation.')] == list(
        other.state_dict()
    )
    assert 'adaptation.0.head.coefficient' in state
    if loader == 'torch':
        result = model.load_state_dict(other.state_dict(), strict=False)
        assert not result.unexpected_keys
        assert all(name.startswith('adaptation.') for name in result.missing_keys)
        other.load_state_dict(state)  # strictly: what the losses learned is passed over
        model.load_state_dict(model.state_dict())  # its own, strictly
    else:
        load_state_dict(model, other.state_dict(), strict=False)
    expected = plain()
    expected.load_state_dict(
        {
            name: value
            for name, value in model.state_dict().items()
            if not name.startswith('adaptation.')
        }
    )
    assert all(
        torch.equal(value, model.state_dict()[name])
        for name, value in expected.state_dict().items()
    )
    if loader == 'mmengine':
        assert all(
            torch.equal(value, model.state_dict()[name])
            for name, value in other.state_dict().items()
        )


def test_a_checkpoint_comes_back_whole() -> None:
    first, second = build(losses=[ADVERSARIAL]), build(losses=[ADVERSARIAL])
    second.load_state_dict(first.state_dict())
    for name, value in second.state_dict().items():
        assert torch.equal(value, first.state_dict()[name]), name
    assert list(copy.deepcopy(first).state_dict()) == list(first.state_dict())
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\).*nothing'):
        second.load_state_dict({**first.state_dict(), 'nothing': torch.ones(1)})


@pytest.mark.parametrize('config, plain', RETRIEVERS, ids=['plain', 'segments'])
def test_the_guard_takes_checkpoints_without_segments_or_losses(
    config: dict, plain: Callable
) -> None:
    check_state_dict(build(config, losses=[ADVERSARIAL]), cross_modal().state_dict(), 'x.pth')
    check_state_dict(plain(), build(config, losses=[ADVERSARIAL]).state_dict(), 'x.pth')
    with pytest.raises(ValueError, match='another model'):
        check_state_dict(build(config), nn.Linear(2, 2).state_dict(), 'x.pth')


@pytest.mark.parametrize('fusion', [1.0, 0.5])
def test_it_encodes_as_the_plain_model(fusion: float) -> None:
    inputs, samples = batch()
    model = build(dict(SEGMENTS, eval_fusion=fusion)).eval()
    plain = urbancross('trainable', eval_fusion=fusion).eval()
    plain.load_state_dict(model.state_dict())
    assert model.embed_dim == EMBED_DIM
    assert torch.equal(model.encode_image(inputs['image']), plain.encode_image(inputs['image']))
    assert torch.equal(model.encode_text(inputs['text']), plain.encode_text(inputs['text']))
    for method in ('embed', 'embed_for_search'):
        expected = getattr(plain, method)(inputs)
        assert all(
            torch.equal(value, expected[name])
            for name, value in getattr(model, method)(inputs).items()
        )
    for got, expected in zip(
        model(inputs, copy.deepcopy(samples), mode='predict'),
        plain(inputs, samples, mode='predict'),
    ):
        assert torch.equal(got.image_embeds, expected.image_embeds)
        assert torch.equal(got.text_embeds, expected.text_embeds)


def test_the_terms_are_those_of_the_selected_pairs() -> None:
    losses = [TRIPLET, ADVERSARIAL, dict(type='DomainDistanceLoss', loss_weight=2.0)]
    model = build(SEGMENTS, losses=losses, selector=LIVE)
    inputs, samples = domains()
    got = loss(model, inputs, samples)
    embeds = {name: rows.detach() for name, rows in model.embed(inputs).items()}
    view = fuse(embeds['image_embeds'], embeds['text_embeds'])
    chosen, w_source, w_target = select_similar(view[:6], view[6:], 0.5)
    assert len(chosen) == 3
    parts = DomainBatch(
        embeds['image_embeds'][chosen],
        embeds['text_embeds'][chosen],
        embeds['image_embeds'][6:],
        embeds['text_embeds'][6:],
        torch.eye(3, dtype=torch.bool),
        w_source,
        w_target,
    )
    expected = model.head.pair_losses(
        *parts[:2], torch.eye(3, dtype=torch.bool), embeds['segment_embeds'][chosen]
    )
    adversarial = model.adaptation[1]
    for part in (CrossDomainTripletLoss(), adversarial, DomainDistanceLoss(loss_weight=2.0)):
        expected.update(part(parts))
    assert set(got) == {*expected, 'source_ratio'} and got['source_ratio'] == 0.5
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, msg=name)


def test_the_order_of_the_rows_does_not_matter() -> None:
    model = build(losses=[TRIPLET, ADVERSARIAL], selector=LIVE)
    inputs, samples = domains()
    expected = loss(model, inputs, samples)
    order = [8, 0, 3, 6, 1, 2, 7, 5, 4]
    shuffled = loss(
        model, {name: rows[order] for name, rows in inputs.items()}, [samples[row] for row in order]
    )
    for name, value in expected.items():
        torch.testing.assert_close(shuffled[name], value)


def test_without_a_selector_all_source_samples_count_equally() -> None:
    weighted, uniform = (
        build(losses=[dict(TRIPLET, weighted=flag)], paired_loss=False) for flag in (True, False)
    )
    uniform.load_state_dict(weighted.state_dict())
    inputs, samples = domains()
    first, second = (loss(model, inputs, samples) for model in (weighted, uniform))
    assert set(first) == {'loss_triplet', 'source_ratio'} and first['source_ratio'] == 1
    torch.testing.assert_close(first['loss_triplet'], second['loss_triplet'])


def test_a_target_with_its_captions_is_refused() -> None:
    """Each image's own caption would be in its batch."""
    inputs, samples = domains()
    samples[7].set_metainfo(dict(caption_text_ids=[stable_id('text 7')]))
    with pytest.raises(ValueError, match="'spain' .*UnpairedDataset"):
        loss(build(losses=[TRIPLET]), inputs, samples)


def test_a_target_that_is_mistaken_for_a_source_is_refused() -> None:
    inputs, samples = domains()
    with pytest.raises(ValueError, match="set/0 of the domain 'finland' is of the target"):
        loss(build(target='finland', losses=[TRIPLET]), inputs, samples)
    with pytest.raises(ValueError, match="='italy', and so set/6 .* is of the source"):
        loss(build(target='italy', losses=[TRIPLET]), inputs, samples)


def test_source_pairs_with_equal_sentences_are_no_negatives() -> None:
    model = build(losses=[dict(TRIPLET, negative='source', margin=0.0)])
    inputs, samples = domains()
    apart = loss(model, inputs, samples)
    for sample in samples[:6]:
        sample.set_metainfo(dict(text_ids=[1], caption_text_ids=[1]))
    together = loss(model, inputs, samples)
    assert together['loss_image_text'] == 0 == together['loss_triplet'] < apart['loss_triplet']


def test_a_target_text_that_is_a_caption_of_the_image_is_no_negative() -> None:
    model = build(losses=[TRIPLET], paired_loss=False)
    inputs, samples = domains()
    apart = loss(model, inputs, samples)['loss_triplet']
    seen = []
    model.adaptation[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    samples[7].set_metainfo(dict(text_ids=samples[2].text_ids))
    samples[4].set_metainfo(dict(caption_text_ids=[*samples[4].text_ids, *samples[2].text_ids]))
    assert loss(model, inputs, samples)['loss_triplet'] <= apart
    assert seen[0].target_text_positives.nonzero().tolist() == [[2, 1], [4, 1]]


def test_a_checkpoint_from_before_plans_were_recorded_is_whole() -> None:
    model = build(losses=[dict(type='PlannedPairingLoss', memory_size=6)])
    state = model.state_dict()
    del state['adaptation.0.plan_digest']
    assert check_state_dict(model, state, 'x.pth') == []
    load_state_dict(model, state, strict=False)
    assert not model.adaptation[0].plan_digest.any()


def test_the_copy_of_the_model_is_made_only_if_a_loss_wants_it() -> None:
    model = build(losses=[ADVERSARIAL])
    model.adaptation._snapshot.retriever = lambda _: pytest.fail('a copy for nobody')
    assert 'no loss' in model.adaptation.prepare(model, None, None, 8, 0, 0)


@pytest.mark.parametrize('method', METHODS)
def test_every_method_gives_every_weight_a_gradient(method: str) -> None:
    """A weight without one stops distributed training at the second step."""
    cfg = Config.fromfile(CONFIGS / '_base_' / 'methods' / f'{method}.py').model.adaptation
    cfg.update(target='spain', source_checkpoint=None)
    for part in cfg.get('losses', []):
        if 'Pair' in part.type:
            part.update(min_items=6, memory_size=12)
    info_nce = dict(HEAD, loss=dict(type='InfoNCELoss'))
    model = build(dict(PLAIN, head=info_nce), **cfg).train()
    for part in model.adaptation:
        if part.wants_target:
            part.set_target(target_items([s for s in domains()[1] if s.domain == 'spain']))
    for _ in range(4):  # a memory fills and then counts
        model.zero_grad()
        total(loss(model, *domains())).backward()
        without = [
            name
            for name, weight in model.named_parameters()
            if weight.requires_grad and weight.grad is None
        ]
        assert without == []
    towers = (model.image_encoder, model.text_encoder)
    assert all(any(p.grad.abs().sum() > 0 for p in tower.parameters()) for tower in towers)


@MODELS.register_module(force=True)
class OwnRetriever(BaseRetriever):
    """What a user writes: no head, and a constructor that knows no adaptation."""

    def __init__(self, embed_dim: int | None = EMBED_DIM) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, EMBED_DIM))
        self.norm = nn.BatchNorm1d(EMBED_DIM)
        self.text = nn.Embedding(64, EMBED_DIM)
        if embed_dim:
            self.embed_dim = embed_dim

    def encode_image(self, image: Tensor) -> Tensor:
        return normalize(self.norm(self.image(image)))

    def encode_text(self, text: Tensor) -> Tensor:
        return normalize(self.text(text).mean(dim=1))

    def loss(
        self, inputs: dict[str, Tensor], data_samples: list[RetrievalDataSample]
    ) -> dict[str, Tensor]:
        embeds = self.embed(inputs)
        scores = embeds['image_embeds'] @ embeds['text_embeds'].t()
        return dict(loss_own=-scores.diagonal().mean(), pairs=torch.tensor(len(data_samples)))


def test_a_retriever_of_ones_own_is_adapted() -> None:
    """Its own loss sees the selected source pairs, and BatchNorm keeps the target's statistics."""
    model = build(dict(type='OwnRetriever'), losses=[ADVERSARIAL, TRIPLET], selector=LIVE).train()
    inputs, samples = domains()
    terms = loss(model, inputs, samples)
    assert terms['pairs'] == 3 and {'loss_own', 'loss_triplet', 'domain_acc'} <= set(terms)
    with torch.no_grad():
        mean = model.image(inputs['image'][6:]).mean(0)
    torch.testing.assert_close(model.norm.running_mean, 0.1 * mean)
    total(terms).backward()
    assert all(weight.grad is not None for weight in model.parameters())
    alone = build(dict(type='OwnRetriever'), losses=[TRIPLET], paired_loss=False)
    assert set(loss(alone, inputs, samples)) == {'loss_triplet', 'source_ratio'}
    with pytest.raises(ValueError, match='OwnRetriever .*embed_dim'):
        build(dict(type='OwnRetriever', embed_dim=None), losses=[TRIPLET])


def own_loss_on_a_rank(rank: int) -> list[float]:
    """Source rows of this rank enter the retriever's own loss; a selection of them cannot."""
    torch.manual_seed(rank)
    inputs, samples = domains()
    for sample in samples:
        sample.set_metainfo(dict(img_id=f'{rank}/{sample.img_id}'))
    model = build(dict(type='OwnRetriever'), losses=[TRIPLET])
    terms = loss(model, inputs, samples)
    own = model.loss({name: rows[:6] for name, rows in inputs.items()}, samples[:6])
    with pytest.raises(ValueError, match='OwnRetriever .*head'):
        loss(build(dict(type='OwnRetriever'), selector=LIVE), inputs, samples)
    return [float(terms['loss_own']), float(own['loss_own']), float(terms['pairs'])]


def test_a_loss_of_ones_own_on_two_ranks(tmp_path: Path) -> None:
    for got, expected, pairs in run_on_ranks(own_loss_on_a_rank, tmp_path):
        assert got == pytest.approx(expected) and pairs == 6


def test_a_retriever_without_a_head_learns_from_the_losses_alone() -> None:
    model = build({**PLAIN, 'head': None}, losses=[TRIPLET], paired_loss=False)
    assert set(loss(model, *domains())) == {'loss_triplet', 'source_ratio'}
    with pytest.raises(ValueError, match='built without a head'):
        loss(build({**PLAIN, 'head': None}, losses=[TRIPLET]), *domains())


def test_an_adaptation_is_optional() -> None:
    assert build(target='spain').adaptation is not None
    plain = MODELS.build(dict(PLAIN, adaptation=None))
    assert plain.adaptation is None and not plain.starts_whole
    assert list(plain.state_dict()) == list(cross_modal().state_dict())


def test_segments_are_left_alone_without_the_paired_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(SEGMENTS, losses=[TRIPLET], paired_loss=False)
    assert not any(p.requires_grad for p in model.segment_encoder.parameters())
    monkeypatch.setattr(model, 'encode_segments', None)
    total(loss(model, *domains())).backward()


def test_the_curriculum_reaches_selector_and_losses() -> None:
    model = build(losses=[TRIPLET, dict(type='PseudoPairLoss')], selector=LIVE)
    model.adaptation.set_stage(CurriculumStage(stage=2, ratio=1.0, margin=0.9))
    assert (model.adaptation.selector.stage, model.adaptation.selector.ratio) == (2, 1.0)
    assert model.adaptation[0].margin == 0.9 and model.adaptation[1].share == 1.0
    assert loss(model, *domains())['source_ratio'] == 1
    build(losses=[ADVERSARIAL]).adaptation.set_stage(CurriculumStage(0, 0.2, 0.5))  # nobody cares


@pytest.mark.parametrize('features', ['fused', 'image', 'text'])
def test_a_frozen_selection_does_not_follow_the_training(features: str, tmp_path: Path) -> None:
    """It is that of the starting checkpoint, also if training began long ago."""
    source = cross_modal()
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'start.pth')
    selector = dict(type='SimilarSourceSelector', features=features, ratio=0.5)
    model = build(
        losses=[TRIPLET], selector=selector, source_checkpoint=str(tmp_path / 'start.pth')
    )
    seen = []
    choose = model.adaptation.selector.select
    model.adaptation.selector.select = lambda *views: seen.append(views) or choose(*views)
    inputs, samples = domains()
    with torch.no_grad():
        embeds = source.eval().embed(inputs)
    expected = model.adaptation.selector.view(embeds['image_embeds'], embeds['text_embeds'])
    for _ in range(2):
        model.train()
        total(loss(model, inputs, samples)).backward()
        torch.testing.assert_close(torch.cat(seen[-1]), expected)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))


def test_the_snapshot_is_no_part_of_the_model() -> None:
    model = build(losses=[TRIPLET], selector=dict(type='SimilarSourceSelector'))
    names, weights, modules = (
        list(model.state_dict()),
        len(list(model.parameters())),
        len(list(model.modules())),
    )
    loss(model, *domains())
    assert model.adaptation._snapshot._model is not None
    assert list(model.state_dict()) == names
    assert len(list(model.parameters())) == weights and len(list(model.modules())) == modules


def test_an_epoch_begins_with_an_empty_cache() -> None:
    model = build(losses=[TRIPLET], selector=dict(type='SimilarSourceSelector', cache_images=True))
    model.train()
    loss(model, *domains())
    assert len(model.adaptation._snapshot._texts) == len(model.adaptation._snapshot._images) == 9
    model.eval()
    assert model.adaptation._snapshot._texts
    model.train()
    assert not model.adaptation._snapshot._texts and not model.adaptation._snapshot._images


def test_several_sources() -> None:
    model = build(losses=[ADVERSARIAL])
    inputs, samples = domains()
    expected = loss(model, inputs, samples)
    samples[2].set_metainfo(dict(domain='germany'))
    got = loss(model, inputs, samples)
    assert all(torch.equal(got[name], value) for name, value in expected.items())


@pytest.mark.parametrize('domain', ['finland', 'spain'])
def test_a_batch_of_one_domain(domain: str) -> None:
    inputs, samples = domains()
    for sample in samples:
        captions = [] if domain == 'spain' else [1]
        sample.set_metainfo(dict(domain=domain, caption_text_ids=captions))
    with pytest.raises(ValueError, match=rf"target 'spain' and of a source, got .*\['{domain}'\]"):
        loss(build(losses=[ADVERSARIAL]), inputs, samples)


def test_two_texts_an_image() -> None:
    inputs, samples = domains()
    samples[0].set_metainfo(dict(text_ids=[1, 2], caption_text_ids=[1, 2]))
    with pytest.raises(ValueError, match='10 texts .* 9 images'):
        loss(build(losses=[ADVERSARIAL]), inputs, samples)


@pytest.mark.parametrize('term', ['loss_domain_image', 'domain_acc'])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_term_that_is_not_finite_is_named(
    term: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(losses=[ADVERSARIAL])
    compute = WeightedDomainAdversarialLoss.compute
    monkeypatch.setattr(
        WeightedDomainAdversarialLoss,
        'compute',
        lambda self, parts: {**compute(self, parts), term: torch.tensor(value)},
    )
    with pytest.raises(FloatingPointError, match=f'{term}={value}: training diverged'):
        loss(model, *domains())


@pytest.mark.parametrize(
    'losses, term',
    [
        ([ADVERSARIAL, dict(ADVERSARIAL, modalities=['text'])], 'domain_acc.*loss_domain_text'),
        ([TRIPLET, TRIPLET], 'loss_triplet'),
        ([dict(type='OptimalTransportPairingLoss'), dict(type='PseudoPairLoss')], 'loss_pairing'),
    ],
)
def test_no_term_takes_the_place_of_another(losses: list[dict], term: str) -> None:
    with pytest.raises(ValueError, match=f'{term}'):
        loss(build(losses=losses), *domains())


@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(paired_loss=False), 'nothing to train on'),
        (dict(losses=[dict(type='InfoNCELoss')]), 'InfoNCELoss is no adaptation loss'),
        (dict(selector=dict(type='Nope')), 'Nope'),
        (dict(losses=[dict(type='Nope')]), 'Nope'),
    ],
)
def test_mistakes(kwargs: dict, words: str) -> None:
    with pytest.raises((ValueError, KeyError), match=words):
        build(**kwargs)
