"""Checkpoints of version 0.1.0 load by every path and give the embeddings that they gave.

``tests/data/checkpoint_0.1.0.pth`` is of an ``UrbanCross``, ``checkpoint_0.1.0_adapted.pth`` of a
retriever inside the wrapper that adapted it then. Both hold a batch and its embeddings, the second
also a batch of training and its losses.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from urbancross_mm.inference.embedder import Embedder
from urbancross_mm.registry import MODELS
from urbancross_mm.structures import RetrievalDataSample
from urbancross_mm.utils.checkpoints import read_checkpoint

DATA = Path(__file__).resolve().parents[1] / 'data'
CLIP = dict(
    embed_dim=8,
    vision_cfg=dict(image_size=16, patch_size=8, width=8, layers=1, head_width=8),
    text_cfg=dict(context_length=6, vocab_size=16, width=8, heads=1, layers=1),
)
TOWERS = dict(
    type='CrossModalRetriever',
    data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='clip', num_segments=2),
    image_encoder=dict(type='OpenCLIPImageEncoder', model_name=None, model_cfg=CLIP),
    text_encoder=dict(type='GRUTextEncoder', vocab_size=16, embed_dim=8, word_dim=4, hidden_dim=4),
    head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')),
)
URBANCROSS = dict(
    TOWERS, type='UrbanCross', segment_encoder=dict(mode='trainable'), eval_fusion=0.5
)
ADAPTATION = dict(
    target='spain',
    selector=dict(type='SimilarSourceSelector', encoders='live', ratio=0.5),
    losses=[
        dict(type='CrossDomainTripletLoss'),
        dict(type='WeightedDomainAdversarialLoss'),
        dict(type='PseudoPairLoss', min_items=2, memory_size=4, neighbors=2),
    ],
)
CASES = {
    'urbancross': ('checkpoint_0.1.0.pth', URBANCROSS),
    'adapted': ('checkpoint_0.1.0_adapted.pth', dict(TOWERS, adaptation=ADAPTATION)),
    'adapted, in the plain model': ('checkpoint_0.1.0_adapted.pth', TOWERS),
}


def check_embeddings(model: nn.Module, path: Path) -> None:
    content = read_checkpoint(path)
    inputs = {name: list(rows) for name, rows in content['inputs'].items()}
    inputs['text'] = [row[None] for row in inputs['text']]
    samples = [RetrievalDataSample(metainfo=dict(text_ids=[row])) for row in range(3)]
    with torch.no_grad():
        batch = model.data_preprocessor(dict(inputs=inputs, data_samples=samples), False)
        result = model(**batch, mode='predict')
    expected = content['expected']
    for row, sample in enumerate(result):
        torch.testing.assert_close(sample.image_embeds, expected['image_embeds'][row])
        torch.testing.assert_close(sample.text_embeds[0], expected['text_embeds'][row])


@pytest.mark.parametrize('case', CASES)
def test_the_embedder_loads_it(case: str, tmp_path: Path) -> None:
    name, model = CASES[case]
    (tmp_path / 'vocab.json').write_text('{"<unk>": 1, "red": 2}')
    tokenizer = dict(type='VocabTokenizer', vocab_file=str(tmp_path / 'vocab.json'), max_length=6)
    pipeline = [
        dict(type='LoadImage'),
        dict(type='TokenizeText', tokenizer=tokenizer),
        dict(type='PackRetrievalInputs'),
    ]
    embedder = Embedder(model, pipeline, DATA / name, device='cpu')
    check_embeddings(embedder.model, DATA / name)


@pytest.mark.parametrize('case', CASES)
def test_the_runner_s_loader_loads_it(
    case: str, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is missing; the plain model passes over what only the adaptation knows."""
    name, config = CASES[case]
    model: Any = MODELS.build(config)
    load_checkpoint(model, str(DATA / name), strict=True)
    assert 'unexpected key' not in capsys.readouterr().out + caplog.text
    check_embeddings(model.eval(), DATA / name)
    if model.adaptation is not None:
        weights = read_checkpoint(DATA / name)['state_dict']
        for key, value in model.state_dict().items():
            assert torch.equal(value, weights[key]), key


def test_an_adaptation_has_the_losses_that_it_had() -> None:
    name, config = CASES['adapted']
    content = read_checkpoint(DATA / name)
    model: Any = MODELS.build(config).train()
    model.load_state_dict(content['state_dict'])
    samples = [
        RetrievalDataSample(
            metainfo=dict(
                img_id=f's/{row}',
                text_ids=[row],
                caption_text_ids=[row] if row < 4 else [],
                domain='finland' if row < 4 else 'spain',
            )
        )
        for row in range(6)
    ]
    rows = content['training']
    inputs = dict(image=list(rows['image']), text=[row[None] for row in rows['text']])
    batch = model.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)
    losses = model(**batch, mode='loss')
    assert losses.keys() == content['losses'].keys()
    for term, value in content['losses'].items():
        torch.testing.assert_close(losses[term].detach(), value, msg=term)
