// A list of lines of one height, of which only those that are seen are there. It stays at its end while it is there,
// and where it is when lines come before it.

import { h } from './dom.js';

const SPARE = 12;

export class Scroller {
  /** `draw(element, item)` fills an element with a line. `told` has `top()`, when the first lines are seen, and
   * `moved(atEnd)`. */
  constructor(label, draw, told) {
    this.draw = draw;
    this.told = told;
    this.items = [];
    this.made = new Map();
    this.room = h('div', { class: 'room' });
    this.sheet = h('div', { class: 'sheet' });
    this.element = h('div', { class: 'scroller', tabindex: '0', role: 'log', 'aria-label': label, 'aria-live': 'off' }, this.room, this.sheet);
    this.atEnd = true;
    this.element.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.watcher = new ResizeObserver(() => this.resized());
    this.watcher.observe(this.element);
  }

  height() {
    if (!this.lineHeight) this.lineHeight = parseFloat(getComputedStyle(this.element).lineHeight) || 18;
    return this.lineHeight;
  }

  /** All lines are others. */
  set(items) {
    this.items = items;
    this.made.forEach(({ element }) => element.remove());
    this.made.clear();
    this.atEnd = true;
    this.later();
  }

  /** Lines came to the end, or the last one was changed; `dropped` are gone from the beginning. */
  grew(dropped = 0) {
    if (dropped) {
      const kept = new Map();
      this.made.forEach((made, at) => (at >= dropped ? kept.set(at - dropped, made) : made.element.remove()));
      this.made = kept;
      if (!this.atEnd) this.element.scrollTop -= dropped * this.height();
    }
    this.later();
  }

  /** So many lines came before the first, and these are all now. */
  grewBefore(count, items) {
    this.items = items;
    this.made = new Map([...this.made].map(([at, made]) => [at + count, made]));
    this.size();
    this.element.scrollTop += count * this.height();
    this.paint();
  }

  toEnd() {
    this.atEnd = true;
    this.paint();
    this.told.moved(true);
  }

  later() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.paint();
    });
  }

  resized() {
    this.lineHeight = 0;
    this.paint();
  }

  scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    const atEnd = scrollTop + clientHeight >= scrollHeight - this.height() * 1.5;
    if (atEnd !== this.atEnd) {
      this.atEnd = atEnd;
      this.told.moved(atEnd);
    }
    if (scrollTop < clientHeight && !atEnd) this.told.top();
    this.paint();
  }

  size() {
    this.room.style.height = `${this.items.length * this.height()}px`;
  }

  paint() {
    const height = this.height();
    this.size();
    if (this.atEnd) this.element.scrollTop = this.element.scrollHeight;
    const { scrollTop, clientHeight } = this.element;
    if (!clientHeight) return;
    const first = Math.max(0, Math.floor(scrollTop / height) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / height) + SPARE);
    for (const [at, { element }] of this.made) {
      if (at >= first && at < last) continue;
      element.remove();
      this.made.delete(at);
    }
    let before = null;
    for (let at = first; at < last; at += 1) {
      const item = this.items[at];
      let made = this.made.get(at);
      if (!made) {
        made = { element: h('div', { class: 'entry' }), item: null, text: null };
        this.made.set(at, made);
      }
      if (made.item !== item || made.text !== item.text) {
        this.draw(made.element, item);
        made.item = item;
        made.text = item.text;
      }
      const next = before ? before.nextSibling : this.sheet.firstChild;
      if (next !== made.element) this.sheet.insertBefore(made.element, next);
      before = made.element;
    }
    this.sheet.style.transform = `translateY(${first * height}px)`;
  }

  /** What is drawn is to look otherwise. */
  redraw() {
    this.made.forEach((made) => (made.item = null));
    this.paint();
  }

  end() {
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
  }
}
