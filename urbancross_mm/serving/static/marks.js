// Which hits a visitor has marked as right or wrong.

import { byId } from './dom.js';

export class Marks {
  /** The marks that the query follows already. */
  start(state) {
    this.followed = { like: state.like, dislike: state.dislike };
    this.like = new Set(state.like);
    this.dislike = new Set(state.dislike);
  }

  toggle(id, kind) {
    this[kind === 'like' ? 'dislike' : 'like'].delete(id);
    if (!this[kind].delete(id)) this[kind].add(id);
    this.show();
  }

  /** As parts of the state. */
  lists() {
    return { like: [...this.like], dislike: [...this.dislike] };
  }

  show() {
    byId('marks').hidden = JSON.stringify(this.lists()) === JSON.stringify(this.followed);
    byId('marks-text').textContent = `${this.like.size} right, ${this.dislike.size} wrong`;
  }
}
