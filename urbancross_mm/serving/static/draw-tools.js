// The buttons that draw on the map.

import { byId } from './dom.js';
import { Draw } from './draw.js';

const HINTS = {
  box: 'Drag a box. Escape gives up.',
  polygon: 'Click the corners; Enter or a double click closes it. Escape gives up.',
};

export class DrawTools {
  /** `onArea(condition)` is called once an area is drawn. */
  constructor(map, onArea) {
    this.draw = new Draw(map.gl, {
      onChange: (ring) => map.drawing(ring),
      onDone: (area) => {
        this.show(null);
        if (area) onArea(area);
      },
    });
    for (const kind of Object.keys(HINTS)) byId(`draw-${kind}`).addEventListener('click', () => this.toggle(kind));
  }

  toggle(kind) {
    const start = this.draw.kind !== kind;
    if (start) this.draw.start(kind);
    else this.draw.stop();
    this.show(start ? kind : null);
  }

  show(kind) {
    for (const other of Object.keys(HINTS)) byId(`draw-${other}`).setAttribute('aria-pressed', String(kind === other));
    byId('hint').textContent = HINTS[kind] ?? '';
    byId('hint').hidden = !kind;
  }

  /** Without positions there is nothing to draw around. */
  offer(yes) {
    for (const kind of Object.keys(HINTS)) byId(`draw-${kind}`).hidden = !yes;
  }
}
