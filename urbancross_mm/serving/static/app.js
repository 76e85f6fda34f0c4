// The page: the state is the address, and everything on the page follows from it.

import * as api from './api.js';
import { showChips } from './chips.js';
import { byId, make } from './dom.js';
import { DrawTools } from './draw-tools.js';
import { Filters } from './filters.js';
import { HitMap } from './hit-map.js';
import { Layers } from './layers.js';
import { Marks } from './marks.js';
import { fail, note, share, warn } from './notes.js';
import { openDetail, Results } from './results.js';
import { remember, SearchBox } from './search-box.js';
import { asked, fresh, isEmpty, read, write } from './state.js';
import { showSummary } from './summary.js';
import { Upload } from './upload.js';
import { showWelcome } from './welcome.js';

const GONE = 410; // an upload
const FRESH = 5000; // milliseconds; what the index holds is asked again after them
// A change of these leaves the hits as they are.
const ASIDE = ['hide', 'heat', 'opacity'];

class Page {
  constructor(info) {
    this.info = info;
    this.asked = Date.now();
    this.state = read(location.search);
    this.marks = new Marks();
    const light = (key, on) => { this.results.light(key, on); this.map?.light(key, on); };
    this.results = new Results({
      onLight: light,
      onPick: (key, move) => { this.results.pick(key, false); this.map?.pick(key, move); },
      onMore: (hit) => this.go({ ...this.kept(), like: [hit.id] }),
      onMark: (id, kind) => { this.marks.toggle(id, kind); this.results.marks(this.marks); },
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
      byId('map-panel').hidden = true;
      fail(`The map needs WebGL, which this browser has not: ${error.message}`);
      return;
    }
    this.layers = new Layers(this.map, this.info.rasters, { onChange: (change) => this.go(change) });
    this.tools = new DrawTools(this.map, (area) => this.go({ area, page: 1 }));
    byId('fit').addEventListener('click', () => this.map.fit());
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
    byId('marks-apply').addEventListener('click', () => this.go({ ...this.marks.lists(), page: 1 }));
    byId('share').addEventListener('click', share);
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
    if (quiet) this.layers?.show(this.state, this.model().name);
    else this.show();
  }

  /** The first of the models that are asked. */
  model() {
    const { models } = this.info;
    return models.find(({ name }) => name === this.state.model) ?? models[0];
  }

  names() {
    const first = this.model().name;
    const other = this.info.models.find(({ name }) => name !== first)?.name;
    return this.state.compare && other ? [first, other] : [first];
  }

  /** `lost`: a sentence on what of the query is no longer there. */
  async show(lost = '') {
    const { state } = this;
    this.lost = lost;
    const names = this.names();
    this.marks.start(state);
    byId('q').value = state.q;
    byId('model').value = names[0];
    byId('compare').checked = state.compare;
    document.title = state.q ? `${state.q} - Ask a city` : 'Ask a city';
    this.filters.show(state);
    this.describe();
    showChips(state, (change) => this.go({ ...change, page: 1 }));
    this.map?.ready.then(() => this.map.area(state.area));
    this.layers?.show(state, names[0]);
    fail('');
    note();
    if (!isEmpty(state)) {
      await this.search(names);
      return;
    }
    this.request?.abort();
    await this.follow();
    if (this.state === state) this.welcome();
  }

  async search(names) {
    this.request?.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    byId('columns').classList.add('busy');
    byId('results').setAttribute('aria-busy', 'true');
    byId('status').textContent = 'Searching';
    remember(this.state.q);
    const [columns] = await Promise.all([
      Promise.all(names.map((name) => this.column(name, signal))), this.follow(),
    ]);
    if (signal.aborted) return;
    if (columns.some(({ status }) => status === GONE)) this.withoutUpload();
    else await this.showColumns(columns);
  }

  async column(name, signal) {
    try {
      return { name, ...await api.search(asked(this.state, name), signal) };
    } catch (error) {
      return { name, hits: [], warnings: [], more: false, error: error.message, status: error.status };
    }
  }

  /** The index may have changed: counts, values and examples follow it. */
  async follow() {
    if (Date.now() - this.asked < FRESH) return;
    this.asked = Date.now();
    try {
      this.info = await api.info();
    } catch { /* the query itself says what is wrong */ }
    this.describe();
  }

  describe() {
    const model = this.model();
    byId('q').placeholder = model.examples[0] ?? '';
    this.filters.offer(model);
    this.tools?.offer(model.bounds);
  }

  /** A server keeps uploads for a while only: what else is asked for is searched. */
  withoutUpload() {
    this.state = { ...this.state, upload: '' };
    window.history.replaceState(null, '', write(this.state));
    this.show('The uploaded image of this query is no longer on the server: choose it again with “Image”.');
  }

  async showColumns(columns) {
    byId('columns').classList.remove('busy');
    byId('results').removeAttribute('aria-busy');
    const [first] = columns;
    if (columns.every(({ error }) => error)) {
      fail(first.error);
      columns.forEach((column) => { delete column.error; });
      columns = [];
    }
    this.results.show(columns, this.marks);
    warn(columns, this.lost);
    byId('results').scrollTop = 0;
    showSummary(this.state, columns, this.model());
    this.marks.show();
    await this.map?.ready;
    this.map?.show(columns);
    if (!columns.some(({ hits }) => hits.length)) this.map?.fitArea([]);
    else if (!byId('heat').value) this.map?.fit();
  }

  welcome() {
    note(this.lost);
    showWelcome(this.model(), (q) => this.go({ ...this.kept(), q }));
    this.results.cards.clear();
    this.map?.ready.then(() => { this.map.show([]); this.home(); });
  }

  home() {
    const boxes = [...this.info.models.map(({ bounds }) => bounds), ...this.info.rasters.map(({ bounds }) => bounds)];
    this.map.fitArea(boxes.filter(Boolean));
  }

  /** The next page follows the marks. */
  turn(step) {
    this.go({ ...this.marks.lists(), page: this.state.page + step });
    byId('results').focus();
  }

  async upload(file) {
    fail('');
    if (file.size > this.info.upload_bytes) {
      fail(`The image has ${file.size.toLocaleString('en')} bytes, more than ${this.info.upload_bytes.toLocaleString('en')}.`);
      return;
    }
    byId('status').textContent = 'Reading the image';
    try {
      const { upload } = await api.searchByImage(file, this.model().name);
      this.go({ ...this.kept(), upload });
    } catch (error) {
      byId('status').textContent = '';
      fail(error.message);
    }
  }
}

try {
  const page = new Page(await api.info());
  window.urbancross = page; // for tests, and for the curious
  await page.show();
} catch (error) {
  fail(error.message);
}
