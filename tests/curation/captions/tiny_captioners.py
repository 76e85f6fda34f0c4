"""Image-to-text models of a few thousand random weights, saved as a hub model would be."""

from __future__ import annotations

from pathlib import Path

import torch

TEXT = """describe the tags : amenity of school ; surrounded by road service residential , image in
detail label is airport USER ASSISTANT a big red roof and green trees with many cars near parking
water field"""
WORDS = TEXT.split()
SPECIAL = ('<pad>', '<s>', '</s>', '<unk>', '<image>')
VOCAB = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
VISION = dict(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    image_size=16,
    patch_size=8,
)
IDS = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
DECODER = dict(
    vocab_size=len(VOCAB),
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    max_position_embeddings=128,
    **IDS,
)
QUERIES = 4
CHAT = (
    "{% for message in messages %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }}{% endif %}"
    '{% endfor %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}'
)


def tokenizer(image_token: bool = True):
    """Words by blanks, a begin token before the text."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(WordLevel(VOCAB, unk_token='<unk>'))
    inner.pre_tokenizer = Sequence(
        [WhitespaceSplit(), *(Split(mark, 'isolated') for mark in ':;,')]
    )
    inner.post_processor = TemplateProcessing('<s> $A', special_tokens=[('<s>', 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token='<pad>',
        bos_token='<s>',
        eos_token='</s>',
        unk_token='<unk>',
        model_input_names=['input_ids', 'attention_mask'],
        additional_special_tokens=['<image>'] if image_token else None,
    )


def qformer_tokenizer(folder: Path):
    """BERT's, from a vocabulary file."""
    from transformers import BertTokenizer

    marks = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'vocab.txt').write_text('\n'.join((*marks, *(word.lower() for word in WORDS))))
    return BertTokenizer(str(folder / 'vocab.txt'))


def qformer(**options: int) -> dict:
    return dict(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        cross_attention_frequency=1,
        encoder_hidden_size=16,
        max_position_embeddings=64,
        **options,
    )


def image_processor():
    from transformers import BlipImageProcessor

    return BlipImageProcessor(size=dict(height=16, width=16))


def make_instructblip(folder: Path, seed: int = 0) -> Path:
    """InstructBLIP with a Llama."""
    from transformers import (
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    )

    config = InstructBlipConfig(
        vision_config=VISION,
        qformer_config=qformer(),
        num_query_tokens=QUERIES,
        text_config=dict(model_type='llama', intermediate_size=32, **DECODER),
        image_token_index=VOCAB['<image>'],
    )
    _save(InstructBlipForConditionalGeneration, config, folder, seed)
    InstructBlipProcessor(
        image_processor(), tokenizer(), qformer_tokenizer(folder / 'made'), num_query_tokens=QUERIES
    ).save_pretrained(folder)
    return folder


def make_blip2(folder: Path, seed: int = 0) -> Path:
    """BLIP-2 with a T5, which has an encoder."""
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor

    text = dict(
        model_type='t5',
        vocab_size=len(VOCAB),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
        tie_word_embeddings=False,
    )
    config = Blip2Config(
        vision_config=VISION,
        qformer_config=qformer(),
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=VOCAB['<image>'],
    )
    _save(Blip2ForConditionalGeneration, config, folder, seed)
    Blip2Processor(image_processor(), tokenizer(), num_query_tokens=QUERIES).save_pretrained(folder)
    return folder


def make_llava(folder: Path, chat_template: str | None = CHAT, seed: int = 0) -> Path:
    """LLaVA with a CLIP tower and a Llama."""
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    config = LlavaConfig(
        vision_config=dict(model_type='clip_vision_model', projection_dim=16, **VISION),
        text_config=dict(model_type='llama', intermediate_size=32, **DECODER),
        image_token_index=VOCAB['<image>'],
        vision_feature_layer=-1,
    )
    _save(LlavaForConditionalGeneration, config, folder, seed)
    images = CLIPImageProcessor(size=dict(shortest_edge=16), crop_size=dict(height=16, width=16))
    LlavaProcessor(
        images,
        tokenizer(),
        patch_size=8,
        vision_feature_select_strategy='default',
        num_additional_image_tokens=1,
        chat_template=chat_template,
    ).save_pretrained(folder)
    return folder


def _save(model_class, config, folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model = model_class(config)
    # As drawn, weights are so small that every image gets the same words, and T5 does not care
    # where they stand.
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(std=5.0 if 'relative_attention_bias' in name else 0.5)
    model.generation_config.update(**IDS)
    model.save_pretrained(folder)
