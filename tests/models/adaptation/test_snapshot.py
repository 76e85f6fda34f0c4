"""The snapshot stays what the source was, costs nothing twice, and is no part of the model."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.models.helpers import EMBED_DIM, batch, cross_modal, total, urbancross
from urbancross_mm.models.adaptation import FrozenSnapshot
from urbancross_mm.models.adaptation import snapshot as frozen_snapshot

IDS = [f'set/{i}' for i in range(4)]
# With BatchNorm, whose statistics move even where weights do not.
BACKBONE = dict(
    type='BackboneEncoder',
    embed_dim=EMBED_DIM,
    in_channels=64,
    backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8),
)


def save(model: nn.Module, folder: Path) -> str:
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'start.pth')
    return str(folder / 'start.pth')


def train(model: nn.Module) -> None:
    inputs, samples = batch()
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.5)
    for _ in range(2):
        optimizer.zero_grad()
        total(model(inputs, samples, mode='loss')).backward()
        optimizer.step()


def views(
    snapshot: FrozenSnapshot,
    model: nn.Module,
    inputs: dict[str, Tensor],
    text_ids: tuple[int, ...] = (1, 2, 3, 4),
) -> Tensor:
    return torch.cat(
        [
            snapshot.encode_image(model, inputs['image'], IDS),
            snapshot.encode_text(model, inputs['text'], text_ids),
        ]
    )


@pytest.mark.parametrize('named', [True, False])
def test_training_never_changes_it(named: bool, tmp_path: Path) -> None:
    model, (inputs, _) = cross_modal(image_encoder=BACKBONE), batch()
    snapshot = FrozenSnapshot(save(model, tmp_path) if named else None)
    first = views(snapshot, model, inputs)
    own = model.eval().embed(inputs)
    torch.testing.assert_close(first, torch.cat(list(own.values())))
    train(model)
    snapshot.forget()
    assert torch.equal(views(snapshot, model, inputs), first) and not first.requires_grad
    assert not torch.allclose(model.eval().embed(inputs)['image_embeds'], own['image_embeds'])
    assert model.train().training  # and its mode is its own


def test_it_starts_from_the_checkpoint_and_not_from_the_present_weights(tmp_path: Path) -> None:
    """A resumed run builds it in the middle of training."""
    model, (inputs, _) = cross_modal(), batch()
    start = save(model, tmp_path)
    expected = views(FrozenSnapshot(start), model, inputs)
    train(model)
    assert torch.equal(views(FrozenSnapshot(start), model, inputs), expected)
    assert not torch.allclose(views(FrozenSnapshot(), model, inputs), expected)


def test_without_a_checkpoint_it_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    monkeypatch.setattr(frozen_snapshot, 'print_log', lambda line, *_: lines.append(line))
    model, (inputs, _) = cross_modal(), batch()
    snapshot = FrozenSnapshot()
    for _ in range(2):
        views(snapshot, model, inputs)
    assert len(lines) == 1 and 'no starting checkpoint is named' in lines[0]


def test_the_source_may_have_had_segments_another_loss_and_an_adaptation(tmp_path: Path) -> None:
    source = urbancross()
    state = dict(source.state_dict(), **{'adaptation.0.filled': torch.tensor(3)})
    torch.save(dict(state_dict=state), tmp_path / 'start.pth')
    model, (inputs, _) = (
        cross_modal(head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss'))),
        batch(),
    )
    view = views(FrozenSnapshot(tmp_path / 'start.pth'), model, inputs)
    torch.testing.assert_close(view[:4], source.eval().encode_image(inputs['image']))
    assert model.head is not None


def test_another_model_is_refused(tmp_path: Path) -> None:
    other = cross_modal(image_encoder=BACKBONE)
    model, (inputs, _) = cross_modal(), batch()
    with pytest.raises(ValueError, match=r'start\.pth'):
        views(FrozenSnapshot(save(other, tmp_path)), model, inputs)
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        views(FrozenSnapshot('nothing.pth'), model, inputs)


@pytest.mark.parametrize('frozen', ['image_encoder', 'text_encoder'])
def test_weights_that_are_not_trained_are_not_kept_twice(frozen: str, tmp_path: Path) -> None:
    model, (inputs, _) = cross_modal(), batch()
    getattr(model, frozen).requires_grad_(False)
    snapshot = FrozenSnapshot(save(model, tmp_path))
    before = views(snapshot, model, inputs)
    shared = {
        name
        for name, own in snapshot._model.named_parameters()
        if own.data_ptr() == dict(model.named_parameters())[name].data_ptr()
    }
    assert shared == {name for name, _ in model.named_parameters() if name.startswith(frozen)}
    train(model)
    snapshot.forget()
    assert torch.equal(views(snapshot, model, inputs), before)


def test_frozen_weights_of_another_value_are_not_shared(tmp_path: Path) -> None:
    """They should be the starting checkpoint's; where they are not, the snapshot is right."""
    source, model, (inputs, _) = cross_modal(), cross_modal(), batch()
    model.image_encoder.requires_grad_(False)
    view = views(FrozenSnapshot(save(source, tmp_path)), model, inputs)
    torch.testing.assert_close(view[:4], source.eval().encode_image(inputs['image']))


class Counted:
    """Counts the rows that an encoder is given."""

    def __init__(
        self,
        snapshot: FrozenSnapshot,
        model: nn.Module,
        modality: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.rows: list[int] = []
        encoder = getattr(snapshot.retriever(model), f'encode_{modality}')
        monkeypatch.setattr(
            snapshot._model,
            f'encode_{modality}',
            lambda rows: self.rows.append(len(rows)) or encoder(rows),
        )


def test_each_text_is_encoded_once_per_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (inputs, _) = cross_modal(), batch()
    snapshot = FrozenSnapshot()
    counted = Counted(snapshot, model, 'text', monkeypatch)
    same = inputs['text'][[0, 1, 0, 2]]
    first = snapshot.encode_text(model, same, [7, 8, 7, 9])
    assert torch.equal(first[0], first[2]) and not torch.equal(first[0], first[1])
    again = snapshot.encode_text(model, inputs['text'][[3, 2, 1]], [5, 9, 8])
    assert counted.rows == [3, 1]
    assert torch.equal(again[1:], first[[3, 1]])
    torch.testing.assert_close(again[0], model.eval().encode_text(inputs['text'][3:])[0])
    snapshot.forget()
    snapshot.encode_text(model, same, [7, 8, 7, 9])
    assert counted.rows == [3, 1, 3]


@pytest.mark.parametrize('cache', [True, False])
def test_images_are_cached_if_they_may_be(cache: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, (inputs, _) = cross_modal(), batch()
    snapshot = FrozenSnapshot(cache_images=cache)
    counted = Counted(snapshot, model, 'image', monkeypatch)
    first = snapshot.encode_image(model, inputs['image'], IDS)
    again = snapshot.encode_image(model, inputs['image'][[2, 0]], ['set/2', 'set/0'])
    assert counted.rows == ([4] if cache else [4, 2])
    torch.testing.assert_close(again, first[[2, 0]])


@pytest.mark.parametrize(
    'change',
    [
        lambda image: image + 0.01,
        lambda image: image.flip(-1),
        lambda image: image.flip(-2),
        lambda image: image.rot90(2, (-2, -1)),
        lambda image: image.transpose(-1, -2),
        lambda image: image.roll(1, -1),
    ],
    ids=['brighter', 'mirrored', 'upside down', 'turned', 'transposed', 'moved'],
)
def test_a_cached_image_that_changes_is_an_error(change) -> None:
    model, (inputs, _) = cross_modal(), batch()
    snapshot = FrozenSnapshot(cache_images=True)
    snapshot.encode_image(model, inputs['image'], IDS)
    snapshot.forget()  # also from one epoch to the next
    image = inputs['image'].clone()
    image[2] = change(inputs['image'][2])
    with pytest.raises(ValueError, match='set/2 .*cache_images=False'):
        snapshot.encode_image(model, image, IDS)


def test_features_are_cached_as_images_are() -> None:
    """``FeatureEncoder`` takes vectors where others take images."""
    encoder = dict(type='FeatureEncoder', in_channels=12, embed_dim=EMBED_DIM)
    model, snapshot = cross_modal(image_encoder=encoder), FrozenSnapshot(cache_images=True)
    feats = torch.randn(4, 12)
    first = snapshot.encode_image(model, feats, IDS)
    assert torch.equal(snapshot.encode_image(model, feats, IDS), first)
    with pytest.raises(ValueError, match='set/1'):
        snapshot.encode_image(model, feats[[0, 3]], IDS[:2])


@pytest.mark.parametrize('option', [dict(lora=dict(rank=2)), dict(adapter=dict(width=4))])
def test_it_is_without_what_fine_tuning_has_learned(option: dict, tmp_path: Path) -> None:
    """As a resumed run builds it: the trained branches are there, and the source had none."""
    source, (inputs, _) = cross_modal(), batch()
    start = save(source, tmp_path)
    model = cross_modal(finetune=dict(image_encoder=option))
    model.load_state_dict(source.state_dict())
    train(model)
    before = views(FrozenSnapshot(start), model, inputs)
    torch.testing.assert_close(before, torch.cat(list(source.eval().embed(inputs).values())))
    now = torch.cat(list(model.eval().embed(inputs).values()))
    assert (now - before)[:4].norm() > 1e-3
