// The panel of rasters: which ones are shown, and where in one of them the query is.

import * as api from './api.js';
import { byId, make } from './dom.js';

export class Layers {
  /** `onChange` is called with what of the state has changed. */
  constructor(map, rasters, { onChange }) {
    Object.assign(this, { map, rasters, onChange, located: '' });
    const toggle = byId('layers-toggle');
    const panel = byId('layers');
    toggle.hidden = !rasters.length;
    toggle.addEventListener('click', () => {
      panel.hidden = !panel.hidden;
      toggle.setAttribute('aria-expanded', String(!panel.hidden));
      if (!panel.hidden) panel.querySelector('input, select').focus();
    });
    panel.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      toggle.click();
      toggle.focus();
    });
    panel.addEventListener('submit', (event) => event.preventDefault());
    byId('heat').append(make('option', { value: '' }, 'none'),
      ...rasters.map(({ name }) => make('option', { value: name }, name)));
    byId('heat').addEventListener('change', (event) => onChange({ heat: event.target.value }));
    const opacity = byId('opacity');
    opacity.addEventListener('input', () => map.opacity('heat', opacity.value / 100));
    opacity.addEventListener('change', () => onChange({ opacity: Number(opacity.value) }));
  }

  async show(state, model) {
    byId('opacity').value = state.opacity;
    byId('heat').value = this.rasters.some(({ name }) => name === state.heat) ? state.heat : '';
    byId('rasters').replaceChildren(...this.rasters.map((raster) => this.choice(raster, state)));
    await this.map.ready;
    for (const raster of this.rasters) {
      const id = `raster-${raster.name}`;
      const hidden = state.hide.includes(raster.name);
      if (hidden === id in this.map.layers) this.map.tiles(id, hidden ? null : { info: raster });
    }
    await this.locate(state, model);
  }

  choice({ name, bounds }, state) {
    const input = make('input', { type: 'checkbox', checked: !state.hide.includes(name) });
    input.addEventListener('change', () => {
      const others = state.hide.filter((other) => other !== name);
      if (input.checked) this.map.fitRaster(bounds);
      this.onChange({ hide: input.checked ? others : [...others, name] });
    });
    return make('label', { class: 'check' }, input, make('span', {}, name));
  }

  /** Ask for the heat map of the query, unless it is shown already. */
  async locate(state, model) {
    const wanted = byId('heat').value && (state.q || state.upload)
      ? JSON.stringify([byId('heat').value, state.q, state.upload, model]) : '';
    if (wanted === this.located) {
      this.map.opacity('heat', state.opacity / 100);
      return;
    }
    this.request?.abort();
    this.located = wanted;
    this.map.tiles('heat', null);
    this.map.showPeaks([]);
    byId('heat-status').textContent = byId('heat').value && !wanted ? 'Search for a text or an image first.' : '';
    if (wanted) await this.ask(state, model);
  }

  async ask(state, model) {
    const raster = byId('heat').value;
    this.request = new AbortController();
    const { signal } = this.request;
    byId('heat-status').textContent = `Looking for it in ${raster}. The first time takes longest.`;
    try {
      const body = { ...(state.q ? { text: state.q } : { upload: state.upload }), ...(model && { model }) };
      const heat = await api.locate(raster, body, signal);
      this.map.tiles('heat', { info: heat, opacity: byId('opacity').value / 100, above: true });
      this.map.showPeaks(heat.peaks);
      this.map.fitRaster(heat.bounds);
      byId('heat-status').textContent = `${heat.peaks.length} positions stand out.`;
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.located = null; // ask again
      byId('heat-status').textContent = error.message;
    }
  }
}
