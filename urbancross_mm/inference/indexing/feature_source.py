"""Vectors that were computed elsewhere as the source of an index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from urbancross_mm.datasets.feature_file import FeatureFile
from urbancross_mm.functional.similarity import normalize
from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.inference.feature_extraction import encoders_of, weights_of
from urbancross_mm.inference.image_files import EncodedFiles
from urbancross_mm.inference.indexing.base_source import RESERVED, BaseSource, plain
from urbancross_mm.inference.indexing.value_checks import check_values
from urbancross_mm.models.encoders.feature import FeatureEncoder
from urbancross_mm.utils.hashing import FileStamp

ID_COLUMNS = ('id', 'img_id', 'img_path', 'name')
VECTOR_COLUMNS = ('embed', 'embeds', 'embedding', 'vector')
BATCH = 256


class _Vectors(BaseSource):
    """Items with a vector each, known by their ids; the digest of the vector is their stamp."""

    def __init__(self, name: str, path: str, ids: Sequence[str], digests: Sequence[str]) -> None:
        self.name, self.path, self.files = name, path, ids
        self.digests = digests

    def __len__(self) -> int:
        return len(self.files)

    def id_of(self, position: int) -> str:
        """The name of the source and the id in the file."""
        return f'{self.name}/{self.files[position]}'

    def file_of(self, position: int) -> str:
        """The id in the file."""
        return self.files[position]

    def renewed(self, position: int, stamp: FileStamp) -> FileStamp | None:
        """The same stamp, if the vector is the same."""
        return stamp if stamp.digest == self.digests[position] else None

    def _encoded(self, positions: Sequence[int], rows: torch.Tensor) -> EncodedFiles:
        stamps = [FileStamp(0, 0, 0, self.digests[position]) for position in positions]
        return EncodedFiles(list(range(len(positions))), rows, stamps)


class FeatureSource(_Vectors):
    """A file of ``tools/misc/extract_features.py``: the model's projection makes vectors of it.

    Args:
        name (str): Of the source.
        path (str): The ``.npz`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no feature file.
    """

    def __init__(self, name: str, path: str) -> None:
        self.file = FeatureFile(path)
        super().__init__(
            name, path, self.file.image_ids, [_digest(row) for row in self.file.image_feats]
        )

    def attributes(self, position: int) -> dict[str, Any]:
        """The id of the image."""
        return dict(img_id=self.files[position])

    def check_model(self, embedder: Embedder) -> None:
        """Refuse a model without a projection, or with other encoders."""
        image_encoder, text_encoder = encoders_of(embedder.model)
        projection = getattr(image_encoder, 'projection', None)
        width = self.file.image_feats.shape[1]
        if projection is None or getattr(projection, 'in_features', width) != width:
            raise ValueError(
                f'{self.path} holds features of width {width}, and the image encoder of this '
                'model has no projection for them: index the images instead'
            )
        known = self.file.metadata.get('weights')
        if known and not isinstance(image_encoder, FeatureEncoder):
            now = weights_of(image_encoder, text_encoder)
            if known != now:
                raise ValueError(
                    f'{self.path} comes from encoders with other weights ({str(known)[:8]}, now '
                    f'{now[:8]}): extract the features again with this config'
                )

    def encode(
        self, positions: Sequence[int], embedder: Embedder, skip_bad: bool
    ) -> Iterator[EncodedFiles]:
        """Project the features."""
        projection: Any = encoders_of(embedder.model)[0].projection
        device = next(embedder.model.parameters()).device
        for start in range(0, len(positions), BATCH):
            some = positions[start : start + BATCH]
            with torch.no_grad():
                feats = torch.from_numpy(self.file.image_feats[list(some)]).to(device)
                rows = normalize(projection(feats)).cpu()
            if not rows.any(dim=1).all():
                zero = self.files[some[int((~rows.any(dim=1)).nonzero()[0])]]
                raise ValueError(f'{self.path}: the vector of {zero!r} is zero')
            part = self._encoded(some, rows)
            yield part._replace(positions=[start + row for row in part.positions])


class ParquetSource(_Vectors):
    """A Parquet file of finished embeddings, read a few rows at a time.

    One column holds the ids (``id``, ``img_id``, ``img_path`` or ``name``) and one the vectors
    (``embed``, ``embedding`` or ``vector``). All other columns are attributes. Its schema metadata
    may name the ``fingerprint`` of the model.

    Args:
        name (str): Of the source.
        path (str): The ``.parquet`` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing or of another type, an id is missing or stands twice,
            or a vector is not finite or zero.
    """

    def __init__(self, name: str, path: str) -> None:
        import pyarrow.parquet

        self.path = path
        file = pyarrow.parquet.ParquetFile(path)
        columns = file.schema_arrow.names
        self._id = _column(path, columns, ID_COLUMNS)
        self._vector = _column(path, columns, VECTOR_COLUMNS)
        _check_vector_type(path, file.schema_arrow.field(self._vector))
        self._fingerprint = (file.schema_arrow.metadata or {}).get(b'fingerprint', b'').decode()
        self.width = 0
        digests: list[str] = []
        for rows in self._batches(file):
            self.width = rows.shape[1]
            empty = np.flatnonzero(~rows.any(axis=1))
            if empty.size:
                row = len(digests) + int(empty[0]) + 1
                raise ValueError(f'{path}, row {row}: the vector in {self._vector!r} is zero')
            digests += [_digest(row) for row in rows]
        self.table = file.read([name for name in columns if name != self._vector])
        ids = [
            _id_of(path, value, row)
            for row, value in enumerate(self.table[self._id].to_pylist(), 1)
        ]
        if len(set(ids)) < len(ids):
            raise ValueError(f'{path} has {len(ids) - len(set(ids))} ids twice in {self._id!r}')
        super().__init__(name, path, ids, digests)
        if not self._fingerprint:
            self.remark = f'{path} does not name its model; it is taken for the one that is given'

    def attributes(self, position: int) -> dict[str, Any]:
        """All columns but the vector."""
        values = plain(self.table.slice(position, 1).to_pylist()[0], RESERVED)
        check_values(values, f'{self.path}, row {position + 1} ({self.files[position]})')
        return values

    def check_model(self, embedder: Embedder) -> None:
        """Refuse vectors of another model."""
        width = embedder.encode_texts(['a']).shape[1]
        if width != self.width:
            raise ValueError(f'{self.path} holds vectors of width {self.width}, the model {width}')
        if self._fingerprint and self._fingerprint != embedder.fingerprint:
            raise ValueError(
                f'{self.path} was made by another model or pipeline ({self._fingerprint[:8]}, '
                f'now {embedder.fingerprint[:8]})'
            )

    def encode(
        self, positions: Sequence[int], embedder: Embedder, skip_bad: bool
    ) -> Iterator[EncodedFiles]:
        """Read the vectors; ``positions`` ascend."""
        import pyarrow.parquet

        wanted = np.asarray(positions, dtype=np.int64)
        start = 0
        for rows in self._batches(pyarrow.parquet.ParquetFile(self.path)):
            low, high = np.searchsorted(wanted, (start, start + len(rows)))
            if high > low:
                some = wanted[low:high]
                part = self._encoded(some.tolist(), normalize(torch.from_numpy(rows[some - start])))
                yield part._replace(positions=list(range(low, high)))
            start += len(rows)

    def _batches(self, file: Any) -> Iterator[np.ndarray]:
        for batch in file.iter_batches(BATCH, columns=[self._vector]):
            values = batch.column(0).to_pylist()
            widths = {len(value or ()) for value in values} | {self.width or len(values[0] or ())}
            if len(widths) > 1:
                raise ValueError(f'{self.path} holds vectors of widths {sorted(widths)}')
            rows = np.asarray(values, dtype=np.float32)
            if rows.ndim != 2 or not np.isfinite(rows).all():
                raise ValueError(f'{self.path}: {self._vector!r} must hold finite vectors')
            yield rows


def is_feature_parquet(path: str) -> bool:
    """Whether a Parquet file has a column of vectors."""
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(path).names
    except Exception as error:  # pyarrow raises several kinds
        reason = str(error).partition('\n')[0][:200]
        raise ValueError(f'{path} is not a readable Parquet file: {reason}') from error
    return any(column in names for column in VECTOR_COLUMNS)


def _column(path: str, names: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in names:
            return name
    raise ValueError(f'{path} needs a column {" or ".join(wanted)}, it has {", ".join(names)}')


def _check_vector_type(path: str, field: Any) -> None:
    import pyarrow

    kinds = (pyarrow.ListType, pyarrow.LargeListType, pyarrow.FixedSizeListType)
    inner = field.type.value_type if isinstance(field.type, kinds) else None
    types = pyarrow.types
    if inner is None or not (types.is_floating(inner) or types.is_integer(inner)):
        raise ValueError(
            f'{path}: {field.name!r} must hold a list of numbers a row, it holds {field.type}'
        )


def _id_of(path: str, value: Any, row: int) -> str:
    if value is None or value == '':
        raise ValueError(f'{path}, row {row} has no id')
    return str(value)


def _digest(row: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).hexdigest()
