"""Queries in several languages, by one text encoder of the kind of XLM-R."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from urbancross_mm.datasets import HuggingFaceTokenizer
from urbancross_mm.functional.contrastive import info_nce
from urbancross_mm.models import CrossModalRetriever
from urbancross_mm.models.build import check_tokenizer

CAPTIONS = {
    'en': ['a red roof', 'a green forest', 'a blue lake', 'white snow'],
    'de': ['ein rotes Dach', 'ein grüner Wald', 'ein blauer See', 'weißer Schnee'],
    'fi': ['punainen katto', 'vihreä metsä', 'sininen järvi', 'valkoinen lumi'],
    'zh': ['红色的屋顶', '绿色的森林', '蓝色的湖', '白色的雪'],
}
COLORS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])


def save_model(folder: Path) -> str:
    """Pieces of words of all languages, as SentencePiece finds them, and a small XLM-R."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ['<s>', '<pad>', '</s>', '<unk>']
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token='<unk>')
    tokenizer.train_from_iterator([t for some in CAPTIONS.values() for t in some], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<s> $A </s>', special_tokens=[('<s>', 0), ('</s>', 2)]
    )
    fast = transformers.XLMRobertaTokenizerFast(
        tokenizer_object=tokenizer, bos_token='<s>', pad_token='<pad>', eos_token='</s>'
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.XLMRobertaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    transformers.XLMRobertaModel(config).save_pretrained(folder)
    return str(folder)


def test_one_image_is_found_in_every_language(tmp_path: Path) -> None:
    folder = save_model(tmp_path)
    tokenizer = HuggingFaceTokenizer(folder, max_length=24)
    assert all(3 not in row for some in CAPTIONS.values() for row in tokenizer(some).tolist())
    retriever = CrossModalRetriever(
        image_encoder=dict(
            type='BackboneEncoder',
            backbone=dict(
                type='mmseg.MixVisionTransformer',
                embed_dims=8,
                num_layers=[1] * 4,
                num_heads=[1, 1, 2, 2],
                drop_path_rate=0.0,
            ),
            embed_dim=16,
            probe_size=32,
        ),
        text_encoder=dict(type='HuggingFaceTextEncoder', path=folder, embed_dim=16),
    ).train()
    check_tokenizer(retriever.text_encoder, tokenizer)
    images = COLORS[:, :, None, None].expand(-1, -1, 32, 32) * 2 - 1
    tokens = {language: tokenizer(some) for language, some in CAPTIONS.items()}
    optimizer = torch.optim.AdamW(retriever.parameters(), 3e-3)
    for _ in range(80):
        embeds = retriever.encode_image(images)
        losses = [info_nce(embeds, retriever.encode_text(rows), 10.0) for rows in tokens.values()]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        optimizer.step()
    retriever.eval()
    with torch.no_grad():
        gallery = retriever.encode_image(images)
        for language, rows in tokens.items():
            found = (retriever.encode_text(rows) @ gallery.t()).argmax(dim=1)
            assert found.tolist() == [0, 1, 2, 3], language
