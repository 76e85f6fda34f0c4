// Drawing a box or a polygon on the map, and reading one back from a condition.

import { boxOfRing, globeBox, ringAround, turned } from './bounds.js';

const SNAP = 12; // pixels; a click this close to the first corner closes a polygon
const STILL = 4; // pixels; a smaller box is a click

export const boxCondition = ([west, south, east, north]) => `bbox=${[west, south, east, north].join(',')}`;

export function polygonCondition(ring) {
  const corners = turned(ring).map(([lon, lat]) => `${lon} ${lat}`);
  return `polygon=POLYGON((${[...corners, corners[0]].join(', ')}))`;
}

/** The numbers of a `bbox=` condition, or null. */
export function boxOf(condition) {
  const numbers = /^bbox=(.*)$/.exec(condition)?.[1].split(',').map(Number);
  return numbers?.length === 4 && numbers.every(Number.isFinite) ? numbers : null;
}

/** The outline of an area, `[[lon, lat], ...]`, or null. */
export function ringOf(condition) {
  const box = boxOf(condition);
  if (box) return ringAround(box);
  const text = /^polygon=POLYGON\s*\(\(([^()]*)\)\)$/.exec(condition)?.[1];
  const ring = text?.split(',').map((pair) => pair.trim().split(/\s+/).map(Number));
  return ring?.length > 3 && ring.flat().every(Number.isFinite) ? ring : null;
}

export class Draw {
  /** `onChange(ring)` follows what is being drawn; `onDone(condition)` gets '' when it was given up. */
  constructor(map, { onChange, onDone }) {
    Object.assign(this, { map, onChange, onDone, kind: null, points: [] });
    const canvas = map.getCanvasContainer();
    canvas.addEventListener('pointerdown', (event) => this.down(event));
    canvas.addEventListener('pointermove', (event) => this.moved(event));
    canvas.addEventListener('pointerup', (event) => this.up(event));
    map.on('dblclick', (event) => {
      if (this.kind !== 'polygon') return;
      event.preventDefault();
      this.finish();
    });
    document.addEventListener('keydown', (event) => this.key(event));
  }

  start(kind) {
    this.stop();
    this.kind = kind;
    this.map.dragPan.disable();
    this.map.boxZoom.disable();
    this.map.getCanvas().style.cursor = 'crosshair';
    this.map.getCanvasContainer().style.touchAction = 'none';
  }

  stop() {
    this.kind = null;
    this.points = [];
    this.map.dragPan.enable();
    this.map.boxZoom.enable();
    this.map.getCanvas().style.cursor = '';
    this.map.getCanvasContainer().style.touchAction = '';
    this.onChange([]);
  }

  at(event) {
    const frame = this.map.getCanvas().getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  lonLat(point) {
    const { lng, lat } = this.map.unproject(point);
    return [lng, lat];
  }

  down(event) {
    if (this.kind !== 'box' || event.button) return;
    this.from = this.at(event);
    event.target.setPointerCapture?.(event.pointerId);
  }

  moved(event) {
    if (this.kind === 'box' && this.from) this.onChange(this.corners(this.at(event)));
    if (this.kind === 'polygon' && this.points.length) {
      this.onChange([...this.points, this.lonLat(this.at(event))]);
    }
  }

  up(event) {
    if (this.kind === 'box' && this.from) this.closeBox(this.at(event));
    else if (this.kind === 'polygon' && !event.button) this.add(this.at(event));
  }

  closeBox(point) {
    const small = Math.hypot(point[0] - this.from[0], point[1] - this.from[1]) < STILL;
    const corners = this.corners(point);
    this.from = null;
    if (small) return;
    this.end(boxCondition(globeBox(boxOfRing(corners))));
  }

  corners(point) {
    const [a, b] = [this.lonLat(this.from), this.lonLat(point)];
    return [a, [b[0], a[1]], b, [a[0], b[1]]];
  }

  add(point) {
    const first = this.points[0] && this.map.project(this.points[0]);
    if (first && this.points.length > 2 && Math.hypot(first.x - point[0], first.y - point[1]) < SNAP) {
      this.finish();
      return;
    }
    const last = this.points.at(-1) && this.map.project(this.points.at(-1));
    if (last && Math.hypot(last.x - point[0], last.y - point[1]) < STILL) return; // of a double click
    this.points.push(this.lonLat(point));
    this.onChange(this.points);
  }

  key(event) {
    if (!this.kind) return;
    if (event.key === 'Escape') this.end('');
    if (event.key === 'Enter' && this.kind === 'polygon') this.finish();
    if (event.key === 'Backspace' && this.points.length) {
      this.points.pop();
      this.onChange(this.points);
    }
  }

  finish() {
    if (this.points.length > 2) this.end(polygonCondition(this.points));
  }

  end(condition) {
    this.stop();
    this.onDone(condition);
  }
}
