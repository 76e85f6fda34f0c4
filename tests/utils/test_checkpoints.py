"""Checkpoints are read without running what they carry."""

import argparse
import collections
import datetime
import os
import pickle
import random
import resource
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub

from tests.carriers import CARRIERS, Carrier
from tests.ranks import processes
from urbancross_mm.utils.checkpoints import check_checkpoint, read_checkpoint, read_state_dict
from urbancross_mm.utils.cli import add_trust_argument
from urbancross_mm.utils.plain_data import PlainType
from urbancross_mm.utils.state_dicts import compare_state_dicts, describe_initialization

WEIGHTS = dict(weight=torch.arange(3.0), bias=torch.ones(1))


class Sly:
    """Reaches for a class through getattr."""

    def __reduce__(self) -> tuple:
        return getattr, (torch.zeros(1), '__class__')


def refusal(path: Path) -> str:
    """The sentence that a file is refused with, as long and as plain as one should be."""
    with pytest.raises(ValueError, match=f'{path.name}') as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert len(message) < 300 + len(str(path)) and '\n' not in message and '\x1b' not in message
    assert 'weights_only' not in message and 'add_safe_globals' not in message
    return message


def test_a_message_hub_is_plain_data(tmp_path: Path) -> None:
    hub = MessageHub.get_instance('test_checkpoints')
    hub.update_scalar('train/loss', 1.5)
    hub.update_info('best_score', 3.0)
    torch.save(
        dict(
            state_dict={'w': torch.ones(2)},
            message_hub=hub.state_dict(),
            optimizer=dict(state={}, param_groups=[dict(lr=0.1)]),
        ),
        tmp_path / 'x.pth',
    )
    result = read_checkpoint(tmp_path / 'x.pth')
    assert torch.equal(result['state_dict']['w'], torch.ones(2))
    buffer = result['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer) and buffer.current() == 1.5


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('kind', CARRIERS)
def test_code_is_refused_and_not_run(kind: str, legacy: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / 'x.pth', tmp_path / 'mark'
    for key in ('note', 'optimizer', 'meta', 'state_dict'):
        content = dict(dict(state_dict=WEIGHTS), **{key: {'deep': [Carrier(kind, mark)]}})
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert '--trust-checkpoint if the file is your own' in refusal(path)
    assert not mark.exists()


def test_the_sentence_names_what_was_refused(tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    names = dict(
        system=f'{os.system.__module__}.system',
        eval='eval',
        module='Linear',
        getattr='torch.nn.modules.module.Module',
    )
    for kind, name in names.items():
        torch.save(dict(x=Carrier(kind, mark)), tmp_path / 'x.pth')
        assert name in refusal(tmp_path / 'x.pth')
    torch.save(dict(x=Sly()), tmp_path / 'x.pth')
    assert 'it holds getattr, which' in refusal(tmp_path / 'x.pth')


def test_trust_runs_the_code_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, mark = tmp_path / 'x.pth', tmp_path / 'mark'
    torch.save(dict(state_dict=WEIGHTS), path)
    read_checkpoint(path, trust=True)
    assert capsys.readouterr().err == ''
    torch.save(dict(state_dict=WEIGHTS, note=Carrier('eval', mark)), path)
    assert torch.equal(read_checkpoint(path, trust=True)['state_dict']['weight'], torch.arange(3.0))
    assert mark.exists() and f'{path} is read with --trust-checkpoint' in capsys.readouterr().err
    monkeypatch.setenv('URBANCROSS_TRUST_CHECKPOINT', '0')
    refusal(path)
    parser = argparse.ArgumentParser()
    add_trust_argument(parser)
    parser.parse_args(['--trust-checkpoint'])
    assert 'may run any code' in capsys.readouterr().err
    read_checkpoint(path)


@pytest.mark.parametrize('key', ['state_dict', 'model', 'model_state_dict', 'net', None])
@pytest.mark.parametrize(
    'prefix', ['', 'module.', '_orig_mod.', 'module._orig_mod.', '_orig_mod.module.']
)
def test_weights_are_found_under_any_usual_name(
    key: str | None, prefix: str, tmp_path: Path
) -> None:
    weights = collections.OrderedDict((prefix + name, value) for name, value in WEIGHTS.items())
    torch.save({key: weights, 'epoch': 3} if key else weights, tmp_path / 'x.pth')
    result = read_state_dict(tmp_path / 'x.pth')
    assert list(result) == list(WEIGHTS)
    assert all(torch.equal(result[name], value) for name, value in WEIGHTS.items())
    assert read_checkpoint(tmp_path / 'x.pth').get('epoch') == (3 if key else None)


def test_a_prefix_that_not_all_have_is_part_of_the_names(tmp_path: Path) -> None:
    weights = {'module.weight': torch.ones(1), 'head.weight': torch.ones(1)}
    torch.save(weights, tmp_path / 'x.pth')
    assert list(read_state_dict(tmp_path / 'x.pth')) == list(weights)


PLAIN = dict(
    args=argparse.Namespace(lr=0.1, path=Path('runs/x'), nested=types.SimpleNamespace(a=1)),
    history=[
        dict(
            loss=np.float64(0.5),
            best=np.float32(0.25),
            step=np.int64(7),
            ok=np.bool_(True),
            name=np.str_('vit'),
        )
    ],
    arrays=[
        np.arange(6).astype(kind).reshape(2, 3)
        for kind in ('bool', 'uint8', 'int16', 'float16', 'float64', 'complex64')
    ],
    words=np.array(['a', 'bcd']),
    when=datetime.datetime(2024, 5, 17, 12, 30),
    took=datetime.timedelta(seconds=5),
    counts=collections.Counter('aab'),
    last=collections.deque([1, 2], maxlen=5),
    grouped=collections.defaultdict(list, a=[1]),
    meta=ConfigDict(classes=('a', 'b'), inner=dict(x=1)),
    version=torch.__version__,
    rng=np.random.RandomState(1).get_state(),
    ids=frozenset({1, 2}),
    dtype=torch.bfloat16,
    device=torch.device('cpu'),
)


def same(one: Any, other: Any) -> bool:
    """Equality that looks into containers, and takes a dict for any kind of dict."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple | collections.deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return (
            one.dtype == other.dtype
            and np.array_equal(one, other)
            and pickle.dumps(other) == pickle.dumps(one)
        )
    return bool(one == other)


@pytest.mark.parametrize('name', PLAIN)
@pytest.mark.parametrize('legacy', [False, True])
def test_plain_data_comes_back(name: str, legacy: bool, tmp_path: Path) -> None:
    torch.save(
        dict(model=WEIGHTS, extra=PLAIN[name]),
        tmp_path / 'x.pth',
        _use_new_zipfile_serialization=not legacy,
    )
    assert same(PLAIN[name], read_checkpoint(tmp_path / 'x.pth')['extra'])


def test_arrays_come_back_as_numpy_reads_its_own(tmp_path: Path) -> None:
    arrays = [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype='>i4'),
        np.array(5.0),
        np.zeros((0, 3)),
        np.array([b'ab', b'c']),
    ]
    torch.save(dict(model=WEIGHTS, extra=arrays), tmp_path / 'x.pth')
    result = read_checkpoint(tmp_path / 'x.pth')['extra']
    assert same(pickle.loads(pickle.dumps(arrays)), result) and result[0].flags.f_contiguous
    assert result[0].shape == (2, 3) and result[3].shape == (0, 3)


@pytest.mark.parametrize(
    'thing',
    [np.array([dict(a=1)]), np.zeros(2, dtype=[('a', 'f8')]), np.array(['2024'], dtype='M8[D]')],
)
def test_arrays_of_other_things_are_refused(thing: np.ndarray, tmp_path: Path) -> None:
    torch.save(dict(model=WEIGHTS, extra=thing), tmp_path / 'x.pth')
    assert 'an array of the type' in refusal(tmp_path / 'x.pth')


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (b'X\x02\x00\x00\x00f8', b'X\x02\x00\x00\x00f4'),
        (b'NNNJ\xff', b'N\x80NJ\xff'),
        (b'K\x02K\x03\x86', b'K\x09K\x03\x86'),
        (b'X\x01\x00\x00\x00<', b'X\x01\x00\x00\x00x'),
    ],
)
def test_a_damaged_array_does_not_reach_numpy(old: bytes, new: bytes, tmp_path: Path) -> None:
    """NumPy itself reads the memory behind it, or crashes."""
    torch.save(dict(extra=np.arange(6.0).reshape(2, 3)), tmp_path / 'x.pth')
    before = (tmp_path / 'x.pth').read_bytes()
    renamed(tmp_path / 'x.pth', old, new)
    assert new in (tmp_path / 'x.pth').read_bytes() and new not in before
    if new.startswith(b'N'):
        read_checkpoint(tmp_path / 'x.pth')  # the rest of a type's state is not needed
    else:
        assert 'an array of' in refusal(tmp_path / 'x.pth')


def renamed(path: Path, old: bytes, new: bytes) -> None:
    """Let a checkpoint name a module as another version of a library does."""
    with zipfile.ZipFile(path) as archive:
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in content.items():
            archive.writestr(name, data.replace(old, new) if name.endswith('data.pkl') else data)


@pytest.mark.parametrize(
    ('name', 'old', 'new'),
    [
        ('history', b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n'),
        ('arrays', b'cnumpy._core.multiarray\n', b'cnumpy.core.multiarray\n'),
        ('args', b'cpathlib\nPosixPath', b'cpathlib._local\nPosixPath'),
        (
            'meta',
            b'cmmengine.config.config\nConfigDict',
            b'cpytorch_lightning.utilities.parsing\nAttributeDict',
        ),
    ],
)
def test_plain_data_of_other_versions(name: str, old: bytes, new: bytes, tmp_path: Path) -> None:
    torch.save(dict(model=WEIGHTS, extra=PLAIN[name]), tmp_path / 'x.pth')
    renamed(tmp_path / 'x.pth', old, new)
    assert new in zipfile.ZipFile(tmp_path / 'x.pth').read('x/data.pkl')
    assert same(PLAIN[name], read_checkpoint(tmp_path / 'x.pth')['extra'])


def test_a_path_of_another_system_stays_a_path(tmp_path: Path) -> None:
    torch.save(dict(model=WEIGHTS, extra=Path('runs/x')), tmp_path / 'x.pth')
    renamed(tmp_path / 'x.pth', b'cpathlib\nPosixPath', b'cpathlib\nWindowsPath')
    assert read_checkpoint(tmp_path / 'x.pth')['extra'].parts == ('runs', 'x')


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / 'x.safetensors'
    save_file({f'module.{name}': value for name, value in WEIGHTS.items()}, path)
    assert torch.equal(read_state_dict(path)['weight'], torch.arange(3.0))
    path.write_bytes(path.read_bytes()[:40])
    refusal(path)


def bomb(path: Path) -> None:
    """Ten million zeros in a few kilobytes."""
    torch.save(dict(weight=torch.zeros(10_000_000, dtype=torch.uint8)), path)
    with zipfile.ZipFile(path) as archive:
        content = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    assert path.stat().st_size < 100_000


def torn(path: Path) -> None:
    """The first half of a file."""
    torch.save(dict(weight=torch.zeros(1000)), path)
    path.write_bytes(path.read_bytes()[:2000])


def unequal(path: Path) -> None:
    """A file that claims more weights than it holds."""
    torch.save(dict(weight=torch.arange(4.0)), path)
    renamed(path, b'K\x04', b'J\0\0\0\x08')


def new_protocol(path: Path) -> None:
    """As no torch.save writes by default."""
    torch.save(dict(weight=torch.arange(4.0)), path, pickle_protocol=4)


OTHER: dict[str, tuple[Callable[[Path], Any], str]] = {
    'list': (lambda path: torch.save([1, 2], path), 'it holds a list'),
    'tensor': (lambda path: torch.save(torch.ones(2), path), 'it holds a Tensor'),
    'nested list': (lambda path: torch.save(dict(state_dict=[1]), path), 'state_dict is a list'),
    'empty': (lambda path: path.touch(), 'it is empty'),
    'text': (lambda path: path.write_text('# README\n' * 20), 'no file of torch.save'),
    'plain pickle': (lambda path: path.write_bytes(pickle.dumps(dict(a=1))), 'no file of torch.'),
    'zip': (lambda path: zipfile.ZipFile(path, 'w').writestr('a.txt', 'a'), 'no file of torch'),
    'torn': (torn, 'damaged'),
    'bomb': (bomb, 'claims to hold'),
    'unequal': (unequal, 'damaged'),
    'new protocol': (new_protocol, 'Unsupported operand'),
}


@pytest.mark.parametrize('kind', OTHER)
def test_other_files_get_a_sentence(kind: str, tmp_path: Path) -> None:
    make, reason = OTHER[kind]
    make(tmp_path / 'x.pth')
    assert reason in refusal(tmp_path / 'x.pth')


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}.* folder'):
        read_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match='none.pth$'):
        read_checkpoint(tmp_path / 'none.pth')


@pytest.mark.parametrize('content', [{}, dict(student=dict(WEIGHTS), epoch=1), dict(a=1)])
def test_no_weights(content: dict, tmp_path: Path) -> None:
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='state_dict'):
        read_state_dict(tmp_path / 'x.pth')


def test_comparison_counts_missing_and_mismatched() -> None:
    expected = {'a': torch.zeros(2), 'b': torch.zeros(3), 'c': torch.zeros(1)}
    results = {'a': torch.zeros(2), 'b': torch.zeros(4)}
    assert compare_state_dicts(expected, results) == (['c'], ['b'], 1)


def test_a_torn_file_is_named_before_anything_is_built(tmp_path: Path) -> None:
    whole, torn, text = (tmp_path / name for name in ('whole.pth', 'torn.pth', 'text.pth'))
    torch.save(dict(state_dict=dict(weight=torch.zeros(1000))), whole)
    torn.write_bytes(whole.read_bytes()[:-100])
    text.write_text('# README')
    check_checkpoint(whole)
    for path in (torn, text):
        with pytest.raises(ValueError, match=f'{path.name}'):
            check_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        check_checkpoint(tmp_path / 'none.pth')


class Call:
    """A call of what a checkpoint may hold, with an argument that would make much of it."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


MANY = list(range(50_000))
MANY_KEYS = dict.fromkeys(MANY)
GREEDY = dict(
    array=Call(np.ndarray, (10**8,)),
    array_of_file=Call(list, Call(np.ndarray, (10**8,))),
    list=Call(list, Call(bytearray, 10**8)),
    deque=Call(collections.deque, Call(bytearray, 10**8)),
    text=Call(str, Call(bytearray, 10**8)),
    history=Call(HistoryBuffer, Call(bytearray, 10**8), Call(bytearray, 10**8)),
    reconstruct=Call(np._core.multiarray._reconstruct, np.ndarray, (10**8,), b'b'),
    range=Call(list, Call(range, 10**8)),
    tuple=Call(tuple, Call(bytearray, 10**8)),
    copies=[Call(list, MANY) for _ in range(2000)],
    sets=[Call(frozenset, MANY)] * 2000,
    dicts=[Call(dict, MANY_KEYS) for _ in range(2000)],
)


def read_and_measure(path: Path) -> None:
    """Write down by how many megabytes the peak of this process grew."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read_checkpoint(path)
    except ValueError as error:
        assert 'cannot read' in str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    path.with_suffix('.txt').write_text(str(grown // 1024))


@pytest.mark.parametrize('kind', GREEDY)
def test_little_does_not_become_much(kind: str, tmp_path: Path) -> None:
    """In a process of its own, whose peak is its own."""
    torch.save(dict(state_dict=WEIGHTS, x=GREEDY[kind]), tmp_path / 'x.pth')
    process = processes().Process(target=read_and_measure, args=(tmp_path / 'x.pth',))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert int((tmp_path / 'x.txt').read_text()) < 50


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Cut, overwritten or doubled in places."""
    damaged, at = bytearray(data), rng.randrange(len(data))
    how = rng.randrange(4)
    if how == 0:
        return bytes(damaged[:at])
    if how == 1:
        damaged[at : at + 30] = damaged[at : at + 30] * 2
    for _ in range(rng.randrange(1, 5)):
        # The pickle stands at the beginning; its opcodes lead furthest.
        position = rng.randrange(len(data) if how == 2 else min(len(data), 1500))
        damaged[position] = (
            rng.randrange(256) if how == 2 else rng.choice(b'cRb.}](q\x00\xff\x85Nt')
        )
    return bytes(damaged)


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors'])
def test_damaged_files_are_read_or_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / f'x.{"safetensors" if kind == "safetensors" else "pth"}'
    if kind == 'safetensors':
        save_file(WEIGHTS, path)
    else:
        torch.save(
            dict(state_dict=WEIGHTS, **PLAIN), path, _use_new_zipfile_serialization=kind == 'zip'
        )
    data, rng = path.read_bytes(), random.Random(0)
    for _ in range(150):
        path.write_bytes(mutated(data, rng))
        try:
            read_state_dict(path)
        except ValueError as error:
            message = str(error)
            assert path.name in message and message.isprintable()
            assert len(message) < 350 + len(str(path)) and 'weights_only' not in message


@pytest.mark.parametrize('beside', [dict(best=torch.ones(())), dict(loss=torch.ones(1), epoch=3)])
@pytest.mark.parametrize('key', ['state_dict', 'model'])
def test_a_tensor_beside_the_weights_is_none_of_them(
    key: str, beside: dict, tmp_path: Path
) -> None:
    wrapped = {f'module.{name}': value for name, value in WEIGHTS.items()}
    torch.save({**beside, key: wrapped}, tmp_path / 'x.pth')
    assert read_state_dict(tmp_path / 'x.pth').keys() == WEIGHTS.keys()


@pytest.mark.parametrize('name', ['S0', 'U0', 'S00'])
def test_a_type_of_no_bytes_is_refused(name: str) -> None:
    """An array of any length would have no content."""
    with pytest.raises(ValueError, match='an array of the type'):
        PlainType(name)
    assert PlainType('S1').dtype == np.dtype('S1')


@pytest.mark.parametrize(
    'change',
    [
        lambda value: value.to('meta'),
        lambda value: value.to_sparse(),
        lambda value: value.to_sparse_csr(),
    ],
    ids=['meta', 'sparse', 'csr'],
)
def test_a_tensor_that_cannot_be_copied_is_refused(change: Callable, tmp_path: Path) -> None:
    """mmengine would log it, and go on with random weights."""
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict={'weight': change(torch.eye(2)), 'bias': torch.ones(2)}), path)
    with pytest.raises(ValueError, match=r'a\.pth .*weight'):
        read_state_dict(path)


def test_an_array_is_no_weight(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    weights = {'weight': np.eye(2, dtype=np.float32), 'bias': torch.ones(2)}
    assert compare_state_dicts(model.state_dict(), weights) == ([], ['weight'], 1)
    torch.save(dict(state_dict={'weight': np.eye(2)}), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth'):
        read_state_dict(tmp_path / 'a.pth')


@pytest.mark.parametrize('key', ['state_dict_ema', 'model_ema'])
def test_averaged_weights_are_taken_where_there_are_no_others(key: str, tmp_path: Path) -> None:
    torch.save({key: {'module.a': torch.ones(1)}, 'epoch': 1}, tmp_path / 'a.pth')
    assert list(read_state_dict(tmp_path / 'a.pth')) == ['a']


def test_missing_weights_of_a_config_say_where_to_read_on() -> None:
    with pytest.raises(FileNotFoundError, match=r'weights/nowhere\.pth: .*checkpoints\.md'):
        read_checkpoint('weights/nowhere.pth')
    with pytest.raises(FileNotFoundError, match=r'runs/nowhere\.pth$'):
        read_checkpoint('runs/nowhere.pth')


def test_weights_are_summed_up_by_where_they_come_from() -> None:
    unchanged = 'The value is the same before and after calling `init_weights` of UrbanCross '
    loaded = 'PretrainedInit: load from https://x.org/resnet.pth'
    drawn = ['Initialized by user-defined `init_weights` in Head ', 'KaimingInit: a=0, bias=0']
    text = describe_initialization([loaded] * 3 + drawn + [unchanged])
    assert text == (
        '6 parameters: 3 loaded from https://x.org/resnet.pth, 2 drawn by init_weights, '
        '1 as the model was built'
    )
