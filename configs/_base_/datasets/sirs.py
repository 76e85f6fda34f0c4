# Images at 256 px (IMAGE_SIZE) with captions and class maps. Leaves name the dataset.
_base_ = ['../models/sirs.py', './image_text.py', '../schedules/urbancross.py',
          '../default_runtime.py']
image_size = {{'$IMAGE_SIZE:256'}}
load = [dict(type='LoadImage'), dict(type='LoadSegMap')]
geometry = [
    dict(type='ResizeImage', scale=round(image_size * 278 / 256), interpolation='bilinear'),
    dict(type='RandomRotate', degrees=(0, 90)),
    dict(type='RandomCropImage', size=image_size),
]
text_and_pack = [
    dict(type='TokenizeText', tokenizer=_base_.sirs_tokenizer), dict(type='PackRetrievalInputs')]
train_pipeline = [*load, *geometry, *text_and_pack]
# Nothing is random at test time. The class map keeps its own size: predictions are brought to it.
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeImage', scale=image_size, interpolation='bilinear'),
    dict(type='LoadSegMap'), *text_and_pack]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline))
val_evaluator = [
    dict(type='RecallAtK', topk=(1, 5, 10), ties='expected'), dict(type='SegmentationMetric')]
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-4))
train_cfg = dict(max_epochs=35)
auto_scale_lr = dict(base_batch_size=32)
adapt = dict(lr=1e-4, balanced=True, captions='sample')
