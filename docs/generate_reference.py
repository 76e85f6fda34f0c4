"""The reference pages of the site, made from docstrings and ``--help``: a hook of mkdocs.

Nothing that it writes is committed. ``docs/reference/index.md`` is; its table is filled in here.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
TABLE = '<!-- table of components -->'
API = {
    'Runs and search': [
        'urbancross_mm.apis.RetrievalInferencer',
        'urbancross_mm.apis.SemanticLocalizer',
        'urbancross_mm.apis.HeatMap',
        'urbancross_mm.apis.load_config',
        'urbancross_mm.apis.build_runner',
        'urbancross_mm.structures.Gallery',
        'urbancross_mm.inference.indexing.IndexBuilder',
        'urbancross_mm.inference.search_query.Query',
        'urbancross_mm.inference.store_search.StoreSearch',
        'urbancross_mm.inference.classification.SceneClassifier',
    ],
    'Base classes to derive from': [
        'urbancross_mm.models.encoders.BaseEncoder',
        'urbancross_mm.models.losses.BaseRetrievalLoss',
        'urbancross_mm.models.retrievers.BaseRetriever',
    ],
    'Functions on tensors': [
        f'urbancross_mm.functional.{name}'
        for name in ('contrastive', 'domain', 'ranking', 'segments', 'transport')
    ],
}


class Component(NamedTuple):
    """A registered class or function."""

    name: str
    path: str
    registry: str
    summary: str

    @property
    def page(self) -> str:
        """Name of its page: the package that it lies in, at most two folders deep."""
        package = self.path.split('.')[1:-1]
        return '-'.join(package[:2] if len(package) > 2 else package[:1])


def components() -> list[Component]:
    """All registered components, by page and name."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch's own, which mkdocs would print
        import urbancross_mm  # noqa: F401  first: installs the torchvision hook
        from urbancross_mm import registry

        for name in registry.__all__:
            if name != 'SCOPE':
                getattr(registry, name).import_from_location()
    listed = []
    for name in registry.__all__:
        for key, part in getattr(getattr(registry, name), 'module_dict', {}).items():
            if not part.__module__.startswith('urbancross_mm.'):
                continue  # registered by a program that uses the package, such as a test
            summary = ' '.join((part.__doc__ or '').partition('\n\n')[0].split())
            listed.append(Component(key, f'{part.__module__}.{part.__name__}', name, summary))
    return sorted(listed, key=lambda part: (part.page, part.name))


def component_pages(parts: list[Component]) -> dict[str, str]:
    """The Markdown of each page of components, by file name."""
    pages = defaultdict(list)
    for part in parts:
        pages[part.page].append(f'::: {part.path}\n\nRegistered in `{part.registry}`.\n')
    return {
        f'reference/{page}.md': '\n'.join([f'# {page.replace("-", ": ")}\n', *texts])
        for page, texts in pages.items()
    }


def table(parts: list[Component]) -> str:
    """One line per component, with a link to its page."""
    lines = ['| component | registry | |', '|---|---|---|']
    for part in parts:
        link = f'[`{part.name}`]({part.page}.md#{part.path})'
        lines.append(f'| {link} | `{part.registry}` | {part.summary} |')
    return '\n'.join(lines)


def help_of(tool: Path) -> str:
    """What ``--help`` prints, in this process: torch is imported once for all tools."""
    printed, argv, path = io.StringIO(), sys.argv, list(sys.path)
    sys.argv = [str(tool), '--help']
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            runpy.run_path(str(tool), run_name='__main__')
    finally:
        sys.argv, sys.path[:] = argv, path
    return printed.getvalue()


def tool_page() -> str:
    """The options of every tool."""
    os.environ['COLUMNS'] = '100'
    texts = ['# Tools\n', 'What each tool prints for `--help`.\n']
    for tool in sorted((ROOT / 'tools').rglob('*.py')):
        name = tool.relative_to(ROOT)
        texts.append(f'## {name}\n\n```text\n{help_of(tool)}```\n')
    return '\n'.join(texts)


def api_page() -> str:
    """What a program imports."""
    texts = ['# Python API\n']
    for title, paths in API.items():
        texts.append(f'## {title}\n')
        for path in paths:
            texts.append(f'::: {path}\n    options:\n      heading_level: 3\n      members: true\n')
    return '\n'.join(texts)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the reference in the navigation.

    Args:
        config (MkDocsConfig): Settings of the site.

    Returns:
        MkDocsConfig: The same.
    """
    sys.path.insert(0, str(ROOT))
    parts = components()
    pages = component_pages(parts)
    config.extra['reference'] = {
        **pages,
        'reference/tools.md': tool_page(),
        'reference/api.md': api_page(),
    }
    config.extra['component_table'] = table(parts)
    section: list[Any] = next(item['Reference'] for item in config.nav if 'Reference' in item)
    section += ['reference/tools.md', 'reference/api.md', {'Components': list(pages)}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for name, text in config.extra['reference'].items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the table of components."""
    return markdown.replace(TABLE, config.extra['component_table'])


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Drop Sphinx's roles, which the docstrings use and Markdown does not know."""
    return re.sub(r':\w+:(?=<code>)', '', html)
