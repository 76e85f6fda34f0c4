"""One tower as a graph: captured, written, and compared with the tower."""

from __future__ import annotations

import contextlib
import io
import logging
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from urbancross_mm.inference.export.capturable import capturable
from urbancross_mm.utils.optional import import_optional

# Name of a format and suffix of its file.
SUFFIXES = {'onnx': '.onnx', 'torch': '.pt2'}
# A larger ONNX file keeps its weights beside it: a protobuf holds 2 GB.
MOST_IN_ONE_FILE = 1_800_000_000
EXTRA = "'urbancross-mm[export]'"
_EXAMPLES = 2  # rows while a graph is captured: 0 and 1 would be taken as fixed


class Tower(nn.Module):
    """One encoder of a retriever.

    Args:
        model (nn.Module): The retriever, in ``eval``.
        modality (str): ``'image'`` or ``'text'``.
    """

    def __init__(self, model: Any, modality: str) -> None:
        super().__init__()
        self.model, self.modality = model, modality

    def forward(self, rows: Tensor) -> Tensor:
        """Unit vectors (N, D) of normalized images (N, 3, H, W) or token ids (N, L)."""
        return self.model.encode(self.modality, rows)


class Graph(NamedTuple):
    """A captured tower.

    Args:
        program (ExportedProgram): Takes rows, gives unit vectors.
        batch (int, optional): How many rows it takes; None for any number.
    """

    program: Any
    batch: int | None


@torch.no_grad()
def capture(tower: nn.Module, example: Tensor, what: str) -> Graph:
    """Capture a tower with ``torch.export``.

    Args:
        tower (nn.Module): In ``eval``, on the CPU.
        example (Tensor): One row that it takes, ``(1, ...)``.
        what (str): For the message.

    Returns:
        Graph: Of any number of rows; of one row where the code of the tower fixes it.

    Raises:
        ValueError: If the code of the tower cannot be captured at all.
    """
    rows = example.expand(_EXAMPLES, *example.shape[1:]).contiguous()
    errors = []
    for given, batch in ((rows, None), (example, 1)):
        shapes = ({0: torch.export.Dim.DYNAMIC},) if batch is None else None
        try:
            with _quiet(), _without_fast_path(), capturable(tower):
                program = torch.export.export(tower, (given,), dynamic_shapes=shapes, strict=False)
            return Graph(program, batch)
        # Whatever the code of an encoder raises when its inputs are no numbers.
        except Exception as error:
            errors.append(error)
    raise ValueError(f'{what} cannot be exported: {_line(errors[-1])}') from errors[-1]


def write(graph: Graph, path: Path) -> None:
    """Write a graph in the format of its suffix.

    Args:
        graph (Graph): A captured tower.
        path (Path): ``.onnx`` or ``.pt2``.

    Raises:
        ImportError: If a package for ONNX is missing.
        ValueError: If ONNX has no operator for a part of it.
    """
    if path.suffix == SUFFIXES['torch']:
        with _quiet():
            torch.export.save(graph.program, path)
        return
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        import_optional(package, 'The export to ONNX', EXTRA)
    name = path.stem
    size = sum(value.nbytes for value in graph.program.state_dict.values())
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                graph.program,
                dynamo=True,
                verbose=False,
                input_names=[name],
                output_names=[f'{name}_embeds'],
            )
            program.save(path, external_data=size > MOST_IN_ONE_FILE)
    except Exception as error:  # torch.onnx has an error of its own for each step
        raise ValueError(f'{path.name} cannot be written: {_line(error)}') from error


def reader(path: Path) -> Callable[[Tensor], Tensor]:
    """Read a graph as another program does.

    Args:
        path (Path): What :func:`write` wrote.

    Returns:
        Callable: Takes rows, gives unit vectors.
    """
    if path.suffix == SUFFIXES['torch']:
        module = torch.export.load(path).module()
        return lambda rows: module(rows)
    runtime: Any = import_optional('onnxruntime', 'The export to ONNX', EXTRA)
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda rows: torch.from_numpy(session.run(None, {path.stem: rows.numpy()})[0])


@torch.no_grad()
def largest_difference(tower: nn.Module, path: Path, rows: Tensor, batch: int | None) -> float:
    """Compare a written graph with its tower, in batches of one row and of all.

    Args:
        tower (nn.Module): The original.
        path (Path): The graph.
        rows (Tensor): More than two rows.
        batch (int, optional): How many rows the graph takes; None for any number.

    Returns:
        float: Of all numbers of the unit vectors.
    """
    run = reader(path)
    with _quiet():
        sizes = {1, len(rows)} if batch is None else {batch}
        pairs = [(run(part), tower(part)) for size in sizes for part in rows.split(size)]
    return max(float((one - other).abs().max()) for one, other in pairs)


@contextlib.contextmanager
def _without_fast_path() -> Iterator[None]:
    """Attention of torch in ``eval`` is one operator that no other program has."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print and warn about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        output = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def _line(error: BaseException) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f'{type(error).__name__}: {textwrap.shorten(text, 200, placeholder=" ...")}'
