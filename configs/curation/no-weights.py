# Without any trained model: captions from templates, segments from colors. The map lies beside the
# folder of tiles (--in).
stages = [
    dict(type='TileStage'),
    dict(type='TagStage', files=['../tags.geojson']),
    dict(type='CaptionStage', captioner=dict(type='TemplateCaptioner')),
    dict(type='RefineStage'),
    dict(type='SegmentStage', segmenter=dict(type='ColorSegmenter'), area=0.02),
    dict(type='SplitStage'),
    dict(type='ExportStage', name='mycountry'),
]
