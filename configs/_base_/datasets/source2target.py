# Pairs of a source, and images and captions of a target, which are not paired. The source is what
# the trained config CONFIG trains on; TARGET is a name in domains.py, or a folder. A folder with
# annotations/<name>_texts.txt has no captions of its own. ANCHORS is a table of labels of a few
# images of the target (docs/how-to/adapt.md), or none.
import difflib
import os

_base_ = '../../{{$CONFIG:urbancross_finland.py}}'
config, target = '{{$CONFIG:urbancross_finland.py}}', '{{$TARGET:spain}}'
anchors = '{{$ANCHORS:none}}'
# What the trained config wants of its adaptation: the learning rate, as many target items as source
# pairs with every method (balanced), frozen encoders, another draw of the source's captions.
adapt = dict(dict(lr=1e-5, balanced=False, frozen=False, captions=None), **_base_.get('adapt', {}))

uncaptioned = _base_.get('uncaptioned', {})
known = dict(_base_.get('domains', {}), **uncaptioned)
folder = known.get(target, target)
if target not in known and '/' not in folder and not os.path.isdir(folder):
    close = difflib.get_close_matches(target, known, n=1)
    raise ValueError(
        f'TARGET={target} is no folder and no name in domains.py'
        f'{f"; did you mean {close[0]}" if close else ""}; there are {", ".join(known)}')
has_captions = target not in uncaptioned
if target not in known:
    target = os.path.basename(os.path.abspath(folder)).lower()
    has_captions = not os.path.isfile(f'{folder}/annotations/{target}_texts.txt')

trained = _base_.train_dataloader.dataset
parts = trained.datasets if trained.type == 'ConcatDataset' else [trained]
parts = [part for part in parts if part.get('captions') != 'none']
if {part.type for part in parts} != {'ImageTextDataset'}:
    raise ValueError(f'CONFIG={config} trains on a {parts[0].type}: name a config of pairs')
sources = [os.path.basename(part.ann_file).rpartition('_')[0] for part in parts]
if target in sources:
    raise ValueError(f'TARGET={target} is what CONFIG={config} was trained on')


def steps_of(pipeline, file=None):
    """Without segments and class maps; features that were computed beforehand come from the file."""
    steps = [
        dict(step) for step in pipeline if step['type'] not in ('LoadSegments', 'LoadSegMap')]
    if file and steps[0]['type'] == 'LoadFeatures':
        steps[0].update(file=file)
        steps[1].update(tokenizer=dict(steps[1]['tokenizer'], file=file))
    return steps


def batch_of(pairs, items):
    """So many source pairs, of each source its share, sixteen labeled ones, and target items."""
    share, rest = divmod(pairs, len(sources))
    counts = {source: share + (i < rest) for i, source in enumerate(sources)}
    if anchors != 'none':
        counts['anchors'] = 16
    return dict(
        batch_size=sum(counts.values()) + items,
        batch_sampler=dict(source=counts, target={target: items}))


features = f'{folder}/features.npz'
train_steps, tested = parts[0].pipeline, _base_.test_dataloader.dataset
unpaired = dict(type='UnpairedDataset', data_root=folder)
test_set = dict(type='ImageTextDataset', data_root=folder, captions='all')
if not has_captions:
    unpaired.update(text_file=f'annotations/{target}_texts.txt')
    test_set = dict(unpaired, test_mode=True)
test_set.update(
    pipeline=steps_of(tested.get('datasets', [tested])[0].pipeline, features), _delete_=True)
unpaired.update(
    ann_file=f'annotations/{target}_train.json', pipeline=steps_of(train_steps, features))
labeled = []
if anchors != 'none':
    unpaired['anchors_file'] = anchors
    labeled = [dict(unpaired, type='AnchorDataset')]
balanced_batch = batch_of(64, 64)
published_batch = balanced_batch if adapt['balanced'] else batch_of(80, 16)
train_dataloader = dict(
    balanced_batch,
    num_workers=4 if _base_.train_dataloader.num_workers else 0,
    drop_last=False,
    dataset=dict(
        _delete_=True, type='ConcatDataset', ignore_keys=['dataset', 'domain', 'split'],
        datasets=[
            *(dict(
                part, pipeline=steps_of(part.pipeline),
                captions=adapt['captions'] or part.captions) for part in parts),
            *labeled,
            unpaired,
        ]))
# One epoch is one pass over the target, or as many as make 48 steps: ten epochs then have 480, and
# an adaptation needs 240 (docs/results/index.md#adaptation).
train_dataloader['batch_sampler'].update(type='CrossDomainSampler', min_steps=48)
if 'batch_sampler' in _base_.train_dataloader:  # that of a stream of class maps
    train_dataloader['batch_sampler']['_delete_'] = True
val_dataloader = dict(dataset=dict(test_set, ann_file=f'annotations/{target}_val.json'))
test_dataloader = dict(dataset=dict(
    test_set, ann_file=f'annotations/{target}_{"test" if has_captions else "val"}.json'))
# The first score uses the target's pairs, to watch only; the others do not (docs/how-to/adapt.md).
val_evaluator = [dict(type='LabelFreeMetric')]
if has_captions:
    val_evaluator.insert(0, dict(type='RecallAtK'))
test_evaluator = val_evaluator
del folder, known, trained, parts, sources, features, train_steps, tested, unpaired, test_set
del anchors, labeled
