// What surrounds the cards: how many there are, pages, downloads, and whose color is which.

import { byId, make } from './dom.js';
import { PAGE_SIZE, asked } from './state.js';

const DOWNLOADED = 1000;

export function showSummary(state, columns, { name, items }) {
  const most = Math.max(0, ...columns.map(({ hits }) => hits.length));
  const start = (state.page - 1) * PAGE_SIZE;
  byId('status').textContent = most ? `Hits ${start + 1} to ${start + most} of ${items.toLocaleString('en')} images`
    : columns.length ? 'Nothing passes the filters' : '';
  byId('page').textContent = `Page ${state.page}`;
  byId('previous').disabled = state.page === 1;
  byId('next').disabled = !columns.some(({ more }) => more);
  byId('pager').hidden = !columns.length;
  byId('take').hidden = !most;
  const query = asked(state, name, { topk: DOWNLOADED, offset: 0 });
  for (const kind of ['csv', 'geojson']) byId(kind).href = `api/results.${kind}?${query}`;
  legend(columns);
}

function legend(columns) {
  byId('legend').hidden = columns.length < 2;
  byId('legend').replaceChildren(...columns.map(({ name }, number) =>
    make('span', { class: number ? 'second' : '' }, make('i', { 'aria-hidden': 'true' }), name)));
}
