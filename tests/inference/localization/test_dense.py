"""The dense mode gives the embeddings of the windows, without encoding each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from torch import nn

from tests.inference.localization.fakes import Pointwise, SmallEmbedder, raster
from urbancross_mm.datasets.transforms import PackRetrievalInputs, RandomCropImage, ResizeImage
from urbancross_mm.inference.localization import SemanticLocalizer
from urbancross_mm.inference.localization.clip_dense import ClipPatches
from urbancross_mm.inference.localization.dense_features import DenseFeatures
from urbancross_mm.inference.localization.window_store import WHOLE, WITHOUT_DATA
from urbancross_mm.models import BackboneEncoder, OpenCLIPImageEncoder

pytest.importorskip('rasterio')
SIDE = 16
POINTWISE = dict(type='BackboneEncoder', in_channels=6, embed_dim=5, probe_size=8)
CLIP = dict(
    embed_dim=5,
    vision_cfg=dict(image_size=32, layers=3, width=16, head_width=8, patch_size=4),
    text_cfg=dict(context_length=8, vocab_size=20, width=8, heads=2, layers=1),
)


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 70, 90), dtype=np.uint8)
    return raster(tmp_path / 'a.tif', pixels)


def pointwise(side: int = SIDE, **options: object) -> SmallEmbedder:
    return SmallEmbedder(side, dict(POINTWISE, backbone=Pointwise(), **options))


def localizer(embedder: SmallEmbedder, tif: Path, mode: str, side: int) -> SemanticLocalizer:
    city = SemanticLocalizer(embedder, progress=False)
    city.set_image(tif, scales=(side,), mode=mode)
    return city


@pytest.mark.parametrize('projection', ['linear', 'mlp'])
@pytest.mark.parametrize('side', [15, 16], ids=['odd', 'even'])
def test_a_box_of_positions_is_the_embedding_of_its_window(
    tif: Path, projection: str, side: int
) -> None:
    """Exactly, up to the 11 bits that are kept, where a position sees one pixel."""
    embedder = pointwise(side, projection=projection)
    windows = localizer(embedder, tif, 'windows', side)
    dense = localizer(embedder, tif, 'dense', side)
    (lattice,), (fine,) = windows.scan.lattices, dense.scan.lattices
    assert fine.side == side and fine.shape == (70, 90)
    rows = dense.store.rows().reshape(70, 90, 5)
    expected = windows.store.rows()
    assert len(lattice) > 50
    for number in range(len(lattice)):
        column, row, _, _ = lattice.window(number)
        found = rows[row + side // 2, column + side // 2]
        assert np.allclose(found, expected[number], atol=2e-3)
    assert rows.reshape(-1, 5).std(axis=0).min() > 0.01


def test_positions_at_the_border_and_without_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 70, 90), dtype=np.uint8)
    pixels[:, :30, :50] = 0
    tif = raster(tmp_path / 'a.tif', pixels, nodata=0)
    embedder = pointwise()
    city = localizer(embedder, tif, 'dense', SIDE)
    states = city.store.states.reshape(70, 90)
    assert (states[:30, :50] == WITHOUT_DATA).all()
    assert (states[30:] == WHOLE).all() and (states[:, 50:] == WHOLE).all()
    # What has data in the box around a position, cut by the border.
    rows = city.store.rows().reshape(70, 90, 5)
    for row, column in ((69, 89), (35, 40), (3, 60), (32, 2)):
        box = pixels[:, max(0, row - 8) : row + 8, max(0, column - 8) : column + 8].reshape(3, -1)
        box = box[:, box.any(axis=0)]
        expected = embedder.encode_images([np.ascontiguousarray(box.T[None])])
        # One row of pixels, not resized: the pipeline would.
        inputs = embedder.model.data_preprocessor(
            dict(inputs=dict(image=[torch.from_numpy(box[:, None, :])])), False
        )['inputs']['image']
        with torch.no_grad():
            expected = embedder.model.encode_image(inputs)[0].numpy()
        assert np.allclose(rows[row, column], expected, atol=2e-3)


def test_pieces_meet_and_a_killed_run_goes_on(
    tif: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A convolution sees its neighbors; with context, no border of a piece shows."""
    backbone = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.Tanh(), nn.Conv2d(6, 6, 3, 1, 1))
    embedder = SmallEmbedder(SIDE, dict(POINTWISE, backbone=backbone))
    whole = localizer(embedder, tif, 'dense', 32)
    assert whole.scan.encoded == 18 * 23 and whole.cell == 4
    kept = whole.store.rows().copy()
    for state in whole.store.folder.iterdir():
        state.unlink()
    monkeypatch.setattr('urbancross_mm.inference.localization.dense_scan._CORE', 7)
    assert embedder.batch_size == 4

    calls = []
    encode = BackboneEncoder.encode_maps

    def killed(self: BackboneEncoder, image: torch.Tensor) -> tuple:
        calls.append(len(image))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return encode(self, image)

    monkeypatch.setattr(BackboneEncoder, 'encode_maps', killed)
    with pytest.raises(KeyboardInterrupt):
        localizer(embedder, tif, 'dense', 32)
    pieces = localizer(embedder, tif, 'dense', 32)
    assert 0 < pieces.scan.encoded < 18 * 23
    assert np.allclose(pieces.store.rows()[: 18 * 23], kept, atol=2e-3)


def test_features_are_those_of_the_encoder() -> None:
    embedder = pointwise(20)
    features = DenseFeatures.of(embedder)
    assert (features.stride, features.across, features.box, features.fixed) == (1, 20, 20, False)
    image = torch.randn(2, 3, 20, 20)
    with torch.no_grad():
        means = features.encode(image).mean(dim=(2, 3))
        assert torch.allclose(features.finish(means), embedder.model.encode_image(image), atol=1e-6)


class NoMaps(nn.Module):
    """A backbone that takes images of one size only."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8 * 8 * 3, 6)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image.flatten(1))


@pytest.mark.parametrize(
    ('embedder', 'named'),
    [
        (lambda: pointwise(pool='max'), 'average pooling'),
        (lambda: SmallEmbedder(8, dict(POINTWISE, backbone=NoMaps())), 'NoMaps'),
    ],
    ids=['max', 'one size'],
)
def test_models_without_a_dense_mode_say_so(tif: Path, embedder: object, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        localizer(embedder(), tif, 'dense', SIDE)
    assert "'windows'" in str(caught.value)


@pytest.mark.parametrize(
    ('steps', 'named'),
    [([RandomCropImage(8)], 'RandomCropImage'), ([ResizeImage((8, 9))], '8 x 9'), ([], r'\[\]')],
)
def test_pipelines_without_a_dense_mode_say_so(tif: Path, steps: list, named: str) -> None:
    embedder = pointwise()
    embedder.pipeline = Compose([*steps, PackRetrievalInputs()])
    with pytest.raises(ValueError, match=named):
        localizer(embedder, tif, 'dense', SIDE)


@pytest.fixture
def tower() -> nn.Module:
    pytest.importorskip('open_clip')
    return OpenCLIPImageEncoder(model_cfg=CLIP).eval().tower


def test_patches_of_clip_are_the_modified_last_block(tower: nn.Module) -> None:
    """Written out: every patch looks at the queries; no residual; minus 0.3 of the whole image."""
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = ClipPatches(tower)(image)
        tokens = tower._embeds(image)
        *blocks, last = tower.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        normed = last.ln_1(tokens)
        width, heads = 16, 2
        weight, bias = last.attn.in_proj_weight, last.attn.in_proj_bias
        query = normed @ weight[:width].T + bias[:width]
        value = normed @ weight[2 * width :].T + bias[2 * width :]
        parts = []
        for head in range(heads):
            own = slice(8 * head, 8 * head + 8)
            scores = query[..., own] @ query[..., own].transpose(1, 2) / 8**0.5
            parts.append(scores.softmax(dim=-1) @ value[..., own])
        mixed = last.attn.out_proj(torch.cat(parts, dim=-1))
        patches = tower.ln_post(mixed)[:, 1:] @ tower.proj - 0.3 * tower(image)[:, None]
    assert found.shape == (2, 5, 8, 8)
    assert torch.allclose(found.flatten(2).transpose(1, 2), patches, atol=1e-5)


def test_clip_is_encoded_patch_by_patch(tif: Path, tower: nn.Module) -> None:
    embedder = SmallEmbedder(32, dict(type='OpenCLIPImageEncoder', model_cfg=CLIP))
    city = localizer(embedder, tif, 'dense', 32)
    (lattice,) = city.scan.lattices
    assert lattice.side == 4 and lattice.shape == (18, 23) and (city.store.states == WHOLE).all()
    assert np.allclose(np.linalg.norm(city.store.rows(), axis=1), 1, atol=2e-3)


@pytest.mark.parametrize(
    'tower',
    [
        nn.Conv2d(3, 3, 3),
        SimpleNamespace(transformer=SimpleNamespace(resblocks=[]), conv1=None),
        SimpleNamespace(
            transformer=SimpleNamespace(resblocks=[SimpleNamespace(attn=nn.Identity())]),
            conv1=None,
        ),
    ],
    ids=['convolution', 'no blocks', 'other attention'],
)
def test_other_towers_do_not_fit(tower: object) -> None:
    assert not ClipPatches.fits(tower)
