// The map: hits as footprints and numbers, the area, rasters and the heat map.

import { Map as GlMap, Marker, NavigationControl, ScaleControl } from './vendor/maplibre-gl.mjs';
import { boxAround, boxOfRing, globeBox } from './bounds.js';
import { calm, make } from './dom.js';
import { ringOf } from './draw.js';
import { baseStyle, darkness, footprints, nothing, outline } from './map-style.js';
import { hasPosition } from './results.js';

const FIT = { padding: 56, maxZoom: 17 };
const BESIDE_PANEL = 364; // pixels; the panel of rasters covers so much at the left

export class HitMap {
  constructor(container, { onLight, onPick }) {
    Object.assign(this, { onLight, onPick, pins: new Map(), peaks: [], columns: [], layers: {} });
    this.gl = new GlMap({
      container, style: baseStyle(), center: [10, 30], zoom: 1, attributionControl: false,
      maxPitch: 0, dragRotate: false, pitchWithRotate: false, touchPitch: false,
      fadeDuration: calm() ? 0 : 150,
    });
    this.gl.touchZoomRotate.disableRotation();
    this.gl.addControl(new NavigationControl({ showCompass: false }), 'top-right');
    this.gl.addControl(new ScaleControl({ maxWidth: 90 }), 'bottom-right');
    this.gl.getCanvas().setAttribute('aria-label', 'Map of the hits. Arrow keys move it, plus and minus zoom');
    this.ready = new Promise((done) => { this.gl.once('load', done); });
    darkness.addEventListener('change', () => this.restyle());
    this.follow();
  }

  /** Hovering or clicking a footprint is as of its card. */
  follow() {
    let last = null;
    this.gl.on('mousemove', 'hits', (event) => {
      const { key } = event.features[0].properties;
      if (key === last) return;
      if (last) this.onLight(last, false);
      last = key;
      this.onLight(key, true);
    });
    this.gl.on('mouseleave', 'hits', () => {
      if (last) this.onLight(last, false);
      last = null;
    });
    this.gl.on('click', 'hits', (event) => this.onPick(event.features[0].properties.key));
  }

  restyle() {
    this.gl.setStyle(baseStyle(), { diff: false });
    this.gl.once('style.load', () => {
      this.data('hits', footprints(this.columns));
      this.area(this.condition);
      for (const [id, layer] of Object.entries(this.layers)) this.put(id, layer);
    });
  }

  data(source, value) {
    this.gl.getSource(source)?.setData(value);
  }

  show(columns) {
    this.columns = columns;
    for (const { marker } of this.pins.values()) marker.remove();
    this.pins.clear();
    this.data('hits', footprints(columns));
    const hits = columns.flatMap((column, number) => column.hits.map((hit) => ({ hit, number })));
    // The best hit lies on top.
    for (const { hit, number } of hits.filter(({ hit }) => hasPosition(hit)).reverse()) this.pin(hit, number);
  }

  pin(hit, number) {
    const key = `${number}:${hit.id}`;
    // Not in the order of focus: the cards are, and do the same.
    const element = make('button', {
      type: 'button', class: number ? 'pin second' : 'pin', tabindex: -1,
      'aria-label': `Hit ${hit.rank} on the map`,
      onmouseenter: () => this.onLight(key, true),
      onmouseleave: () => this.onLight(key, false),
      onclick: (event) => { event.stopPropagation(); this.onPick(key); },
    }, String(hit.rank));
    const marker = new Marker({ element }).setLngLat([hit.lon, hit.lat]).addTo(this.gl);
    this.pins.set(key, { marker, element, hit });
  }

  light(key, on) {
    this.pins.get(key)?.element.classList.toggle('lit', on);
    if (this.gl.getSource('hits')) this.gl.setFeatureState({ source: 'hits', id: key }, { lit: on });
  }

  pick(key, move) {
    for (const [other, { element }] of this.pins) element.classList.toggle('picked', other === key);
    const { hit } = this.pins.get(key) ?? {};
    if (!hit || !move) return;
    if (hit.bounds) this.fit([hit.bounds], { ...FIT, padding: 120 });
    else this.gl.easeTo({ center: [hit.lon, hit.lat], zoom: Math.max(this.gl.getZoom(), 13), animate: !calm() });
  }

  /** Show boxes whole, or else all hits. */
  fit(boxes = this.boxes(), options = FIT) {
    const around = boxAround(boxes);
    if (around) this.gl.fitBounds(around, { ...options, animate: !calm(), duration: 700 });
  }

  /** Show a raster, beside the panel where there is room for both. */
  fitRaster(bounds) {
    const wide = this.gl.getContainer().clientWidth > 2 * BESIDE_PANEL;
    this.fit([bounds], { padding: { top: 40, bottom: 40, right: 60, left: wide ? BESIDE_PANEL : 60 }, maxZoom: 21 });
  }

  boxes() {
    return this.columns.flatMap((column) => column.hits).filter(hasPosition)
      .map((hit) => hit.bounds ?? [hit.lon, hit.lat, hit.lon, hit.lat]);
  }

  /** The condition that limits the search to an area, or ''. */
  area(condition) {
    this.condition = condition;
    this.data('area', outline(condition ? ringOf(condition) : null, true));
  }

  /** Show the area whole, or else some boxes. */
  fitArea(otherwise) {
    const ring = this.condition ? ringOf(this.condition) : null;
    this.fit(ring ? [boxOfRing(ring)] : otherwise);
  }

  drawing(ring) {
    this.data('drawing', ring.length ? outline(ring, false) : nothing);
  }

  view() {
    const box = this.gl.getBounds();
    return globeBox([box.getWest(), box.getSouth(), box.getEast(), box.getNorth()]);
  }

  /** Tiles below the hits; null takes them away. `above`: over the rasters, as a heat map is. */
  tiles(id, layer) {
    if (this.gl.getLayer(id)) this.gl.removeLayer(id);
    if (this.gl.getSource(id)) this.gl.removeSource(id);
    delete this.layers[id];
    if (layer) {
      this.layers[id] = layer;
      this.put(id, layer);
    }
  }

  put(id, { info, opacity = 1, above = false }) {
    const tiles = [new URL(info.tiles, document.baseURI).href.replaceAll('%7B', '{').replaceAll('%7D', '}')];
    this.gl.addSource(id, {
      type: 'raster', tiles, tileSize: 256, bounds: info.bounds, minzoom: info.min_zoom ?? 0, maxzoom: info.max_zoom,
    });
    const before = above || !this.gl.getLayer('heat') ? 'area' : 'heat';
    this.gl.addLayer({
      id, type: 'raster', source: id,
      paint: { 'raster-opacity': opacity, 'raster-fade-duration': calm() ? 0 : 200 },
    }, before);
  }

  opacity(id, value) {
    if (!this.layers[id]) return;
    this.layers[id].opacity = value;
    if (this.gl.getLayer(id)) this.gl.setPaintProperty(id, 'raster-opacity', value);
  }

  showPeaks(peaks) {
    for (const marker of this.peaks) marker.remove();
    this.peaks = peaks.map(({ lon, lat, score }, number) => new Marker({
      element: make('div', {
        class: 'pin peak', role: 'img', title: score.toFixed(3), 'aria-label': `Peak ${number + 1} of the heat map`,
      }, String(number + 1)),
    }).setLngLat([lon, lat]).addTo(this.gl));
  }
}
