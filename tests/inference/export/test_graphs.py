"""Towers of every kind become graphs of any number of rows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.inference.export.towers import IMAGE, TEXT
from tests.models.encoders.tiny_transformers import FAMILIES
from urbancross_mm.inference.export import graphs
from urbancross_mm.inference.export.graphs import Tower, capture, largest_difference, write
from urbancross_mm.registry import MODELS

pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


def tower(modality: str, config: dict[str, Any]) -> Tower:
    torch.manual_seed(0)
    towers = dict(image_encoder=IMAGE['resnet'], text_encoder=TEXT['cnn'])
    towers[f'{modality}_encoder'] = config
    model = MODELS.build(dict(type='CrossModalRetriever', **towers))
    return Tower(model, modality).eval()


def check(tower: Tower, rows: torch.Tensor, folder: Path, formats: tuple[str, ...]) -> None:
    graph = capture(tower, rows[:1], 'a tower')
    assert graph.batch is None
    for suffix in formats:
        write(graph, folder / f'x{suffix}')
        assert largest_difference(tower, folder / f'x{suffix}', rows, None) < 1e-5


# ONNX of one tower of each kind: mm's convolutions and windows are written there.
@pytest.mark.parametrize(
    ('kind', 'formats'),
    [('clip', ('.pt2',)), ('mit', ('.onnx',)), ('vit', ('.pt2',)), ('swin', ('.onnx',))],
)
def test_images(kind: str, formats: tuple[str, ...], tmp_path: Path) -> None:
    side = IMAGE[kind].get('probe_size', 32)
    check(tower('image', IMAGE[kind]), torch.randn(3, 3, side, side), tmp_path, formats)


@pytest.mark.parametrize('pool', ['last', 'mean', 'max'])
def test_rows_of_words(pool: str, tmp_path: Path) -> None:
    """Both directions, two layers, rows of several lengths and one without a word."""
    rows = torch.tensor([[4, 5, 6, 7, 8], [4, 5, 0, 0, 0], [0, 0, 0, 0, 0]])
    config = dict(TEXT['gru'], pool=pool, num_layers=2)
    encoder = tower('text', config)
    check(encoder, rows, tmp_path, ('.onnx',) if pool == 'last' else ('.pt2',))
    assert 'pooled' not in vars(encoder.model.text_encoder)  # as it was


@pytest.mark.parametrize('kind', ['bert', 'roberta'])
def test_transformers(kind: str, tmp_path: Path) -> None:
    folder = FAMILIES[kind].save(tmp_path / kind)
    config = dict(type='HuggingFaceTextEncoder', path=folder, embed_dim=16, pool='mean')
    encoder = tower('text', config)
    pad = encoder.model.text_encoder.pad_id
    rows = torch.tensor(
        [[4, 5, 6, 7, 8, 9], [4, 5, 6, pad, pad, pad], [4, pad, pad, pad, pad, pad]]
    )
    check(encoder, rows, tmp_path, ('.onnx', '.pt2'))


class Counting(nn.Module):
    """Its code asks how many rows there are."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.reshape(int(float(len(rows))), -1)[:, :4] * len(range(len(rows)))


class Reading(nn.Module):
    """Its code asks what is in the rows."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows if rows.sum().item() > 0 else -rows


def test_a_tower_that_fixes_its_rows(tmp_path: Path) -> None:
    rows = torch.randn(3, 4)
    graph = capture(Counting(), rows[:1], 'a tower')
    assert graph.batch == 1
    write(graph, tmp_path / 'x.pt2')
    assert largest_difference(Counting(), tmp_path / 'x.pt2', rows, graph.batch) == 0


def test_a_tower_that_cannot_be_captured() -> None:
    with pytest.raises(ValueError, match='the tower of a test cannot be exported') as caught:
        capture(Reading(), torch.ones(1, 4), 'the tower of a test')
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 300


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, purpose: str, install: str) -> None:
        raise ImportError(f'{purpose} needs {module}: pip install {install}')

    graph = capture(nn.Linear(4, 4).eval(), torch.ones(1, 4), 'a tower')
    monkeypatch.setattr(graphs, 'import_optional', missing)
    with pytest.raises(ImportError, match=r"pip install 'urbancross-mm\[export\]'"):
        write(graph, tmp_path / 'x.onnx')
    write(graph, tmp_path / 'x.pt2')


def test_a_graph_that_computes_something_else_shows(tmp_path: Path) -> None:
    graph = capture(nn.Linear(4, 4).eval(), torch.ones(1, 4), 'a tower')
    write(graph, tmp_path / 'x.pt2')
    other = nn.Linear(4, 4).eval()
    assert largest_difference(other, tmp_path / 'x.pt2', torch.randn(3, 4), None) > 1e-3
