"""The tests are nearly as long as what they test."""

import ast
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
LEAST = 0.8


def lines_with_meaning(source: str) -> int:
    """Lines that hold code: no blank lines, comments, docstrings or lone brackets."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            docstrings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE and token.string not in set('()[]{},'):
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - docstrings)


def total(folders: Iterable[str]) -> int:
    files = [path for folder in folders for path in (ROOT / folder).rglob('*.py')]
    return sum(lines_with_meaning(p.read_text()) for p in files if '.mim' not in p.parts)


def test_what_counts() -> None:
    source = '"""Doc."""\n\n# why\nx = [\n    1,  # one\n]\n\n\ndef f():\n    """Doc\n    doc."""\n'
    assert lines_with_meaning(source) == 3
    assert lines_with_meaning('text = """a\nb\n"""\n') == 3


def test_tests_per_line_of_source() -> None:
    source, tests = total(['urbancross_mm', 'tools']), total(['tests'])
    print(f'{tests} lines of tests for {source} of source: {tests / source:.2f}')
    assert tests >= LEAST * source
