// The page: the state is the address, and everything on the page follows from it.

import * as api from './api.js';
import { showChips } from './chips.js';
import { byId, make } from './dom.js';
import { Draw } from './draw.js';
import { Filters } from './filters.js';
import { HitMap } from './hit-map.js';
import { Layers } from './layers.js';
import { openDetail, Results } from './results.js';
import { remember, SearchBox } from './search-box.js';
import { PAGE_SIZE, asked, fresh, isEmpty, read, write } from './state.js';
import { Upload } from './upload.js';

const DOWNLOADED = 1000;
// A change of these leaves the hits as they are.
const ASIDE = ['hide', 'heat', 'opacity'];

class Page {
  constructor(info) {
    this.info = info;
    this.state = read(location.search);
    this.marks = { like: new Set(), dislike: new Set() };
    const light = (key, on) => { this.results.light(key, on); this.map?.light(key, on); };
    this.results = new Results({
      onLight: light,
      onPick: (key, move) => { this.results.pick(key, false); this.map?.pick(key, move); },
      onMore: (hit) => this.go({ ...this.kept(), like: [hit.id] }),
      onMark: (id, kind) => this.mark(id, kind),
      onOpen: openDetail,
    });
    this.box = new SearchBox({
      onSearch: (q) => this.go({ ...this.kept(), q, minus: this.state.minus, upload: q ? '' : this.state.upload }),
      model: () => this.state.model,
    });
    this.filters = new Filters({ onApply: (change) => this.go({ ...change, page: 1 }), onView: () => this.map?.view() ?? [] });
    this.startMap(light);
    this.wire();
  }

  /** What a new query keeps of the one before. */
  kept() {
    const { area, where, duplicates } = this.state;
    return { ...fresh(), ...this.aside(), area, where, duplicates };
  }

  aside() {
    const { model, compare, hide, heat, opacity } = this.state;
    return { model, compare, hide, heat, opacity };
  }

  startMap(light) {
    try {
      this.map = new HitMap('map', {
        onLight: light,
        onPick: (key) => { this.results.pick(key, true); this.map.pick(key, false); },
      });
    } catch (error) {
      this.map = null; // without WebGL the hits are still there
      byId('place').hidden = true;
      this.fail(`The map needs WebGL, which this browser has not: ${error.message}`);
      return;
    }
    this.layers = new Layers(this.map, this.info.rasters, { onChange: (change) => this.go(change) });
    this.draw = new Draw(this.map.gl, {
      onChange: (ring) => this.map.drawing(ring),
      onDone: (area) => { this.showDrawing(null); if (area) this.go({ area, page: 1 }); },
    });
    for (const kind of ['box', 'polygon']) {
      byId(`draw-${kind}`).addEventListener('click', () => {
        const start = this.draw.kind !== kind;
        if (start) this.draw.start(kind);
        else this.draw.stop();
        this.showDrawing(start ? kind : null);
      });
    }
    byId('fit').addEventListener('click', () => this.map.fit());
  }

  showDrawing(kind) {
    for (const other of ['box', 'polygon']) byId(`draw-${other}`).setAttribute('aria-pressed', String(kind === other));
    const hints = {
      box: 'Drag a box. Escape gives up.',
      polygon: 'Click the corners; Enter or a double click closes it. Escape gives up.',
    };
    byId('hint').textContent = hints[kind] ?? '';
    byId('hint').hidden = !kind;
  }

  wire() {
    const { models } = this.info;
    byId('model').append(...models.map(({ name }) => make('option', { value: name }, name)));
    byId('model').addEventListener('change', (event) => this.go({ model: event.target.value, page: 1 }));
    byId('compare').addEventListener('change', (event) => this.go({ compare: event.target.checked }));
    for (const id of ['model-field', 'compare-field']) byId(id).hidden = models.length < 2;
    new Upload({ onFile: (file) => this.upload(file) });
    byId('previous').addEventListener('click', () => this.turn(-1));
    byId('next').addEventListener('click', () => this.turn(1));
    byId('marks-apply').addEventListener('click', () => this.go({ ...this.marked(), page: 1 }));
    byId('share').addEventListener('click', () => this.share());
    byId('detail-close').addEventListener('click', () => byId('detail').close());
    byId('detail').addEventListener('click', (event) => { if (event.target === byId('detail')) byId('detail').close(); });
    addEventListener('popstate', () => {
      this.state = read(location.search);
      this.show();
    });
  }

  /** Change the state: a new entry of the browser's history. */
  go(change) {
    const quiet = Object.keys(change).every((name) => ASIDE.includes(name));
    this.state = { ...this.state, ...change };
    window.history.pushState(null, '', write(this.state));
    if (quiet) this.layers?.show(this.state, this.model());
    else this.show();
  }

  model() {
    const { models } = this.info;
    return (models.find(({ name }) => name === this.state.model) ?? models[0]).name;
  }

  names() {
    const first = this.model();
    const other = this.info.models.find(({ name }) => name !== first)?.name;
    return this.state.compare && other ? [first, other] : [first];
  }

  async show() {
    const { state } = this;
    const names = this.names();
    this.marks = { like: new Set(state.like), dislike: new Set(state.dislike) };
    byId('q').value = state.q;
    byId('model').value = names[0];
    byId('compare').checked = state.compare;
    document.title = state.q ? `${state.q} - Ask a city` : 'Ask a city';
    this.filters.show(state);
    this.filters.offer(this.info.models.find(({ name }) => name === names[0]).attributes);
    showChips(state, (change) => this.go({ ...change, page: 1 }));
    this.map?.ready.then(() => this.map.area(state.area));
    this.layers?.show(state, names[0]);
    this.fail('');
    if (isEmpty(state)) this.welcome();
    else await this.search(names);
  }

  async search(names) {
    this.request?.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    byId('columns').classList.add('busy');
    byId('results').setAttribute('aria-busy', 'true');
    byId('status').textContent = 'Searching';
    remember(this.state.q);
    const columns = await Promise.all(names.map(async (name) => {
      try {
        const { hits, more } = await api.search(asked(this.state, name), signal);
        return { name, hits, more };
      } catch (error) {
        return { name, hits: [], more: false, error: error.message };
      }
    }));
    if (!signal.aborted) await this.found(columns);
  }

  async found(columns) {
    byId('columns').classList.remove('busy');
    byId('results').removeAttribute('aria-busy');
    const [first] = columns;
    if (columns.every(({ error }) => error)) {
      this.fail(first.error);
      columns.forEach((column) => { delete column.error; });
      columns = [];
    }
    this.results.show(columns, this.marks);
    byId('results').scrollTop = 0;
    this.summary(columns);
    await this.map?.ready;
    this.map?.show(columns);
    if (columns.some(({ hits }) => hits.length) && !byId('heat').value) this.map?.fit();
  }

  summary(columns) {
    const shown = columns.map(({ hits }) => hits.length);
    const most = Math.max(0, ...shown);
    const start = (this.state.page - 1) * PAGE_SIZE;
    const items = this.info.models.find(({ name }) => name === this.model()).items.toLocaleString('en');
    byId('status').textContent = most ? `Hits ${start + 1} to ${start + most} of ${items} images`
      : columns.length ? 'Nothing passes the filters' : '';
    byId('page').textContent = `Page ${this.state.page}`;
    byId('previous').disabled = this.state.page === 1;
    byId('next').disabled = !columns.some(({ more }) => more);
    byId('pager').hidden = !columns.length;
    byId('take').hidden = !most;
    const query = asked(this.state, this.model(), { topk: DOWNLOADED, offset: 0 });
    for (const kind of ['csv', 'geojson']) byId(kind).href = `api/results.${kind}?${query}`;
    this.showMarks();
    this.legend(columns);
  }

  legend(columns) {
    byId('legend').hidden = columns.length < 2;
    byId('legend').replaceChildren(...columns.map(({ name }, number) =>
      make('span', { class: number ? 'second' : '' }, make('i', { 'aria-hidden': 'true' }), name)));
  }

  welcome() {
    this.request?.abort();
    byId('results').removeAttribute('aria-busy');
    const phrases = (this.info.models[0].examples ?? []).map((text) => make('button', {
      type: 'button', class: 'facet', onclick: () => this.go({ ...this.kept(), q: text }),
    }, text));
    byId('columns').className = 'columns';
    byId('columns').replaceChildren(make('div', { class: 'welcome' },
      make('h2', {}, 'What are you looking for?'),
      make('p', {}, 'Describe a place in a sentence, or drop an image of one. Draw on the map to search in one area only.'),
      make('div', { class: 'row' }, ...phrases)));
    this.results.cards.clear();
    this.map?.ready.then(() => { this.map.show([]); this.home(); });
    for (const id of ['pager', 'take', 'marks', 'legend']) byId(id).hidden = true;
    const total = this.info.models[0].items.toLocaleString('en');
    byId('status').textContent = `${total} images are indexed`;
  }

  home() {
    const boxes = [...this.info.models.map(({ bounds }) => bounds), ...this.info.rasters.map(({ bounds }) => bounds)];
    this.map.fit(boxes.filter(Boolean));
  }

  mark(id, kind) {
    const other = kind === 'like' ? 'dislike' : 'like';
    this.marks[other].delete(id);
    if (!this.marks[kind].delete(id)) this.marks[kind].add(id);
    this.results.marks(this.marks);
    this.showMarks();
  }

  marked() {
    return { like: [...this.marks.like], dislike: [...this.marks.dislike] };
  }

  showMarks() {
    const { like, dislike } = this.marked();
    const same = String([like, '|', dislike]) === String([this.state.like, '|', this.state.dislike]);
    byId('marks').hidden = same;
    byId('marks-text').textContent = `${like.length} right, ${dislike.length} wrong`;
  }

  /** The next page follows the marks. */
  turn(step) {
    this.go({ ...this.marked(), page: this.state.page + step });
    byId('results').focus();
  }

  async upload(file) {
    this.fail('');
    if (file.size > this.info.upload_bytes) {
      this.fail(`The image has ${file.size.toLocaleString('en')} bytes, more than ${this.info.upload_bytes.toLocaleString('en')}.`);
      return;
    }
    byId('status').textContent = 'Reading the image';
    try {
      const { upload } = await api.searchByImage(file, this.model());
      this.go({ ...this.kept(), upload });
    } catch (error) {
      byId('status').textContent = '';
      this.fail(error.message);
    }
  }

  async share() {
    try {
      await navigator.clipboard.writeText(location.href);
      byId('status').textContent = 'The link is copied';
    } catch {
      byId('status').textContent = `The link is the address of this page: ${location.href}`;
    }
  }

  fail(sentence) {
    byId('error').textContent = sentence;
    byId('error').hidden = !sentence;
    if (sentence) byId('status').textContent = '';
  }
}

try {
  const page = new Page(await api.info());
  window.urbancross = page; // for tests, and for the curious
  await page.show();
} catch (error) {
  byId('error').textContent = error.message;
  byId('error').hidden = false;
}
