# Images and captions at 224 px, or at IMAGE_SIZE; five segments. Leaves name the dataset.
_base_ = '../domains.py'
image_size = {{'$IMAGE_SIZE:224'}}
tokenizer = dict(type='OpenCLIPTokenizer', model_name='ViT-B-16')
geometry = [
    dict(type='ResizeImage', scale=round(image_size * 278 / 224), interpolation='bicubic'),
    dict(type='RandomRotate', degrees=(0, 90)),
    dict(type='RandomCropImage', size=image_size),
]
text_and_pack = [
    dict(type='TokenizeText', tokenizer=tokenizer),
    dict(type='PackRetrievalInputs'),
]
train_pipeline = [dict(type='LoadImage'), *geometry, *text_and_pack]
segment_train_pipeline = [
    dict(type='LoadImage'), dict(type='LoadSegments', num_segments=5), *geometry, *text_and_pack]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeImage', scale=image_size, interpolation='bicubic'), *text_and_pack]
# For a model that also ranks by segments (eval_fusion below 1).
segment_test_pipeline = [
    dict(type='LoadImage'), dict(type='LoadSegments', num_segments=5),
    dict(type='ResizeImage', scale=image_size, interpolation='bicubic'), *text_and_pack]

train_dataloader = dict(
    batch_size=40,
    num_workers=4,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    worker_init_fn=dict(type='urbancross_mm.seed_worker'),
    dataset=dict(type='ImageTextDataset', captions='each', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=100,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ImageTextDataset', captions='all', pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=100,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ImageTextDataset', captions='all', pipeline=test_pipeline))
val_evaluator = dict(type='RecallAtK', topk=(1, 5, 10), ties='expected')
test_evaluator = dict(type='RecallAtK', topk=(1, 5, 10), ties='expected')
