"""The documentation: its links, the paths and names in it, its tutorials and notebooks."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import pytest

from tests.runs import ROOT
from urbancross_mm import registry
from urbancross_mm.apis import load_config
from urbancross_mm.functional.reranking import RERANKERS
from urbancross_mm.utils.setup_env import reset_mmengine_state

PAGES = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'), *(ROOT / 'examples').glob('*')]
    if path.suffix in ('.md', '.ipynb')
)
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.M | re.S)
# Files that a page tells the reader to write.
TO_BE_WRITTEN = {'configs/mean-color_rsicd.py'}
# A training of one epoch on few images.
WORKERS = [f'{phase}_dataloader.num_workers=0' for phase in ('train', 'val', 'test')]
SMALL = [*WORKERS, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
SMALL += ['train_dataloader.batch_size=8']
SMALL_ADAPTATION = [
    'train_dataloader.batch_sampler.source.finland=6',
    'train_dataloader.batch_sampler.target.porto=2',
]


def read(page: Path) -> str:
    return (ROOT / page).read_text(encoding='utf-8')


def prose(text: str) -> str:
    """A page without its code blocks."""
    return FENCE.sub('', text)


def anchors(text: str) -> set[str]:
    """Names of the headings of a page, as GitHub and mkdocs make them."""
    titles = re.findall(r'^#+ (.+)$', prose(text), re.M)
    plain = [re.sub(r'[^\w\- ]', '', title.lower()).strip() for title in titles]
    return {re.sub(r'[ -]+', '-', title) for title in plain}


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r'\]\(([^)\s]+)\)', prose(read(page))):
        target, _, anchor = link.partition('#')
        if re.match(r'\w+:', link):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.is_file() or (anchor and anchor not in anchors(path.read_text('utf-8'))):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize('page', [p for p in PAGES if p.name != 'CHANGELOG.md'], ids=str)
def test_paths_and_configs_exist(page: Path) -> None:
    text = read(page)
    folders = 'benchmarks|configs|docs|examples|tests|tools|urbancross_mm'
    paths = set(re.findall(rf'(?<![\w/.-])(?:{folders})/[\w./*{{}}$<>-]*[\w/]', text))
    paths |= {f'configs/{name}' for name in re.findall(r'\bCONFIG=([\w./-]+\.py)', text)}
    paths |= {f'configs/{name}' for name in re.findall(r'(?<![\w/-])urbancross_\w[\w-]*\.py', text)}
    named = {path for path in paths if not re.search(r'[*{}$<>]', path)} - TO_BE_WRITTEN
    assert not {path for path in named if not (ROOT / path).exists()}


def test_pages_that_the_code_names_exist() -> None:
    folders = ('urbancross_mm', 'configs', 'tools', 'benchmarks', 'tests')
    files = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob('*')
        if path.suffix in ('.py', '.sh', '.yml')
    ]
    named = {
        page
        for path in [*files, ROOT / 'Makefile', ROOT / 'model-index.yml']
        for page in re.findall(r'\bdocs/[\w/-]+\.\w+', path.read_text('utf-8'))
    }
    assert named and not {page for page in named if not (ROOT / page).is_file()}


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_components_in_configs_are_registered(page: Path) -> None:
    known = {
        name
        for each in registry.__all__
        if each != 'SCOPE'
        for name in registered(getattr(registry, each))
    }
    text = read(page)
    known |= set(re.findall(r'class (\w+)', text)) | RERANKERS.keys()
    # Those of mmengine and torch.
    others = {'Adam', 'AdamW', 'AmpOptimWrapper', 'DefaultSampler', 'EMAHook', 'Pretrained'}
    used = set(re.findall(r"\btype='(\w+)'", text)) - others
    assert used <= known


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_imports_work(page: Path) -> None:
    for line in re.findall(r'\bfrom urbancross_mm[\w.]* import [\w, ]+', read(page)):
        exec(line, {})


class Understood(Exception):
    """Ends a tool once it has read its command line."""


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of tools in a page, with its shell variables filled in."""
    blocks = [body for language, body in FENCE.findall(text) if language == 'bash']
    for block in [*blocks, *re.findall(r'`(python tools/[^`]+)`', prose(text))]:
        values: dict[str, str] = {}
        for line in block.replace('\\\n', ' ').splitlines():
            for name, value in values.items():
                line = line.replace(f'${name}', value)
            words = shlex.split(line, comments=True)
            while words and re.match(r'[A-Z_]+=', words[0]):
                name, _, values[name] = words.pop(0).partition('=')
            if words[:1] == ['python'] and words[1].startswith('tools/'):
                yield words[1:]


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_commands_are_understood(
    page: Path, in_sample_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option exists, and every config takes the settings that a page gives it."""

    def stopping(read_line: Callable) -> Callable:
        def stop(parser: argparse.ArgumentParser, *args: list[str]) -> None:
            raise Understood(read_line(parser, *args))

        return stop

    for name in ('parse_args', 'parse_intermixed_args'):
        read_line = getattr(argparse.ArgumentParser, name)
        monkeypatch.setattr(argparse.ArgumentParser, name, stopping(read_line))
    monkeypatch.setattr(sys, 'path', list(sys.path))
    for words in commands(read(page)):
        monkeypatch.setattr(sys, 'argv', words)
        with pytest.raises(Understood) as understood:
            runpy.run_path(str(ROOT / words[0]), run_name='tool')['main']()
        args = understood.value.args[0]
        config = ROOT / getattr(args, 'config', 'none')
        if config.is_file() and config.parent.name != 'curation':
            load_config(config, args.cfg_options, sample=True)


def registered(parts: registry.Registry) -> set[str]:
    parts.import_from_location()
    return {
        name
        for name, part in parts.module_dict.items()
        if part.__module__.startswith('urbancross_mm.')
    }


def test_reference_has_every_component() -> None:
    spec = importlib.util.spec_from_file_location('reference', ROOT / 'docs/generate_reference.py')
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    parts = reference.components()
    assert registered(registry.MODELS) <= {part.name for part in parts}
    assert not [part.path for part in parts if not part.summary.endswith('.')]
    written = '\n'.join(reference.component_pages(parts).values())
    assert all(f'::: {part.path}\n' in written for part in parts)


@pytest.fixture
def reader_dir(sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a clone with the sample data, for one reader."""
    for name in ('configs', 'tools', 'docs', 'examples'):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / 'data/sample').mkdir(parents=True)
    for path in (sample_dir / 'data/sample').iterdir():
        if path.name != 'mycountry':  # a tutorial makes it
            (tmp_path / 'data/sample' / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('URBANCROSS_TRACEBACK', '1')
    monkeypatch.setattr(sys, 'path', [str(ROOT), *sys.path])
    monkeypatch.setattr(registry.MODELS, '_module_dict', dict(registry.MODELS._module_dict))
    matplotlib.use('Agg')
    return tmp_path


def shortened(words: list[str]) -> list[str]:
    """The command line of a training or a test, cut down to seconds."""
    tool = Path(words[0]).name
    if tool not in ('train.py', 'test.py'):
        return words
    options = [] if '--cfg-options' in words else ['--cfg-options']
    options += WORKERS[2:] if tool == 'test.py' else SMALL
    return words + options + (SMALL_ADAPTATION if 'configs/adapt.py' in words else [])


def run_tool(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a tool in this process, which spares its imports."""
    monkeypatch.setattr(sys, 'argv', shortened(words))
    try:
        runpy.run_path(words[0], run_name='__main__')
    except SystemExit as stop:
        assert not stop.code, words
    finally:
        reset_mmengine_state()


def follow(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what a tutorial says, block by block."""
    names: dict = {}
    for language, text in FENCE.findall(read(Path('docs/tutorials') / page)):
        if language == 'python':
            exec(compile(text, page, 'exec'), names)
        for line in text.splitlines() if language == 'bash' else ():
            words = shlex.split(line)
            if words[0] == 'python':
                run_tool(words[1:], monkeypatch)
            else:
                subprocess.run(line, shell=True, check=True)


def run_notebook(name: str) -> dict:
    """Run the cells of a notebook in order."""
    names: dict = {}
    for number, cell in enumerate(json.loads(read(Path('examples') / name))['cells']):
        if cell['cell_type'] == 'code':
            exec(compile(''.join(cell['source']), f'{name}, cell {number}', 'exec'), names)
    reset_mmengine_state()
    return names


def test_first_tutorials(
    reader_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One training serves the search, the notebook of the search, and the adaptation."""
    follow('train-test-search.md', monkeypatch)
    assert 'retrieval/mR' in json.loads((reader_dir / 'outputs/metrics.json').read_text())
    assert (reader_dir / 'outputs/query.png').is_file()
    run_notebook('search.ipynb')
    follow('own-dataset.md', monkeypatch)
    assert re.search(r'^before [\d.]+\nafter [\d.]+$', capsys.readouterr().out, re.M)


def test_curation_tutorial(reader_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow('curate.md', monkeypatch)
    assert (reader_dir / 'outputs/card.html').is_file()
    assert list((reader_dir / 'work_dirs/urbancross_mycountry_sample').glob('best_*.pth'))


def test_notebook_of_an_encoder_and_a_loss(reader_dir: Path) -> None:
    names = run_notebook('encoder_and_loss.ipynb')
    assert names['metrics']['retrieval/mR'] > 0
