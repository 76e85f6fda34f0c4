"""Tokenizer and encoder from one folder, against the features of transformers itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from tests.models.encoders.tiny_transformers import FAMILIES, POSITIONS, Family
from urbancross_mm.datasets.tokenizers import HuggingFaceTokenizer
from urbancross_mm.models import HuggingFaceTextEncoder

TEXTS = ['a red road', 'two boat near a river', 'tree', 'road road', 'a red roof near two road']
FULL_ROWS = ('siglip', 'siglip2', 'siglip-text')
PROJECTED = (
    'clip',
    'clip-old-config',
    'clip-text',
    'chinese-clip',
    'altclip',
    'siglip',
    'siglip2',
    'x-clip',
    'blip',
)
POOLED = (
    'bert',
    'fnet',
    'mobilebert',
    'albert',
    'roberta',
    'xlm-roberta',
    'mpnet',
    'clip-text-alone',
    'siglip-text',
)


class Folders(dict):
    """The folder of each family, saved when it is asked for."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self.factory = factory

    def __missing__(self, name: str) -> str:
        self[name] = FAMILIES[name].save(self.factory.mktemp(name))
        return self[name]


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory)


def own_model(name: str, folder: str) -> torch.nn.Module:
    kind = getattr(transformers, FAMILIES[name].model)
    return kind.from_pretrained(folder).eval()


def states_and_feature(name: str, folder: str, text: str) -> tuple[Tensor, Tensor | None]:
    """States of the tokens of one text, and the model's own feature, as documented."""
    model, tokenizer = own_model(name, folder), transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(text, return_tensors='pt')
    count = inputs['input_ids'].shape[1]
    if name in FULL_ROWS:  # the documented way: no mask, padding='max_length'
        inputs = tokenizer(text, return_tensors='pt', padding='max_length', max_length=POSITIONS)
        del inputs['attention_mask']
    if name == 'fnet':
        del inputs['attention_mask']
    feature = None
    if name == 'clip-text':
        feature = model(**inputs).text_embeds[0]
    elif name == 'chinese-clip':  # get_text_features asks for a pooler that these models lack
        feature = model.text_projection(model.text_model(**inputs).last_hidden_state[0, 0])
    elif name in PROJECTED:
        feature = model.get_text_features(**inputs)[0]
    tower = getattr(model, 'text_model', model)
    if 'T5' in FAMILIES[name].model or name in ('bart', 'nllb'):
        tower = model.get_encoder()
    tower = getattr(tower, 'transformer' if name == 'gpt2-begins' else 'model', tower)
    out = tower(**inputs)
    if name in POOLED:
        feature = out.pooler_output[0]
    return out.last_hidden_state[0, :count], feature


@pytest.mark.parametrize('name', list(FAMILIES))
@torch.no_grad()
def test_features_of_every_family(name: str, folders: dict[str, str]) -> None:
    folder = folders[name]
    wanted = [states_and_feature(name, folder, text) for text in TEXTS]
    for pool in ('mean', 'cls', 'eos', 'pooler'):
        if pool == 'pooler' and name not in (*PROJECTED, *POOLED):
            with pytest.raises(ValueError, match="pool='pooler'"):
                HuggingFaceTextEncoder(folder, pool=pool)
            continue
        encoder = HuggingFaceTextEncoder(folder, pool=pool).eval()
        rows = [
            dict(mean=states.mean(0), cls=states[0], eos=states[-1], pooler=feature)[pool]
            for states, feature in wanted
        ]
        tokens = HuggingFaceTokenizer(folder, max_length=16)(TEXTS)
        torch.testing.assert_close(encoder(tokens), torch.stack(rows), rtol=1e-5, atol=1e-5)
        assert encoder.embed_dim == rows[0].shape[0]


@pytest.mark.parametrize('name', list(FAMILIES))
@torch.no_grad()
def test_no_row_depends_on_its_batch_or_its_padding(name: str, folders: dict[str, str]) -> None:
    folder = folders[name]
    pools = ('mean', 'eos', 'pooler') if name in (*PROJECTED, *POOLED) else ('mean', 'eos')
    for pool in pools:
        encoder = HuggingFaceTextEncoder(folder, pool=pool).eval()
        alone = torch.cat([encoder(HuggingFaceTokenizer(folder, 9)([text])) for text in TEXTS])
        for length in (9, 16, POSITIONS, 2 * POSITIONS):
            tokens = HuggingFaceTokenizer(folder, length)(TEXTS)
            assert tokens.shape == (len(TEXTS), length) and tokens.dtype == torch.long
            torch.testing.assert_close(encoder(tokens), alone, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(encoder(tokens.flip(0)).flip(0), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', list(FAMILIES))
def test_empty_and_cut_texts(name: str, folders: dict[str, str]) -> None:
    family, tokenizer = FAMILIES[name], HuggingFaceTokenizer(folders[name], max_length=5)
    encoder = HuggingFaceTextEncoder(folders[name], embed_dim=4)
    tokens = tokenizer(['', 'road ' * 30])
    assert encoder(tokens).isfinite().all()
    encoder(tokens).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())
    last = transformers.AutoTokenizer.from_pretrained(folders[name])('a')['input_ids'][-1]
    if not family.template.endswith('$A'):
        assert tokens[1, -1] == last
    assert encoder.attention_mask(tokens)[1].all()


def test_every_weight_that_trains_gets_a_gradient(folders: dict[str, str]) -> None:
    """DDP stops at a weight without gradient, such as a pooler that is not used."""
    for name in FAMILIES:
        folder = folders[name]
        encoder = HuggingFaceTextEncoder(folder, embed_dim=4).train()
        encoder(HuggingFaceTokenizer(folder, 9)(TEXTS)).sum().backward()
        idle = [key for key, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
        assert not idle, (name, idle)


def test_left_out_weights_are_refused(folders: dict[str, str], tmp_path: Path) -> None:
    """A pooler that the folder lacks would be random; without it the mean is right."""
    model = transformers.BertForMaskedLM.from_pretrained(folders['bert'])
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"\b2 .*pool='pooler' .*pooler\."):
        HuggingFaceTextEncoder(str(tmp_path), pool='pooler', frozen=True)
    encoder = HuggingFaceTextEncoder(str(tmp_path), frozen=True)
    whole = HuggingFaceTextEncoder(folders['bert'])
    tokens = HuggingFaceTokenizer(folders['bert'])(TEXTS)
    torch.testing.assert_close(encoder(tokens), whole(tokens))


def test_a_folder_without_tokenizer_and_several_ends(
    folders: dict[str, str], tmp_path: Path
) -> None:
    model = transformers.LlamaModel.from_pretrained(folders['llama-two-ends'])
    model.config.pad_token_id = 2
    model.save_pretrained(tmp_path)
    encoder = HuggingFaceTextEncoder(str(tmp_path))
    assert encoder.attention_mask(torch.tensor([[1, 5, 2, 2]])).tolist() == [[True] * 3 + [False]]


def test_too_long_a_text(folders: dict[str, str]) -> None:
    for name, limit in (('bert', POSITIONS), ('roberta', POSITIONS - 2), ('siglip', POSITIONS)):
        encoder = HuggingFaceTextEncoder(folders[name])
        assert encoder(torch.full((1, limit), 5)).isfinite().all()
        with pytest.raises(ValueError, match=f'reads {limit} tokens, got {limit + 1}'):
            encoder(torch.full((1, limit + 1), 5))
    for name in ('llama', 't5', 'xlnet'):  # positions without a table
        encoder = HuggingFaceTextEncoder(folders[name])
        assert encoder(torch.full((1, 2 * POSITIONS), 5)).isfinite().all()


def test_an_image_model_is_no_text_model(tmp_path: Path) -> None:
    from tests.models.encoders.tiny_transformers import VISION

    transformers.ViTModel(transformers.ViTConfig(**VISION)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='ViTModel'):
        HuggingFaceTextEncoder(str(tmp_path))


def test_frozen_takes_the_projection_with_it(folders: dict[str, str]) -> None:
    encoder = HuggingFaceTextEncoder(folders['clip'], embed_dim=4, pool='pooler', frozen=True)
    encoder.train()
    trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained == ['projection.weight', 'projection.bias']
    assert not encoder.model.training and not encoder.head.training
    last = HuggingFaceTextEncoder(folders['clip'], pool='pooler', trainable_layers=1)
    trained = {name.split('.')[3] for name, p in last.named_parameters() if p.requires_grad}
    assert trained == {'1'}


@pytest.mark.parametrize('part', ['model', 'tokenizer', 'pickle'])
def test_code_in_a_folder_never_runs(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither custom classes of a hub repository, nor a pickle; and nobody is asked about it."""
    folder, ran = FAMILIES['bert'].save(tmp_path / 'model'), tmp_path / 'ran'
    (tmp_path / 'model' / 'own.py').write_text(f'open({str(ran)!r}, "w")\nOwn = dict\n')
    monkeypatch.setattr('builtins.input', lambda prompt='': pytest.fail(prompt))
    if part == 'pickle':
        (tmp_path / 'model' / 'model.safetensors').unlink()
        torch.save(dict(a=_Opener(str(ran))), tmp_path / 'model' / 'pytorch_model.bin')
    else:
        name = dict(model='config.json', tokenizer='tokenizer_config.json')[part]
        content = json.loads((tmp_path / 'model' / name).read_text())
        kinds = dict.fromkeys(('AutoConfig', 'AutoModel'), 'own.Own')
        kinds['AutoTokenizer'] = ['own.Own', None]
        content.update(
            auto_map=kinds,
            model_type='own',
            architectures=['OwnModel'],
            tokenizer_class='OwnTokenizer',
        )
        (tmp_path / 'model' / name).write_text(json.dumps(content))
    with pytest.raises((ValueError, OSError)) as caught:
        HuggingFaceTokenizer(folder) if part == 'tokenizer' else HuggingFaceTextEncoder(folder)
    assert folder in str(caught.value) and '\n' not in str(caught.value)
    assert not ran.exists()


class _Opener:
    """Unpickling it opens a file for writing."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (self.path, 'w')


@pytest.mark.parametrize(
    'model, sizes',
    [('FunnelModel', dict(d_model=16, block_sizes=[1, 1], n_head=2, d_head=8, d_inner=24))],
)
def test_a_model_that_does_not_run_is_refused(
    model: str, sizes: dict[str, Any], tmp_path: Path
) -> None:
    folder = Family(model, sizes).save(tmp_path)

    with pytest.raises(ValueError, match=f'{model} .*shape'):
        HuggingFaceTextEncoder(folder)
