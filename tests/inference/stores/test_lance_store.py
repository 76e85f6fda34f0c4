"""LanceStore with its approximate index on."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.inference.stores.contract import StoreContract
from urbancross_mm.inference.stores.sql_store import SqlStore

pytest.importorskip('lancedb')


class TestLanceStore(StoreContract):
    least_recall = 0.95

    @pytest.fixture(scope='class', autouse=True)
    def _small(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlStore, 'few_rows', 100)
            yield

    @pytest.fixture(scope='class')
    def new_location(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
        folder, numbers = tmp_path_factory.mktemp('stores'), count()
        return lambda: str(folder / f'store{next(numbers)}.lance')
