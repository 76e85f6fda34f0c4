"""The parts of a store in memory."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

import numpy as np
import pyarrow as pa

from urbancross_mm.inference.stores.parts import Rows
from urbancross_mm.inference.stores.snapshot import Snapshot


class MemoryParts:
    """Keeps parts in memory."""

    def write(self, chunks: Iterable[np.ndarray], table: pa.Table, dtype: str, width: int) -> Rows:
        """Keep the vectors and the table of one part."""
        return Rows(uuid4().hex, np.concatenate(list(chunks)), table)

    def write_left(self, alive: np.ndarray) -> str:
        """Keep which rows are left; the part itself knows."""
        return ''

    def commit(self, snapshot: Snapshot, before: Snapshot) -> None:
        """Make a snapshot the current one."""

    def acquire(self) -> bool:
        """Become the only writer; False: it was so before."""
        return False

    def load(self, known: Snapshot | None) -> Snapshot:
        """The current snapshot."""
        assert known is not None
        return known

    def sweep(self, snapshot: Snapshot) -> None:
        """Nothing is left behind."""

    def close(self) -> None:
        """Nothing to release."""
