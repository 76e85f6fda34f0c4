"""Training, testing and searching by the command line, on the sample world."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.runs import CONFIGS, ROOT
from urbancross_mm.utils.setup_env import reset_mmengine_state

CONFIG = str(CONFIGS / 'urbancross_finland_no-segments.py')
SMALL = [
    'train_dataloader.dataset.indices=80',
    'train_dataloader.num_workers=0',
    'val_dataloader.num_workers=0',
    'test_dataloader.num_workers=0',
    'train_cfg.max_epochs=2',
    'train_cfg.val_interval=1',
    'train_dataloader.batch_size=8',
]


@pytest.fixture
def call(
    call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path
) -> Callable[..., tuple[int, str]]:
    """Run a tool where the sample lies, as if in a process of its own."""

    def run(*arguments: object) -> tuple[int, str]:
        reset_mmengine_state()
        return call_tool(*arguments)

    return run


def succeed(done: tuple[int, str]) -> str:
    assert done[0] == 0, done[1][-3000:]
    return done[1]


def test_a_clone_that_was_never_installed_trains(in_sample_dir: Path, tmp_path: Path) -> None:
    """The one run in a process of its own."""
    environment = {name: v for name, v in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
        [
            *(sys.executable, '-W', 'ignore', str(ROOT / 'tools/train.py'), CONFIG, '--sample'),
            *('--no-validate', '--work-dir', str(tmp_path)),
            *('--cfg-options', *SMALL, 'train_cfg.max_epochs=1'),
            'train_dataloader.dataset.indices=16',
        ],
        capture_output=True,
        text=True,
        env=dict(environment, OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    assert (tmp_path / 'epoch_1.pth').is_file()
    assert 'retrieval/mR' not in done.stdout + done.stderr


def test_train_resume_test_search(call: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    work = tmp_path / 'work'
    train = ['train', CONFIG, '--sample', '--work-dir', work]
    succeed(call(*train, '--cfg-options', *SMALL))
    assert (work / 'epoch_2.pth').is_file()
    time.sleep(1 - time.time() % 1)  # mmengine names the logs of a run by the second
    succeed(call(*train, '--resume', '--cfg-options', *SMALL, 'train_cfg.max_epochs=3'))
    assert (work / 'epoch_3.pth').is_file()
    assert len(list(work.glob('*/vis_data/scalars.json'))) == 2
    assert len(list(work.glob('best_retrieval_mR_*.pth'))) == 1
    code, text = call(*train, '--cfg-options', *SMALL)
    assert code == 2 and str(work) in text.splitlines()[-1]
    succeed(call(*train, '--overwrite', '--cfg-options', *SMALL, 'train_cfg.max_epochs=1'))
    assert sorted(path.name for path in work.glob('*.pth')) == [
        'best_retrieval_mR_epoch_1.pth',
        'epoch_1.pth',
    ]
    out, grids = tmp_path / 'metrics.json', tmp_path / 'grids'
    test = ['test', CONFIG, work, '--sample', '--work-dir', work]
    succeed(call(*test, '--out', out, '--show-dir', grids, '--cfg-options', *SMALL))
    metrics = json.loads(out.read_text())
    six = [metrics[f'retrieval/{way}_R@{k}'] for way in ('i2t', 't2i') for k in (1, 5, 10)]
    assert metrics['retrieval/mR'] == pytest.approx(sum(six) / 6)
    assert len(list(grids.glob('*.png'))) > 0
    images = 'data/sample/urbancross/Finland/images'
    search = ['search', CONFIG, work, '--sample', '--images', images, 'a lake']
    text = succeed(call(*search, '--topk', 3, '--out', tmp_path / 'grid.png'))
    ranks = [line.split()[0] for line in text.splitlines() if line.endswith('.jpg')]
    assert ranks == ['1', '2', '3']
    assert Image.open(tmp_path / 'grid.png').width > 300


def test_bfloat16_on_a_cpu(call: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    options = ['--sample', '--amp', '--work-dir', tmp_path, '--cfg-options', *SMALL]
    succeed(call('train', CONFIG, *options, 'train_cfg.max_epochs=1'))
    succeed(call('test', CONFIG, tmp_path, *options))


def test_a_test_leaves_the_config_of_the_training(
    call: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without ``--work-dir`` it writes into a folder of its own, below the training's."""
    work = tmp_path / 'work_dirs/urbancross_finland_no-segments_sample'
    work.mkdir(parents=True)
    (tmp_path / 'data').symlink_to(Path('data').resolve())
    monkeypatch.chdir(tmp_path)
    kept = work / 'urbancross_finland_no-segments.py'
    kept.write_text('# of the training')
    options = ['test_dataloader.dataset.indices=4', *SMALL]
    succeed(call('test', CONFIG, '--sample', '--cfg-options', *options))
    assert kept.read_text() == '# of the training'
    assert list((work / 'test').glob('*/*.json'))


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        (['train', 'configs/nothing.py'], 'configs/nothing.py'),
        (['train', CONFIG], '--sample'),
        (['test', CONFIG, 'nothing.pth', '--sample'], 'nothing.pth'),
        (
            ['train', str(CONFIGS / 'adapt.py'), '--sample'],
            'model.adaptation.source_checkpoint=PATH',
        ),
        (['search', CONFIG, 'none', '--sample', '--images', 'nowhere', 'a'], 'nowhere'),
        (
            ['train', CONFIG, '--sample', '--cfg-options', 'model.image_encoder.type=Nope'],
            'Nope',
        ),
        (['train', CONFIG, '--sample', '--cfg-options', 'train_cfg=None'], 'train_cfg'),
        (
            ['train', CONFIG, '--sample', '--cfg-options', 'train_dataloader.batch_size=999'],
            'train_dataloader.batch_size',
        ),
        (
            ['test', CONFIG, '--sample', '--cfg-options', 'test_dataloader=None'],
            'test_dataloader',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_a_mistake_ends_in_one_sentence(
    arguments: list[str], named: str, call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    work = tmp_path / 'work'
    if arguments[0] != 'search':
        arguments = [arguments[0], '--work-dir', str(work), *arguments[1:]]
    code, text = call(*arguments)
    assert code == 2 and 'Traceback' not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith('error: ') and named in last
    assert not work.exists()


def test_browse_dataset_draws_sheets(call: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    config = CONFIGS / 'urbancross_rsicd.py'
    options = ['--sample', '--number', 2, '--out', tmp_path]
    succeed(call('visualization/browse_dataset', config, *options))
    assert sorted(p.name for p in tmp_path.iterdir()) == ['000.png', '001.png']


def test_print_config_is_a_config(call: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    from urbancross_mm.apis import load_config

    out = tmp_path / 'printed.py'
    # By its name alone: the working directory has no such file, the package has.
    succeed(call('misc/print_config', Path(CONFIG).name, '--sample', '--out', out))
    assert load_config(out).model.type == 'CrossModalRetriever'
