// What the query is made of, each part with a button that takes it away.

import { byId, icon, make } from './dom.js';
import { boxOf } from './draw.js';

function areaName(condition) {
  if (!condition.startsWith('bbox=')) return 'inside a polygon';
  const [west, , east] = boxOf(condition) ?? [];
  return west > east ? 'inside a box across 180°' : 'inside a box';
}

function parts(state) {
  const without = (name, value) => ({ [name]: state[name].filter((other) => other !== value) });
  const list = (name, label) => state[name].map((value) => [`${label} ${value}`, without(name, value)]);
  return [
    ...(state.upload ? [['an uploaded image', { upload: '' }]] : []),
    ...list('like', 'like'),
    ...list('dislike', 'unlike'),
    ...(state.minus ? [[`not like “${state.minus}”`, { minus: '' }]] : []),
    ...(state.area ? [[areaName(state.area), { area: '' }, state.area]] : []),
    ...state.where.map((condition) => [condition, without('where', condition)]),
    ...(state.duplicates ? [['without near-duplicates', { duplicates: false }]] : []),
  ];
}

export function showChips(state, onRemove) {
  byId('chips').replaceChildren(...parts(state).map(([text, change, title = text]) => make('li', { class: 'chip' },
    make('span', { title }, text),
    make('button', { type: 'button', 'aria-label': `Remove: ${text}`, onclick: () => onRemove(change) }, icon('close')))));
}
