# Images at 256 px (IMAGE_SIZE) with the captions of CAPTIONED, as SIRS, MCRN and AMFMN have them.
_base_ = ['../models/encoders.py', './image_text.py', '../schedules/urbancross.py',
          '../default_runtime.py']
image_size = {{'$IMAGE_SIZE:256'}}
geometry = [
    dict(type='ResizeImage', scale=round(image_size * 278 / 256), interpolation='bilinear'),
    dict(type='RandomRotate', degrees=(0, 90)),
    dict(type='RandomCropImage', size=image_size),
]
# Nothing is random at test time.
test_geometry = [dict(type='ResizeImage', scale=image_size, interpolation='bilinear')]
text_and_pack = [
    dict(type='TokenizeText', tokenizer=_base_.text_tokenizer), dict(type='PackRetrievalInputs')]
train_pipeline = [dict(type='LoadImage'), *geometry, *text_and_pack]
test_pipeline = [dict(type='LoadImage'), *test_geometry, *text_and_pack]
data = dict(data_root=_base_.domains['{{$CAPTIONED:rsitmd}}'])
train_dataloader = dict(batch_size=32, dataset=dict(
    **data, ann_file='annotations/{{$CAPTIONED:rsitmd}}_train.json', pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, dataset=dict(
    **data, ann_file='annotations/{{$CAPTIONED:rsitmd}}_val.json', pipeline=test_pipeline))
test_dataloader = dict(batch_size=32, dataset=dict(
    **data, ann_file='annotations/{{$CAPTIONED:rsitmd}}_test.json', pipeline=test_pipeline))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-4))
train_cfg = dict(max_epochs=35)
auto_scale_lr = dict(base_batch_size=32)
adapt = dict(lr=1e-4, balanced=True, captions='sample')
