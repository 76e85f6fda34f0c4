# A folder of pictures for each class and no map, as UC Merced: captions from the class names,
# segments by colour, every class in every split if it has ten pictures.
stages = [
    dict(type='TileStage'),
    dict(type='CaptionStage', captioner=dict(type='TemplateCaptioner')),
    dict(type='RefineStage'),
    dict(type='SegmentStage', segmenter=dict(type='ColorSegmenter'), area=0.02),
    dict(type='SplitStage', stratify='label', block_metres=0),
    dict(type='ExportStage', name='mycountry'),
]
