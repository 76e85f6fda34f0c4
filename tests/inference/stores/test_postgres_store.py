"""PostgresStore with its approximate index on, against a real server."""

from collections.abc import Callable, Iterator

import pytest

from tests.inference.stores.conftest import NUMBERS
from tests.inference.stores.contract import StoreContract
from urbancross_mm.inference.stores.sql_store import SqlStore


class TestPostgresStore(StoreContract):
    least_recall = 0.95

    @pytest.fixture(scope='class', autouse=True)
    def _small(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlStore, 'few_rows', 100)
            yield

    @pytest.fixture(scope='class')
    def new_location(self, postgres: str) -> Callable[[], str]:
        return lambda: f'{postgres}?table=contract_{next(NUMBERS)}'
