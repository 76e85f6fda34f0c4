"""The tensors of a TorchScript archive are read, and nothing of it runs."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from urbancross_mm.utils.checkpoints import read_checkpoint, read_state_dict
from urbancross_mm.utils.jit_archive import is_jit_archive


class Part(nn.Module):
    """Typed containers, a buffer, a weight with two names, half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2)  # has lists of numbers
        self.norm = nn.BatchNorm1d(4).half()
        self.again = nn.Linear(4, 4)
        self.again.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer('size', torch.tensor(7))
        self.names: dict[str, int] = {'a': 1}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.again(self.conv(image).mean((2, 3))) * self.names['a']


def archive(path: Path) -> dict[str, torch.Tensor]:
    """An archive, and the weights of its model."""
    model = Part()
    torch.jit.script(model).save(str(path))
    return model.state_dict()


def with_record(path: Path, record: str, change: Callable[[bytes], bytes]) -> None:
    """Change one file in an archive."""
    with zipfile.ZipFile(path) as old:
        content = {entry.filename: old.read(entry) for entry in old.infolist()}
    with zipfile.ZipFile(path, 'w') as new:
        for name, data in content.items():
            new.writestr(name, change(data) if name.endswith(record) else data)


def test_every_weight_is_read(tmp_path: Path) -> None:
    path = tmp_path / 'model.pt'
    expected = archive(path)
    weights = read_state_dict(path)
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert weights[name].dtype == value.dtype and torch.equal(weights[name], value)
    # A program that is no program: it is never looked at.
    with_record(path, '.py', lambda text: b'raise SystemExit\n')
    assert read_state_dict(path).keys() == expected.keys()


def test_what_is_an_archive(tmp_path: Path) -> None:
    torch.save(dict(weight=torch.ones(1)), tmp_path / 'saved.pt')
    (tmp_path / 'text.pt').write_text('constants.pkl')
    archive(tmp_path / 'model.pt')
    names = ('saved.pt', 'text.pt', 'none.pt', 'model.pt')
    assert [is_jit_archive(tmp_path / name) for name in names] == [False, False, False, True]


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_code_in_the_pickle_is_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / 'model.pt', tmp_path / 'trace'
    archive(path)
    with_record(path, 'data.pkl', lambda _: pickle.dumps(Harmful(trace), protocol=2))
    with pytest.raises(ValueError, match=r'model\.pt.*mkdir') as caught:
        read_checkpoint(path)
    assert not trace.exists() and '\n' not in str(caught.value)


def test_a_torn_archive_and_one_without_weights(tmp_path: Path) -> None:
    path = tmp_path / 'model.pt'
    archive(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r'model\.pt.*damaged'):
        read_checkpoint(path)
    torch.jit.script(nn.ReLU()).save(str(path))
    with pytest.raises(ValueError, match=r'model\.pt holds no weights'):
        read_state_dict(path)
    archive(path)
    with_record(path, 'data/0', lambda data: data[:2])
    with pytest.raises(ValueError, match=r'model\.pt'):
        read_state_dict(path)


def test_parts_that_share_parts_do_not_become_many(tmp_path: Path) -> None:
    path = tmp_path / 'model.pt'
    archive(path)

    def nested(_: bytes) -> bytes:
        """Each of 40 parts holds the next one twice."""
        lines = [b'\x80\x02']
        for depth in range(40):
            lines.append(b'c__torch__\nPart\n)\x81}')
            if depth:
                lines.append(
                    b'(X\x01\0\0\0ah' + bytes([depth]) + b'X\x01\0\0\0bh' + bytes([depth]) + b'u'
                )
            lines.append(b'bq' + bytes([depth + 1]))
        return b''.join(lines) + b'.'

    with_record(path, 'data.pkl', nested)
    with pytest.raises(ValueError, match=r'model\.pt.*100000 parts'):
        read_checkpoint(path)
