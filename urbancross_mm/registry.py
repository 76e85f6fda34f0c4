"""Child registries of mmengine's, under the scope ``urbancross_mm``.

mmengine imports ``{scope}.registry`` by this exact name. ``TOKENIZERS`` and ``INDEXES`` have no
parent: mmengine knows no such component.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

SCOPE = 'urbancross_mm'


def _child(name: str, parent: Registry, location: str) -> Registry:
    return Registry(name, parent=parent, scope=SCOPE, locations=[f'{SCOPE}.{location}'])


MODELS = _child('model', MMENGINE_MODELS, 'models')
DATASETS = _child('dataset', MMENGINE_DATASETS, 'datasets')
TRANSFORMS = _child('transform', MMENGINE_TRANSFORMS, 'datasets')
DATA_SAMPLERS = _child('data sampler', MMENGINE_DATA_SAMPLERS, 'datasets')
METRICS = _child('metric', MMENGINE_METRICS, 'evaluation')
HOOKS = _child('hook', MMENGINE_HOOKS, 'engine')
OPTIM_WRAPPERS = _child('optim_wrapper', MMENGINE_OPTIM_WRAPPERS, 'engine')
FUNCTIONS = _child('function', MMENGINE_FUNCTIONS, 'engine')
VISUALIZERS = _child('visualizer', MMENGINE_VISUALIZERS, 'visualization')
TOKENIZERS = Registry('tokenizer', scope=SCOPE, locations=[f'{SCOPE}.datasets'])
INDEXES = Registry('index', scope=SCOPE, locations=[f'{SCOPE}.search'])

__all__ = [
    'DATASETS', 'DATA_SAMPLERS', 'FUNCTIONS', 'HOOKS', 'INDEXES', 'METRICS', 'MODELS',
    'OPTIM_WRAPPERS', 'SCOPE', 'TOKENIZERS', 'TRANSFORMS', 'VISUALIZERS',
]
