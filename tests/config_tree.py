"""The files of the config tree, and walking through a config."""

from collections.abc import Iterator

from mmengine.config import Config

from tests.runs import CONFIGS, datasets_of

LEAVES = sorted(
    str(p.relative_to(CONFIGS))
    for p in CONFIGS.rglob('*.py')
    if not {'_base_', 'curation'} & set(p.relative_to(CONFIGS).parts)
)
METHODS = sorted(path.stem for path in (CONFIGS / '_base_/methods').glob('*.py'))
TABLE = Config.fromfile(CONFIGS / '_base_/domains.py')
DOMAINS = {**TABLE.domains, **TABLE.uncaptioned}
# What own_dataset.py takes as CONFIG: trained retrievers, but for the fold, no plain dataset.
TRAINED = [
    name
    for name in LEAVES
    if not any(
        part in name for part in ('2spain', 'adapt.py', 'own_dataset.py', 'fold', 'pretrain')
    )
]
# What adapt.py takes: models of two towers.
ADAPTABLE = [name for name in TRAINED if not name.startswith('mcrn/')]


def components(node: object) -> Iterator[dict]:
    """Every dict with a ``type`` below a config."""
    if isinstance(node, dict):
        if 'type' in node:
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for child in node:
            yield from components(child)


def all_datasets(cfg: Config) -> list[dict]:
    """The datasets of the three loaders."""
    phases = ('train', 'val', 'test')
    return [part for phase in phases for part in datasets_of(cfg[f'{phase}_dataloader'])]


def check_dataset(cfg: Config, name: str) -> None:
    """All three loaders read the captions of one dataset."""
    captioned = [part for part in all_datasets(cfg) if part['captions'] != 'none']
    assert [(part['data_root'], part['ann_file']) for part in captioned] == [
        (DOMAINS[name], f'annotations/{name}_{split}.json') for split in ('train', 'val', 'test')
    ]
