"""Moving an index from one kind of store to another by command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from urbancross_mm.inference.stores import StoreItem, open_store


def test_there_and_back(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in ('a', 'b.lance', 'c')]
    rows = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    with open_store(places[0], 'model', create=True) as store:
        store.add([StoreItem(f'{i}', row, dict(n=i, tags=['x'])) for i, row in enumerate(rows)])
    for source, target in zip(places, places[1:]):
        code, printed = call_tool('misc/copy_index', source, target)
        assert code == 0 and '30 items added, 0 updated, 30 in the target' in printed
        code, printed = call_tool('misc/copy_index', source, target)
        assert code == 0 and '0 items added, 0 updated, 30 in the target' in printed
    with open_store(places[0]) as first, open_store(places[2], 'model') as last:
        for one, other in zip(first.items(embeds=True), last.items(embeds=True), strict=True):
            assert (one.id, one.attributes) == (other.id, other.attributes)
            np.testing.assert_array_equal(one.embed, other.embed)


def test_what_cannot_be_copied(call_tool: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    nothing, target = tmp_path / 'nothing', tmp_path / 'target'
    code, printed = call_tool('misc/copy_index', nothing, target)
    assert code == 2 and str(nothing) in printed and not target.exists()
    for name, fingerprint in (('one', 'model'), ('two', 'other')):
        open_store(str(tmp_path / name), fingerprint, create=True).close()
    code, printed = call_tool('misc/copy_index', tmp_path / 'one', tmp_path / 'two')
    assert code == 2 and 'two' in printed and 'other' in printed
