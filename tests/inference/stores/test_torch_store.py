"""TorchStore in a folder: the contract, and what only a folder can suffer."""

from collections.abc import Callable
from itertools import count

import pytest

from tests.inference.stores.contract import StoreContract


class TestTorchStore(StoreContract):
    @pytest.fixture(scope='class')
    def new_location(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
        folder, numbers = tmp_path_factory.mktemp('stores'), count()
        return lambda: str(folder / f'store{next(numbers)}')
