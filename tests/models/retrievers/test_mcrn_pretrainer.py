"""The first stage of MCRN: one modality an iteration, two optimizers."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor, nn

from tests.models.helpers import EMBED_DIM, TEXT_ENCODER, total
from tests.models.retrievers.test_mcrn import spoken
from tests.ranks import run_on_ranks
from urbancross_mm.engine import AdversarialOptimWrapperConstructor
from urbancross_mm.functional import alignment
from urbancross_mm.models import MCRN, MCRNPretrainer, TrainStepDataParallel
from urbancross_mm.structures import RetrievalDataSample

PARTS = dict(
    image_encoder=dict(type='FeatureEncoder', in_channels=5, embed_dim=EMBED_DIM),
    text_encoder=TEXT_ENCODER,
    encoders=dict(audio=dict(type='FeatureEncoder', in_channels=7, embed_dim=EMBED_DIM)),
    shared=dict(heads=2, hidden_dim=8),
)
ENCODERS = ('image_encoder', 'text_encoder', 'encoders.audio')
OWN = dict(zip(('image', 'text', 'audio'), ENCODERS))


def build(**kwargs: Any) -> tuple[MCRNPretrainer, OptimWrapperDict]:
    torch.manual_seed(0)
    model = MCRNPretrainer(**{**PARTS, **kwargs})
    cfg = dict(optimizer=dict(type='Adam', lr=0.01))
    constructor = 'urbancross_mm.AdversarialOptimWrapperConstructor'
    return model, build_optim_wrapper(
        model, dict(constructor=constructor, encoders=cfg, discriminator=cfg)
    )


def batch(*names: str, rows: int = 6) -> dict[str, Any]:
    torch.manual_seed(3)
    inputs = dict(
        image=torch.randn(rows, 5),
        text=torch.randint(1, 64, (rows, 8)),
        audio=torch.randn(rows, 7),
    )
    return dict(inputs={name: inputs[name] for name in names or inputs})


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Parts whose weights differ."""
    parts = (*ENCODERS, 'shared', 'discriminator', 'losses')
    names = [name for name in before if not torch.equal(before[name], after[name])]
    assert all(name.startswith(parts) for name in names)
    return {part for part in parts if any(name.startswith(part) for name in names)}


@pytest.mark.parametrize('modality', ['image', 'text', 'audio'])
@pytest.mark.parametrize('contrastive', [False, True])
def test_each_modality_trains_its_own_encoder(modality: str, contrastive: bool) -> None:
    model, wrapper = build(generator_interval=1, contrastive=contrastive)
    before = weights(model)
    model.train_step(batch(modality), wrapper)
    assert moved(before, weights(model)) - {'losses'} == {
        OWN[modality],
        'shared',
        'discriminator',
    }


def test_the_discriminator_learns_always_and_the_encoders_in_their_turn() -> None:
    model, wrapper = build()
    for iteration in range(6):
        before = weights(model)
        log = model.train_step(batch(), wrapper)
        parts = moved(before, weights(model))
        turn = iteration % 3 == 2
        assert 'discriminator' in parts and ('shared' in parts) == turn
        assert ('loss_confusion' in log) == turn and 'loss_discriminator' in log
        if not turn:
            assert parts == {'discriminator'}


def test_the_encoders_step_leaves_the_discriminator() -> None:
    model, wrapper = build(generator_interval=1)
    for group in wrapper['discriminator'].param_groups:
        group['lr'] = 0.0
    before = weights(model)
    model.train_step(batch(), wrapper)
    assert 'discriminator' not in moved(before, weights(model))
    assert all(weight.grad is None for weight in model.discriminator.parameters())


def test_seed_and_iteration_draw_the_modality() -> None:
    def drawn(seed: int) -> list[str]:
        model, wrapper = build(seed=seed, generator_interval=1)
        names = []
        for _ in range(12):
            before = weights(model)
            model.train_step(batch(), wrapper)
            names += [name for name, part in OWN.items() if part in moved(before, weights(model))]
        return names

    first = drawn(0)
    assert len(first) == 12 and set(first) == set(OWN)
    assert drawn(0) == first != drawn(1)


def test_losses_by_hand() -> None:
    for released, factor, distance in (
        (False, 204.8, partial(alignment.mk_mmd, paired=True)),
        (True, 0.01, alignment.summed_mk_mmd),
    ):
        model, wrapper = build(released=released, generator_interval=1)
        wrapper['discriminator'].param_groups[0]['lr'] = 0.0
        model.eval()  # no dropout
        inputs = batch('audio')['inputs']['audio']
        with torch.no_grad():
            views = model._views('audio', inputs, 0)
            own = [model.encoders['audio'](view) for view in views]
            norm = 'any' if released else 'audio'
            shared = [model.shared(feats, norm) for feats in own]
            logits = [model.discriminator(feats).log_softmax(dim=1) for feats in shared]
        log = model.train_step(batch('audio'), wrapper)
        wrong = [-sum(rows[:, label].mean() for rows in logits) for label in (0, 1)]
        close = [torch.allclose(log['loss_confusion'], value) for value in wrong]
        assert close.count(True) == 1
        right = -sum(rows[:, 2].mean() for rows in logits)
        lengths = sum((rows.norm(dim=1).mean() - 1).abs() for rows in own + shared)
        expected = dict(
            loss_discriminator=right,
            loss_distance=factor * distance(*own),
            loss_consistency=(shared[0] - shared[1]).square().mean(),
            loss_length=0.01 * lengths,
        )
        torch.testing.assert_close({name: log[name] for name in expected}, expected)


def test_equal_texts_are_no_negatives() -> None:
    data = batch('text')
    data['inputs']['text'] = data['inputs']['text'][:1].repeat(6, 1)
    model, wrapper = build(contrastive=True, generator_interval=1)
    kinds = []
    model.losses['contrastive'].register_forward_hook(lambda _, given, __: kinds.append(given[2]))
    model.train_step(data, wrapper)
    model.train_step(batch('text'), wrapper)
    assert bool(kinds[0].all()) and torch.equal(kinds[1], torch.eye(6, dtype=torch.bool))


def run(model: MCRNPretrainer, wrapper: OptimWrapperDict, steps: int) -> list[dict[str, Tensor]]:
    torch.manual_seed(9)  # dropout, which a resumed run seeds again
    return [model.train_step(batch(), wrapper) for _ in range(steps)]


def test_resume_restores_both_optimizers() -> None:
    model, wrapper = build()
    run(model, wrapper, 4)
    other, resumed = build()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    optimizers = copy.deepcopy(wrapper.state_dict())
    assert set(optimizers) == {'encoders', 'discriminator'}
    resumed.load_state_dict(optimizers)
    expected, logs = run(model, wrapper, 5), run(other, resumed, 5)
    assert logs == expected and int(other.iterations) == 9
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_a_run_its_checkpoint_and_the_second_stage(tmp_path: Path) -> None:
    def runner(iterations: int, **options: Any) -> Runner:
        cfg = dict(optimizer=dict(type='Adam', lr=0.01))
        return Runner(
            model=build()[0],
            work_dir=str(tmp_path),
            experiment_name=f'run{iterations}',
            default_scope='urbancross_mm',
            train_dataloader=dict(
                dataset=[row['inputs'] for row in ITEMS],
                batch_size=6,
                sampler=dict(type='mmengine.DefaultSampler', shuffle=False),
                collate_fn=stack,
            ),
            train_cfg=dict(by_epoch=False, max_iters=iterations),
            optim_wrapper=dict(
                constructor='AdversarialOptimWrapperConstructor', encoders=cfg, discriminator=cfg
            ),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False)),
            **options,
        )

    first = runner(3)
    first.train()
    path = tmp_path / 'iter_3.pth'
    resumed = runner(5, load_from=str(path), resume=True)
    resumed.train()
    assert int(resumed.model.iterations) == 5
    steps = [group.state_dict()['state'] for group in resumed.optim_wrapper.values()]
    assert all(steps)
    torch.manual_seed(5)
    model = MCRN(**PARTS, head=dict())
    load_checkpoint(model, str(path))
    for name, value in model.state_dict().items():
        assert torch.equal(value, first.model.state_dict()[name]), name


def stack(rows: list[dict[str, Tensor]]) -> dict[str, Any]:
    return dict(inputs={name: torch.stack([row[name] for row in rows]) for name in rows[0]})


ITEMS = [dict(inputs={name: rows[i] for name, rows in batch()['inputs'].items()}) for i in range(6)]


def test_predictions_say_whether_the_modality_was_told() -> None:
    model, _ = build()
    model.eval()
    inputs = batch()['inputs']
    samples = [
        RetrievalDataSample(metainfo=dict(text_ids=[1] * texts, audio_ids=[1]))
        for texts in (2, 0, 1, 1, 1, 1)
    ]
    with torch.no_grad():
        model(inputs, samples, mode='predict')
        for label, name in enumerate(OWN):
            feats = model.feats(name, inputs[name])
            told = model.discriminator(feats).argmax(dim=1) == label
            parts = [sample.get(f'{name}_told').reshape(-1) for sample in samples]
            assert torch.equal(torch.cat(parts), told)
            embeds = [sample.get(f'{name}_embeds').view(-1, EMBED_DIM) for sample in samples]
            torch.testing.assert_close(torch.cat(embeds), model.encode(name, inputs[name]))
        alone = model(dict(audio=inputs['audio']), mode='predict')
    assert len(alone) == 6 and all(
        set(one.keys()) == {'audio_embeds', 'audio_told'} for one in alone
    )
    assert [tuple(sample.text_told.shape) for sample in samples[:3]] == [(2,), (0,), (1,)]


def steps_of_a_rank(rank: int) -> dict[str, Tensor]:
    torch.manual_seed(rank)  # other weights, until the wrapper hands on those of the first
    model = TrainStepDataParallel(MCRNPretrainer(**PARTS, generator_interval=2))
    cfg = dict(optimizer=dict(type='Adam', lr=0.01))
    wrapper = AdversarialOptimWrapperConstructor(dict(encoders=cfg, discriminator=cfg))(model)
    for step in range(4):
        data = batch()
        data['inputs'] = {
            name: rows.roll(step).flip(rank)[:4] for name, rows in data['inputs'].items()
        }
        model.train_step(data, wrapper)
    return dict(model.module.named_parameters())


def test_ranks_stay_together(tmp_path: Path) -> None:
    first, second = run_on_ranks(steps_of_a_rank, tmp_path)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


PIXEL_ENCODER = dict(
    type='BackboneEncoder',
    embed_dim=EMBED_DIM,
    probe_size=32,
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        base_channels=4,
        stem_channels=4,
        out_indices=(0, 1, 2, 3),
    ),
)
SCALES = dict(
    PARTS,
    image_encoder=PIXEL_ENCODER,
    pyramid=dict(weighting=dict(type='MultiscaleVisualNeck', grid=2)),
    encoders=dict(
        audio=dict(
            PIXEL_ENCODER,
            image_channels=1,
            backbone=dict(
                type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4, in_channels=1
            ),
        )
    ),
)


def test_images_have_a_length_as_sounds_and_texts_have() -> None:
    feats = MCRN(**SCALES).eval().own_feats('image', torch.randn(3, 3, 32, 32))
    assert (feats.norm(dim=1) - 1).abs().min() > 0.01


def test_what_is_ranked_is_the_shared_encoding_of_the_neck() -> None:
    model = MCRN(**SCALES).eval()
    inputs = dict(image=torch.randn(3, 3, 32, 32), audio=torch.randn(3, 1, 32, 48))
    samples = model(inputs, None, mode='predict')
    for modality, rows in inputs.items():
        ranked = torch.stack([sample.get(f'{modality}_embeds').view(-1) for sample in samples])
        own = model.shared(model.own_feats(modality, rows), modality)
        torch.testing.assert_close(ranked, own / own.norm(dim=1, keepdim=True))


@pytest.mark.parametrize('contrastive', [False, True])
def test_pictures_and_spectrograms_of_both_stages(contrastive: bool) -> None:
    model, wrapper = build(**SCALES, generator_interval=1, contrastive=contrastive)
    images, sounds = torch.randn(4, 3, 32, 32), torch.randn(4, 1, 32, 48)
    before = weights(model)
    for inputs in (dict(image=images), dict(audio=sounds)):
        log = model.train_step(dict(inputs=inputs), wrapper)
        assert all(torch.as_tensor(value).isfinite() for value in log.values())
    same = [name for name, value in before.items() if torch.equal(value, weights(model)[name])]
    assert all(name.startswith(('text_encoder.', 'shared.norms.text.')) for name in same)

    finetuned = MCRN(**SCALES, head=dict(), self_consistency=dict(), distillation=dict())
    missing = finetuned.load_state_dict(model.state_dict(), strict=False).missing_keys
    assert missing == []
    inputs, samples = spoken()
    del inputs['image_view']
    losses = finetuned(dict(inputs, image=images, audio=sounds), samples, mode='loss')
    total(losses).backward()
    unused = [name for name, weight in finetuned.named_parameters() if weight.grad is None]
    assert [name for name in unused if finetuned.get_parameter(name).requires_grad] == []


def test_what_does_not_fit() -> None:
    model, wrapper = build()
    with pytest.raises(ValueError, match='encoders.*discriminator.*one for all'):
        model.train_step(batch(), wrapper['encoders'])
    with pytest.raises(ValueError, match=r"only inputs \['segments'\]"):
        model.train_step(dict(inputs=dict(segments=torch.zeros(2, 3))), wrapper)
    with pytest.raises(ValueError, match='train_step'):
        model(batch()['inputs'], [], mode='loss')
    with pytest.raises(ValueError, match="consistency.*'wrong'"):
        build(losses=dict(wrong=dict()))
    with pytest.raises(ValueError, match='released.*contrastive'):
        build(contrastive=True, released=True)
    with pytest.raises(ValueError, match='interval.* 0'):
        build(generator_interval=0)


def test_a_loss_can_be_left_out_and_weighted() -> None:
    names = dict(distance=None, length=dict(loss_weight=2.0))
    model, _ = build(losses=names)
    assert set(model.losses) == {'consistency', 'length', 'confusion'}
    assert model.losses['length'].loss_weight == 2.0
