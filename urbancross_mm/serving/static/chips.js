// What the query is made of, each part with a button that takes it away.

import { byId, icon, make } from './dom.js';

function parts(state) {
  const without = (name, value) => ({ [name]: state[name].filter((other) => other !== value) });
  const list = (name, label) => state[name].map((value) => [`${label} ${value}`, without(name, value)]);
  return [
    ...(state.upload ? [['an uploaded image', { upload: '' }]] : []),
    ...list('like', 'like'),
    ...list('dislike', 'unlike'),
    ...(state.minus ? [[`not like “${state.minus}”`, { minus: '' }]] : []),
    ...(state.area ? [[state.area.startsWith('bbox=') ? 'inside a box' : 'inside a polygon', { area: '' }]] : []),
    ...state.where.map((condition) => [condition, without('where', condition)]),
    ...(state.duplicates ? [['without near-duplicates', { duplicates: false }]] : []),
  ];
}

export function showChips(state, onRemove) {
  byId('chips').replaceChildren(...parts(state).map(([text, change]) => make('li', { class: 'chip' },
    make('span', { title: text }, text),
    make('button', { type: 'button', 'aria-label': `Remove: ${text}`, onclick: () => onRemove(change) }, icon('close')))));
}
