// The form of filters: what not to find, an area, conditions, near-duplicates.

import { byId, make } from './dom.js';
import { boxCondition, boxOf } from './draw.js';

const SIDES = ['west', 'south', 'east', 'north'];
const SHOWN_FACETS = 6;
const SHOWN_VALUES = 12;

const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);

export class Filters {
  constructor({ onApply, onView }) {
    this.onApply = onApply;
    const toggle = byId('filters-toggle');
    toggle.addEventListener('click', () => this.open(byId('filters').hidden));
    byId('filters').addEventListener('submit', (event) => {
      event.preventDefault();
      this.apply();
    });
    byId('filters-clear').addEventListener('click', () => {
      onApply({ minus: '', area: '', where: [], duplicates: false });
    });
    byId('area-view').addEventListener('click', () => this.setArea(boxCondition(onView())));
  }

  open(yes) {
    byId('filters').hidden = !yes;
    byId('filters-toggle').setAttribute('aria-expanded', String(yes));
  }

  /** What a model's index can be filtered by: examples, and values as buttons that add a condition. */
  offer(model) {
    const known = JSON.stringify(model);
    if (known === this.offered) return; // the focus stays where it is
    this.offered = known;
    const { attributes, conditions, examples, bounds } = model;
    byId('minus').placeholder = examples[1] ?? '';
    byId('where').placeholder = conditions[0] ?? '';
    const codes = conditions.flatMap((condition) => [', ', make('code', {}, condition)]).slice(1);
    byId('where-help').replaceChildren(...(codes.length ? ['For example ', ...codes] : []));
    byId('area').hidden = !bounds;
    const rows = attributes.filter(({ values }) => values.length > 1).slice(0, SHOWN_FACETS);
    byId('facets').replaceChildren(...rows.map(({ name, values, conditions: each }) => make('div', {}, make('b', {}, name),
      ...values.slice(0, SHOWN_VALUES).map((value, number) => make('button', {
        type: 'button', class: 'facet', 'aria-label': `Add the condition ${each[number]}`,
        onclick: () => this.add(each[number]),
      }, value)))));
  }

  add(condition) {
    const where = byId('where');
    where.value = [...new Set([...lines(where.value), condition])].join('\n');
    this.apply();
  }

  setArea(condition) {
    this.condition = condition;
    const box = boxOf(condition) ?? ['', '', '', ''];
    SIDES.forEach((side, number) => { byId(side).value = box[number]; });
  }

  show(state) {
    byId('minus').value = state.minus;
    byId('where').value = state.where.join('\n');
    byId('duplicates').checked = state.duplicates;
    this.setArea(state.area);
  }

  area() {
    const sides = SIDES.map((side) => byId(side).value.trim());
    if (sides.every((side) => side === '')) return boxOf(this.condition) ? '' : this.condition;
    return boxCondition(sides); // what is wrong with a number, the server says
  }

  apply() {
    this.onApply({
      minus: byId('minus').value.trim(), area: this.area(), where: lines(byId('where').value),
      duplicates: byId('duplicates').checked,
    });
  }
}
