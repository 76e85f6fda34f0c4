"""Reading CSV files strictly: a broken row is an error, never skipped."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from urbancross_mm.utils.text_files import read_text

IMAGE_NAME = re.compile(r'[^\s,"]+\.(jpe?g|png|tiff?|bmp|webp)', re.IGNORECASE)
# Excel writes the separator in a line of its own.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
OTHER_SEPARATORS = {';': 'semicolons', '\t': 'tabs', '|': 'bars'}


class Table:
    """The rows of a CSV file with a header, separated by commas.

    Args:
        path (Path): A UTF-8 file, with or without a byte order mark.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a text file, empty, or separated by something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = read_text(path)
        # A column of outlines may be long; the limit is of the whole process, so only raised.
        csv.field_size_limit(max(csv.field_size_limit(), len(text)))
        lines = io.StringIO(text, newline='')
        skipped = self._skip_separator_line(lines)
        self._rows = _numbered(lines, path, skipped)
        _, header = next(self._rows, (0, []))
        if not header:
            raise ValueError(f'{path} is empty')
        self.columns = [name.strip() for name in header]
        for separator in OTHER_SEPARATORS:
            if len(self.columns) == 1 and separator in self.columns[0]:
                self._refuse_separator(separator)

    def check_once(self, columns: Iterable[str]) -> None:
        """Refuse a column that is read and comes twice."""
        for name in columns:
            if self.columns.count(name) > 1:
                raise ValueError(f'{self.path} has the column {name!r} twice')

    def rows(self, names: Collection[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
        """Every row that is not blank.

        Args:
            names (Collection[str]): Further image names that begin a row, to find
                rows inside a cell. Defaults to ().

        Returns:
            Iterator[tuple[int, dict[str, str]]]: The line in which a row begins, and its cells by
            column.

        Raises:
            ValueError: If a quote is not closed, a row has more or fewer cells than the header, or
                a cell holds what looks like further rows; the message names the line.
        """
        for line, cells in self._rows:
            if not any(cell.strip() for cell in cells):
                continue
            where = f'{self.path}, line {line}'
            if not any(cells[len(self.columns) :]):  # a comma ends each row
                cells = cells[: len(self.columns)]
            if len(cells) != len(self.columns):
                raise ValueError(
                    f'{where}: {len(cells)} cells, but the header has '
                    f'{len(self.columns)} ({", ".join(self.columns)}); put a text '
                    'with commas in quotes'
                )
            row = dict(zip(self.columns, cells))
            for column, text in row.items():
                if swallowed := _row_inside(text, names):
                    raise ValueError(
                        f'{where}: {column!r} holds what looks like further rows, '
                        f'{swallowed[:60]!r}: close the quote that opens there'
                    )
            yield line, row

    def _skip_separator_line(self, lines: io.StringIO) -> int:
        match = SEPARATOR_LINE.fullmatch(lines.readline().rstrip('\r\n'))
        if not match:
            lines.seek(0)
            return 0
        if match[1] != ',':
            self._refuse_separator(match[1])
        return 1

    def _refuse_separator(self, separator: str) -> None:
        known = OTHER_SEPARATORS.get(separator, repr(separator))
        raise ValueError(f'{self.path} is separated by {known}: save it with commas')


def _numbered(lines: io.StringIO, path: Path, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line in which they begin: a cell in quotes may run over several lines."""
    reader = csv.reader(lines, strict=True)
    start = skipped + 1
    try:
        for cells in reader:
            yield start, cells
            start = skipped + reader.line_num + 1
    except csv.Error as error:
        raise ValueError(
            f'{path}, line {start}: a quote that opens in this row is not closed as '
            f'it should be (line {skipped + reader.line_num}: {error})'
        ) from error


def _row_inside(text: str, names: Collection[str]) -> str:
    """The first further line of a cell that has an image name of its own; '' if there is none."""
    for line in re.split(r'\r\n?|\n', text)[1:]:
        cells = [cell.strip().strip('"') for cell in line.split(',')]
        if len(cells) > 1 and any(IMAGE_NAME.fullmatch(cell) or cell in names for cell in cells):
            return line
    return ''


def choose_columns(
    table: Table, pairs: Sequence[tuple[str, str]], image: str | None, caption: str | None
) -> tuple[str, str]:
    """Find the columns of image names and captions: the first known pair that the table has.

    ``image`` and ``caption`` replace the names of the pairs.
    """
    wanted = [(image or first, caption or second) for first, second in pairs]
    chosen = next((pair for pair in wanted if set(pair) <= set(table.columns)), None)
    if chosen is None:
        missing = min(
            ([name for name in pair if name not in table.columns] for pair in wanted), key=len
        )
        raise ValueError(
            f'{table.path} has no column {" and ".join(missing)}; it has '
            f'{", ".join(table.columns)} (choose with --image-column and '
            '--caption-column)'
        )
    return chosen
