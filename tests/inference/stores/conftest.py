"""A PostgreSQL server for the tests of a session, and a table of its own for each."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.postgres import postgres_server, why_no_postgres

NUMBERS = count()


@pytest.fixture(scope='session')
def postgres() -> Iterator[str]:
    """URL of the server."""
    if why := why_no_postgres():
        pytest.skip(why)
    with postgres_server() as url:
        yield url


@pytest.fixture
def postgres_table(postgres: str) -> str:
    """Location of a store that does not exist yet."""
    return f'{postgres}?table=test_{next(NUMBERS)}'
