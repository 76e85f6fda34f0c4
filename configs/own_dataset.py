# Train any config on another dataset: a name of _base_/domains.py, or a folder (docs/how-to/dataset.md):
#   python tools/train.py configs/own_dataset.py --cfg-options CONFIG=urbancross_rsicd.py DATASET=data/porto
import difflib, os

_base_ = '{{$CONFIG:urbancross_finland.py}}'
config, name = '{{$CONFIG:urbancross_finland.py}}', '{{$DATASET:mycountry}}'
folder = _base_.domains.get(name, name)
if folder == name:
    if '/' not in folder and not os.path.isdir(folder):  # --sample moves data/ later
        close = difflib.get_close_matches(name, _base_.domains, n=1)
        raise ValueError(
            f'DATASET={name} is no folder and no name in domains.py'
            f'{f"; did you mean {close[0]}" if close else ""}; there are {", ".join(_base_.domains)}')
    name = os.path.basename(os.path.abspath(folder)).lower()

own = dict(
    LoadFeatures=dict(file=f'{folder}/features.npz'),
    FeatureTokenizer=dict(file=f'{folder}/features.npz'),
    VocabTokenizer=dict(vocab_file=f'{folder}/annotations/{name}_vocab.json'))


def on_own(step):
    """A step, or a tokenizer, with the files of the dataset."""
    step = dict(step, **own.get(step['type'], {}))
    return dict(step, tokenizer=on_own(step['tokenizer'])) if 'tokenizer' in step else step


def loader_of(loader, split):
    """The dataset instead of the captions; a stream of class maps stays."""
    first, *others = loader.dataset.get('datasets', [loader.dataset])
    captioned = dict(
        first, data_root=folder, ann_file=f'annotations/{name}_{split}.json',
        pipeline=[on_own(step) for step in first.pipeline])
    masks = [part for part in others if part.captions == 'none']
    if not masks:
        return dict(dataset=dict(captioned, _delete_=True))
    return dict(dataset=dict(loader.dataset, _delete_=True, datasets=[captioned, *masks]))


train_dataloader = loader_of(_base_.train_dataloader, 'train')
if 'batch_sampler' in _base_.train_dataloader:
    (count,) = _base_.train_dataloader.batch_sampler.target.values()
    train_dataloader['batch_sampler'] = dict(target={'_delete_': True, name: count})
    del count
val_dataloader = loader_of(_base_.val_dataloader, 'val')
test_dataloader = loader_of(_base_.test_dataloader, 'test')
data, model = dict(data_root=folder), dict(text_encoder=on_own(_base_.model.text_encoder))
work_dir = f'work_dirs/{config.replace("::", "/").rpartition("/")[2].removesuffix(".py")}_on_{name}'
del config, folder, name, own
