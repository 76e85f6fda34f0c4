# Train any config on another dataset: a name of _base_/domains.py, or a folder (docs/curate.md):
#   python tools/train.py configs/own_dataset.py --cfg-options CONFIG=urbancross_rsicd.py DATASET=data/porto
import os

_base_ = '{{$CONFIG:urbancross_finland.py}}'
config, name = '{{$CONFIG:urbancross_finland.py}}', '{{$DATASET:mycountry}}'
folder = _base_.domains.get(name, name)
if folder == name:
    if not os.path.isdir(folder):
        raise ValueError(
            f'DATASET={name} is no folder and no name in domains.py: {", ".join(_base_.domains)}')
    name = os.path.basename(os.path.abspath(folder)).lower()


def dataset_of(loader, split):
    dataset = dict(loader.dataset.get('datasets', [loader.dataset])[0])
    pipeline = [dict(step) for step in dataset['pipeline']]
    if pipeline[0]['type'] == 'LoadFeatures':
        pipeline[0].update(file=f'{folder}/features.npz')
        pipeline[1].update(tokenizer=dict(pipeline[1]['tokenizer'], file=f'{folder}/features.npz'))
    dataset.update(
        data_root=folder, ann_file=f'annotations/{name}_{split}.json', pipeline=pipeline)
    return dict(dataset=dict(dataset, _delete_=True))


train_dataloader = dataset_of(_base_.train_dataloader, 'train')
val_dataloader = dataset_of(_base_.val_dataloader, 'val')
test_dataloader = dataset_of(_base_.test_dataloader, 'test')
work_dir = f'work_dirs/{config.rpartition("/")[2].removesuffix(".py")}_on_{name}'
