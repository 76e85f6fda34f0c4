# The curation of UrbanCross: InstructBLIP writes captions, CLIP scores them, SAM segments. The models
# lie in weights/ (see docs/curate.md for their sources), the map beside the folder of tiles (--in).
clip = dict(model_name='ViT-B-32', pretrained='weights/clip_vit-b-32_openai.pt')
scorer = dict(
    type='RetrieverScorer',
    model=dict(
        type='CrossModalRetriever',
        data_preprocessor=dict(type='RetrievalDataPreprocessor', stats='clip'),
        image_encoder=dict(type='OpenCLIPImageEncoder', **clip),
        text_encoder=dict(type='OpenCLIPTextEncoder', **clip)),
    pipeline=[
        dict(type='ResizeImage', scale=224, interpolation='bicubic'),
        dict(type='TokenizeText', tokenizer=dict(type='OpenCLIPTokenizer', model_name='ViT-B-32')),
        dict(type='PackRetrievalInputs')
    ])
stages = [
    dict(type='TileStage', size=512),
    dict(type='TagStage', files=['../map.osm.pbf']),
    dict(type='CaptionStage', batch_size=8, captioner=dict(
        type='TransformersCaptioner', path='weights/instructblip-vicuna-7b', dtype='float16')),
    dict(type='RefineStage'),
    dict(type='ScoreStage', scorer=scorer),
    dict(type='FilterStage', keep=0.3),
    dict(type='SegmentStage', scorer=scorer, segmenter=dict(
        type='SamSegmenter', model_type='vit_h', checkpoint='weights/sam_vit_h_4b8939.pth')),
    dict(type='SplitStage'),
    dict(type='ExportStage', name='mycountry'),
]
