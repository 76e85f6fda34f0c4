# For folders of images, one per class, without a map, such as UC Merced. Captions come from the
# class names, segments from colors. A class with ten images is in every split.
stages = [
    dict(type='TileStage'),
    dict(type='CaptionStage', captioner=dict(type='TemplateCaptioner')),
    dict(type='RefineStage'),
    dict(type='SegmentStage', segmenter=dict(type='ColorSegmenter'), area=0.02),
    dict(type='SplitStage', stratify='label', block_meters=0),
    dict(type='ExportStage', name='mycountry'),
]
