# The overlay behind --sample: any config of this tree on generated data with small encoders.
# Read by urbancross_mm.apis.load_config; it is not a config of its own.
#   data_root  the prefix of every path to data, and what takes its place
#   replace    a component of this type, wherever it stands, becomes that one
#   update     a component of this type keeps its own settings but for these
#   merge      merged into the top level of the config, merge_adaptation into that of a config
#              that adapts a trained model (it has `model.adaptation`)
_vocabulary = dict(type='VocabTokenizer', vocab_file='data/sample/vocab.json', max_length=64)
_image_encoder = dict(
    type='BackboneEncoder',
    backbone=dict(
        type='mmpretrain.ResNet', depth=18, base_channels=32, stem_channels=32,
        out_indices=(0, 1, 2, 3)),
    in_channels=256,
    embed_dim=256)
_text_encoder = dict(
    type='GRUTextEncoder', tokenizer=_vocabulary, word_dim=128, hidden_dim=128, pool='max',
    embed_dim=256)

sample = dict(
    data_root=('data/', 'data/sample/'),
    replace=dict(
        OpenCLIPImageEncoder=_image_encoder,
        OpenCLIPTextEncoder=_text_encoder,
        OpenCLIPTokenizer=_vocabulary,
        BackboneEncoder=_image_encoder,
        HuggingFaceImageEncoder=_image_encoder,
        HuggingFaceTextEncoder=_text_encoder,
        HuggingFaceTokenizer=_vocabulary,
        SkipThoughtsEncoder=_text_encoder,
        # The sample has images of its sound.
        LoadAudio=dict(type='LoadSpectrogramImage', resize=128, size=128),
        # From scratch it learns faster than the ranking loss.
        PairwiseRankingLoss=dict(type='InfoNCELoss'),
    ),
    update=dict(
        ResizeImage=dict(scale=round({{'$IMAGE_SIZE:88'}} * 96 / 88)),
        RandomRotate=dict(degrees=(0, 10)),
        RandomCropImage=dict(size={{'$IMAGE_SIZE:88'}}),
        LoadSegments=dict(num_segments=3),
        RetrievalDataPreprocessor=dict(num_segments=3, segment_size=32),
        FeatureEncoder=dict(in_channels=128),
        GRUTextEncoder=dict(embed_dim=256),
        LoadSpectrogramImage=dict(resize=128, size=128),
        MCRN=dict(head=dict(loss=dict(type='InfoNCELoss'))),
        MultiscaleVisualNeck=dict(grid=-(-{{'$IMAGE_SIZE:88'}} // 16)),
        CrossDomainSampler=dict(min_steps=1),
        # From scratch, a frozen copy of the image tower would be a random network; a shared tower
        # would mix the BatchNorm statistics of images and of segments on white.
        UrbanCross=dict(segment_encoder=dict(mode='trainable')),
        Adam=dict(type='AdamW', lr=3e-3, weight_decay=0.05),
    ),
    merge=dict(
        train_dataloader=dict(batch_size=40, num_workers=1),
        val_dataloader=dict(num_workers=1),
        test_dataloader=dict(num_workers=1),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, end=3, by_epoch=True,
                 convert_to_iter_based=True),
            dict(type='CosineAnnealingLR', begin=3, end=24, T_max=21, by_epoch=True,
                 convert_to_iter_based=True),
        ],
        train_cfg=dict(max_epochs=24, val_interval=6),
        # Nothing is pretrained: MCRN learns at one rate.
        optim_wrapper=dict(paramwise_cfg=dict(custom_keys=dict(shared=dict(lr_mult=1.0)))),
    ),
    merge_adaptation=dict(
        train_dataloader=dict(num_workers=2),
        val_dataloader=dict(num_workers=1),
        test_dataloader=dict(num_workers=1),
        optim_wrapper=dict(optimizer=dict(lr=3e-4)),
    ))
