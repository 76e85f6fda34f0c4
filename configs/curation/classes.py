# A folder of images for each class and no map, as UC Merced: captions from the class names,
# segments by color, every class in every split if it has ten images.
stages = [
    dict(type='TileStage'),
    dict(type='CaptionStage', captioner=dict(type='TemplateCaptioner')),
    dict(type='RefineStage'),
    dict(type='SegmentStage', segmenter=dict(type='ColorSegmenter'), area=0.02),
    dict(type='SplitStage', stratify='label', block_meters=0),
    dict(type='ExportStage', name='mycountry'),
]
