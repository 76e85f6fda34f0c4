"""A published checkpoint holds what inference needs, and nothing else."""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.helpers import cross_modal
from urbancross_mm.inference.checkpoints import build_model
from urbancross_mm.inference.publishing import publish
from urbancross_mm.version import __version__

CONFIG = dict(
    type='CrossModalRetriever',
    image_encoder=dict(type='GRUTextEncoder', vocab_size=9, embed_dim=4, word_dim=3, hidden_dim=3),
    text_encoder=dict(type='GRUTextEncoder', vocab_size=9, embed_dim=4, word_dim=3, hidden_dim=3),
)


def trained(path: Path) -> torch.nn.Module:
    """A checkpoint as a run leaves it."""
    model = build_model(CONFIG)
    optimizer = torch.optim.Adam(model.parameters())
    model.encode_text(torch.ones(2, 3, dtype=torch.long)).sum().backward()
    optimizer.step()
    weights = {**model.state_dict(), 'adaptation.losses.0.weight': torch.ones(3)}
    meta = dict(
        epoch=3,
        iter=30,
        seed=5,
        cfg="work_dir = '/home/somebody/runs'",
        dataset_meta=dict(classes=('road', 'roof'), palette=np.array([[1, 2, 3], [4, 5, 6]])),
    )
    more = dict(optimizer=optimizer.state_dict(), message_hub=dict(a=1), args=argparse.Namespace())
    torch.save(dict(state_dict=weights, meta=meta, **more), path)
    return model


def test_what_is_kept(tmp_path: Path) -> None:
    model = trained(tmp_path / 'epoch_3.pth')
    path = publish(tmp_path / 'epoch_3.pth', tmp_path / 'out/model.pth')
    content = torch.load(path, weights_only=True)  # without any allow-list
    assert content.keys() == {'meta', 'state_dict'}
    assert content['meta'] == dict(
        epoch=3,
        iter=30,
        dataset_meta=dict(classes=['road', 'roof'], palette=[[1, 2, 3], [4, 5, 6]]),
        urbancross_mm=__version__,
    )
    assert b'somebody' not in path.read_bytes()
    assert path.stat().st_size < (tmp_path / 'epoch_3.pth').stat().st_size
    again = build_model(CONFIG, str(path))
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(again.eval().encode_text(tokens), model.eval().encode_text(tokens))


def test_lora_is_merged(tmp_path: Path) -> None:
    model = cross_modal(finetune=dict(image_encoder=dict(lora=dict(rank=2)))).eval()
    for name, weight in model.named_parameters():
        if name.endswith('.lora.up'):
            torch.nn.init.normal_(weight)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_3.pth')
    weights = torch.load(publish(tmp_path / 'epoch_3.pth', tmp_path / 'model.pth'))['state_dict']
    plain = cross_modal().eval()
    plain.load_state_dict(weights, strict=True)
    image = torch.randn(2, 3, 32, 32)
    expected = model.encode_image(image)
    torch.testing.assert_close(plain.encode_image(image), expected)
    for name, weight in model.named_parameters():
        if name.endswith('.lora.up'):
            torch.nn.init.zeros_(weight)
    assert not torch.allclose(model.encode_image(image), expected, atol=1e-2)


def test_the_name_is_the_hash_of_the_content(tmp_path: Path) -> None:
    trained(tmp_path / 'epoch_3.pth')
    paths = [publish(tmp_path / 'epoch_3.pth', tmp_path / name) for name in ('a.pth', 'b.pth')]
    digest = hashlib.sha256(paths[0].read_bytes()).hexdigest()[:8]
    assert [path.name for path in paths] == [f'a-{digest}.pth', f'b-{digest}.pth']


def test_a_part_of_a_tensor_does_not_bring_the_rest(tmp_path: Path) -> None:
    torch.save(dict(state_dict=dict(weight=torch.zeros(1_000_000)[:10])), tmp_path / 'x.pth')
    assert (tmp_path / 'x.pth').stat().st_size > 3_000_000
    assert publish(tmp_path / 'x.pth', tmp_path / 'y.pth').stat().st_size < 10_000


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        publish(tmp_path / 'none.pth', tmp_path / 'x.pth')
    torch.save(cross_modal, tmp_path / 'code.pth')
    with pytest.raises(ValueError, match=r'code\.pth.*cross_modal'):
        publish(tmp_path / 'code.pth', tmp_path / 'x.pth')
    trained(tmp_path / 'epoch_3.pth')
    with pytest.raises(ValueError, match=r'out\.bin'):
        publish(tmp_path / 'epoch_3.pth', tmp_path / 'out.bin')
    assert not list(tmp_path.glob('x*'))
