"""The rules that keep the tree readable: imports point down and importing is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'urbancross_mm'
LAYERS = [  # from the bottom up; a part imports itself and what stands below its layer
    {'registry', 'utils', 'version'},
    {'functional', 'geo', 'structures'},
    {'engine', 'datasets', 'models', 'evaluation', 'visualization'},
    {'inference', 'toy'},
    {'apis', 'curation', 'serving'},
    {'experiments'},
]
LAYER_OF = {part: number for number, parts in enumerate(LAYERS) for part in parts}
ALLOWED_IN_FUNCTIONAL = {
    'torch',
    'numpy',
    'urbancross_mm',
    'typing',
    'collections',
    'math',
    're',
    '__future__',
    'dataclasses',
    'functools',
    'itertools',
    'warnings',
}
HEAVY = (
    'torch',
    'mmengine.runner',
    'mmpretrain',
    'mmseg',
    'open_clip',
    'transformers',
    'segment_anything',
    'torchvision',
    'pandas',
    'matplotlib',
    'cv2',
)
FILES = sorted(p for p in PACKAGE.rglob('*.py') if '.mim' not in p.parts)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported_modules(path: Path) -> list[str]:
    results = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            results += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'relative import in {path}'
            results.append(node.module)
    return results


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part == '__init__':
        return
    for module in imported_modules(path):
        names = module.split('.')
        if names[0] != 'urbancross_mm' or len(names) == 1:
            continue
        other = names[1]
        lower = LAYER_OF[other] < LAYER_OF[part]
        assert other == part or lower, f'{path.relative_to(ROOT)} imports {module}'


@pytest.mark.parametrize(
    'path', sorted((PACKAGE / 'functional').glob('*.py')), ids=lambda p: p.name
)
def test_functional_needs_torch_and_numpy_only(path: Path) -> None:
    roots = {module.split('.')[0] for module in imported_modules(path)}
    assert roots <= ALLOWED_IN_FUNCTIONAL


def test_no_import_cycle_between_modules() -> None:
    names = {
        '.'.join(p.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): p
        for p in FILES
    }
    # Packages re-export their modules, so only module-to-module edges can make a real cycle.
    graph = {
        name: {m for m in imported_modules(path) if m in names and m != name}
        for name, path in names.items()
        if path.name != '__init__.py'
    }
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if state.get(name) == 2 or name not in graph:
            return
        assert state.get(name) != 1, f'cycle: {" -> ".join((*trail, name))}'
        state[name] = 1
        for other in graph[name]:
            visit(other, (*trail, name))
        state[name] = 2

    for name in graph:
        visit(name, ())


def test_importing_the_package_pulls_in_nothing_heavy() -> None:
    code = f'import sys, urbancross_mm; print([m for m in {HEAVY!r} if m in sys.modules])'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == '[]'


def test_no_file_is_a_stub() -> None:
    for path in [*FILES, *(ROOT / 'tools').rglob('*.py'), *(ROOT / 'benchmarks').rglob('*.py')]:
        text = path.read_text()
        assert 'TODO' not in text and 'NotImplementedError(' not in text.replace(
            'raise NotImplementedError()', ''
        ), path


def test_every_part_has_a_layer() -> None:
    parts = {part_of(path) for path in FILES} - {'__init__'}
    assert parts <= LAYER_OF.keys(), sorted(parts - LAYER_OF.keys())


def test_one_utils_only() -> None:
    strays = [path for path in FILES if path.name in ('utils.py', 'helpers.py', 'common.py')]
    assert not strays


@pytest.mark.parametrize(
    'path', sorted((ROOT / 'tools').rglob('*.py')), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_tool_puts_the_clone_on_the_path_before_it_imports(path: Path) -> None:
    nodes = ast.parse(path.read_text()).body
    depth = len(path.relative_to(ROOT).parts) - 1
    inserts = [
        node.lineno
        for node in nodes
        if ast.unparse(node)
        == f'sys.path.insert(0, str(Path(__file__).resolve().parents[{depth}]))'
    ]
    imports = [
        node.lineno
        for node in nodes
        for name in [getattr(node, 'module', None) or '', *(a.name for a in _aliases(node))]
        if name.split('.')[0] == 'urbancross_mm'
    ]
    assert inserts, f'{path} does not put its clone on the path'
    assert not imports or inserts[0] < min(imports)


def _aliases(node: ast.stmt) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import) else []
