"""A folder with model and tokenizer of each family of transformers, small and random."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = ('a', 'red', 'road', 'roof', 'tree', 'field', 'river', 'boat', 'near', 'two')
WIDTH, POSITIONS = 16, 24
SIZES = dict(
    hidden_size=WIDTH,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=POSITIONS,
)
VISION = dict(
    hidden_size=WIDTH,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    image_size=32,
    patch_size=16,
)
DECODER = dict(
    encoder_layers=2,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=24,
    decoder_ffn_dim=24,
    d_model=WIDTH,
)
T5 = dict(d_model=WIDTH, d_kv=8, d_ff=24, num_layers=2, num_heads=2)


@dataclass
class Family:
    """One kind of model and how its tokenizer writes a text."""

    model: str
    sizes: dict[str, Any]
    special: tuple[str, ...] = ('[PAD]', '[CLS]', '[SEP]')
    template: str = '[CLS] $A [SEP]'
    pad: str | None = '[PAD]'
    eos: str | None = None
    side: str = 'right'
    special_last: bool = False
    text_cfg: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> str:
        """Write model and tokenizer, and return the folder."""
        tokens = dict.fromkeys((*self.special, '[UNK]', *WORDS))
        if self.special_last:
            tokens = reversed(tokens)
        vocab = {token: k for k, token in enumerate(tokens)}
        self.save_tokenizer(vocab, folder)
        torch.manual_seed(0)
        kind = getattr(transformers, self.model)
        ids = dict(pad_token_id=vocab.get(self.pad), eos_token_id=vocab.get(self.eos))
        text = {
            'vocab_size': len(vocab),
            **{k: one for k, one in ids.items() if one is not None},
            **self.text_cfg,
        }
        config = kind.config_class(
            **{**self.sizes, 'text_config': {**SIZES, **text}}
            if 'vision_config' in self.sizes
            else {**text, **self.sizes}
        )
        model = kind(config).eval()
        for name, weight in model.named_parameters():  # no two rows of a table equal, no zeros
            torch.nn.init.normal_(weight, 1.0 if 'norm' in name.lower() else 0.0, 0.2)
        model.save_pretrained(folder)
        return str(folder)

    def save_tokenizer(self, vocab: dict[str, int], folder: Path) -> None:
        """A word-level tokenizer with the family's special tokens."""
        inner = Tokenizer(WordLevel(vocab, unk_token='[UNK]'))
        inner.pre_tokenizer = Whitespace()
        used = [token for token in self.special if token in self.template]
        inner.post_processor = TemplateProcessing(
            single=self.template, special_tokens=[(token, vocab[token]) for token in used]
        )
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=inner,
            unk_token='[UNK]',
            pad_token=self.pad,
            eos_token=self.eos,
            padding_side=self.side,
            model_input_names=['input_ids', 'attention_mask']
            + (['token_type_ids'] if ':' in self.template else []),
        )
        tokenizer.save_pretrained(folder)


def two_towers(**more: Any) -> dict[str, Any]:
    """Sizes of a model with a text and an image tower."""
    return dict(vision_config=VISION, projection_dim=6, **more)


ROBERTA = dict(special=('<s>', '<pad>', '</s>'), template='<s> $A </s>', pad='<pad>', eos='</s>')
ENDS = dict(special=('<pad>', '</s>'), template='$A </s>', pad='<pad>', eos='</s>')
# The published configs name other padding ids than the tokenizers: 1 for CLIP, and 2 as the end.
CLIP = dict(
    special=('<|end|>', '<|start|>'),
    template='<|start|> $A <|end|>',
    special_last=True,
    pad='<|end|>',
    eos='<|end|>',
    text_cfg=dict(pad_token_id=1),
)
SIGLIP = dict(
    special=('<unused>', '</s>'),
    template='$A </s>',
    pad='</s>',
    eos='</s>',
    text_cfg=dict(projection_size=WIDTH, pad_token_id=0),
)
GPT = dict(special=('<|endoftext|>',), template='$A', pad=None, eos='<|endoftext|>')
LLAMA = dict(special=('<unk>', '<s>', '</s>'), template='<s> $A', pad=None, eos='</s>', side='left')
LLAMA_SIZES = dict(SIZES, num_key_value_heads=1)

FAMILIES = {
    'bert': Family('BertModel', SIZES),
    'albert': Family('AlbertModel', dict(SIZES, embedding_size=8)),
    'electra': Family('ElectraModel', dict(SIZES, embedding_size=8)),
    'distilbert': Family(
        'DistilBertModel',
        dict(dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=POSITIONS),
    ),
    'distilbert-sines': Family(
        'DistilBertModel',
        dict(
            dim=WIDTH,
            n_layers=2,
            n_heads=2,
            hidden_dim=24,
            max_position_embeddings=POSITIONS,
            sinusoidal_pos_embds=True,
        ),
    ),
    'deberta-v2': Family(
        'DebertaV2Model',
        dict(
            SIZES, relative_attention=True, pos_att_type=['p2c', 'c2p'], position_biased_input=False
        ),
    ),
    # These read their neighbors without a mask: nothing may follow a text.
    'fnet': Family('FNetModel', SIZES),
    'convbert': Family('ConvBertModel', dict(SIZES, embedding_size=8, conv_kernel_size=3)),
    'mobilebert': Family(
        'MobileBertModel',
        dict(SIZES, embedding_size=8, intra_bottleneck_size=WIDTH, num_feedforward_networks=1),
    ),
    'roberta': Family('RobertaModel', SIZES, **ROBERTA),
    'xlm-roberta': Family('XLMRobertaModel', SIZES, **ROBERTA),
    'mpnet': Family('MPNetModel', SIZES, **ROBERTA),
    'bart': Family('BartModel', dict(DECODER, max_position_embeddings=POSITIONS), **ROBERTA),
    't5': Family('T5ForConditionalGeneration', T5, **ENDS),
    't5-encoder': Family('T5EncoderModel', T5, **ENDS),
    'mt5': Family('MT5Model', T5, **ENDS),
    'mt5-encoder': Family('MT5EncoderModel', T5, **ENDS),
    'umt5-encoder': Family('UMT5EncoderModel', T5, **ENDS),
    'nllb': Family('M2M100Model', dict(DECODER, max_position_embeddings=POSITIONS), **ROBERTA),
    'clip': Family('CLIPModel', two_towers(), **CLIP),
    'clip-old-config': Family(
        'CLIPModel',
        two_towers(),
        **{**CLIP, 'text_cfg': dict(pad_token_id=1, bos_token_id=0, eos_token_id=2)},
    ),
    'clip-text': Family('CLIPTextModelWithProjection', dict(SIZES, projection_dim=6), **CLIP),
    'clip-text-alone': Family('CLIPTextModel', SIZES, **CLIP),
    'chinese-clip': Family('ChineseCLIPModel', two_towers()),
    'altclip': Family('AltCLIPModel', two_towers(), **ROBERTA, text_cfg=dict(project_dim=10)),
    'siglip': Family('SiglipModel', dict(vision_config=VISION), **SIGLIP),
    'siglip-text': Family('SiglipTextModel', SIZES, **SIGLIP),
    'siglip2': Family(
        'Siglip2Model',
        dict(
            vision_config=dict(
                {key: one for key, one in VISION.items() if key != 'image_size'}, num_patches=4
            )
        ),
        **SIGLIP,
    ),
    'x-clip': Family(
        'XCLIPModel',
        dict(
            vision_config=dict(
                VISION,
                mit_hidden_size=WIDTH,
                mit_num_attention_heads=2,
                mit_intermediate_size=16,
                mit_num_hidden_layers=1,
            ),
            projection_dim=WIDTH,
            prompt_num_attention_heads=2,
        ),
        **CLIP,
    ),
    'blip': Family(
        'BlipModel',
        two_towers(),
        **ROBERTA,
        text_cfg=dict(encoder_hidden_size=WIDTH, num_attention_heads=2),
    ),
    'xlnet': Family(
        'XLNetModel',
        dict(d_model=WIDTH, n_layer=2, n_head=2, d_inner=24),
        special=('<pad>', '<sep>', '<cls>'),
        template='$A:0 <sep>:0 <cls>:2',
        pad='<pad>',
        side='left',
    ),
    'gpt2': Family(
        'GPT2Model', dict(n_embd=WIDTH, n_layer=2, n_head=2, n_positions=POSITIONS), **GPT
    ),
    'gpt2-begins': Family(
        'GPT2LMHeadModel',
        dict(n_embd=WIDTH, n_layer=2, n_head=2, n_positions=POSITIONS),
        **{**GPT, 'template': '<|endoftext|> $A'},
    ),
    'llama': Family('LlamaModel', LLAMA_SIZES, **LLAMA),
    'llama-pad-added': Family('LlamaForCausalLM', LLAMA_SIZES, **{**LLAMA, 'pad': '[EXTRA]'}),
    'llama-two-ends': Family('LlamaModel', dict(LLAMA_SIZES, eos_token_id=[2, 3]), **LLAMA),
    'qwen2': Family(
        'Qwen2Model',
        LLAMA_SIZES,
        special=('<|endoftext|>', '<|im_end|>'),
        template='$A',
        pad='<|endoftext|>',
        eos='<|im_end|>',
        side='left',
    ),
    'no-special-tokens': Family(
        'GPT2Model',
        dict(
            n_embd=WIDTH,
            n_layer=2,
            n_head=2,
            n_positions=POSITIONS,
            eos_token_id=None,
            bos_token_id=None,
        ),
        special=('road',),
        template='$A',
        pad=None,
    ),
}
