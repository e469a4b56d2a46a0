// The table. However many rows there are, only those that are seen are there, with room above and below them; a row that
// stays is told what is new and not made again.

import { byId, h, setAttribute, show } from './dom.js';
import { LARGEST, listing, toggle } from './listing.js';
import { makeRow } from './rows.js';

/** Rows above and below what is seen. */
const SPARE = 6;

const COLUMNS = [
  ['name', 'Job', 'job-name'],
  ['node', 'Node', 'node'],
  ['state', 'State', 'state-cell'],
  ['note', 'Note', 'note'],
  ['uptime', 'Uptime', 'uptime number'],
  ['restarts', 'Restarts', 'restarts number'],
  ['cpu', 'CPU', 'cpu number'],
  ['memory', 'Memory', 'memory number'],
  [null, 'Actions', 'actions'],
];

export class Table {
  constructor(wish, hands) {
    this.wish = wish;
    this.hands = { ...hands, toggle: (row) => this.toggle(row) };
    this.box = byId('table');
    this.body = byId('rows');
    this.above = h('tr', { class: 'room', 'aria-hidden': 'true' });
    this.below = h('tr', { class: 'room', 'aria-hidden': 'true' });
    this.body.append(this.above, this.below);
    this.made = new Map();
    this.rows = [];
    this.current = null;
    this.makeHead();
    this.box.addEventListener('scroll', () => this.paint(), { passive: true });
    this.body.addEventListener('focusin', ({ target }) => {
      const row = target.closest('tr');
      if (row && row.key) this.setCurrent(row.key);
    });
    new ResizeObserver(() => this.resized()).observe(this.box);
  }

  makeHead() {
    this.heads = COLUMNS.map(([sort, label, name]) => {
      const text = sort ? h('button', { type: 'button', onclick: () => this.sortBy(sort) }, label) : h('span', { class: 'hidden' }, label);
      const head = h('th', { scope: 'col', class: name }, text);
      head.sort = sort;
      return head;
    });
    byId('columns').append(...this.heads);
  }

  sortBy(column) {
    this.wish.down = this.wish.sort === column && !this.wish.down;
    this.wish.sort = column;
    this.hands.wished();
  }

  toggle(row) {
    toggle(row, this.wish);
    this.hands.wished();
  }

  /** Shows these nodes as they are now; where there are others, each row says of which it is. */
  show(nodes, hasNodes) {
    this.hasNodes = hasNodes;
    this.rows = listing(nodes, this.wish);
    this.seen = 0;
    for (const head of this.heads) {
      if (head.sort === 'node') show(head, hasNodes);
      const isSorted = head.sort && head.sort === this.wish.sort;
      setAttribute(head, 'aria-sort', isSorted ? (this.wish.down !== LARGEST.has(head.sort) ? 'descending' : 'ascending') : null);
    }
    setAttribute(this.box.firstElementChild, 'aria-rowcount', String(this.rows.length + 1));
    this.paint();
  }

  height() {
    if (!this.rowHeight) {
      const said = getComputedStyle(this.box).getPropertyValue('--row');
      this.rowHeight = parseFloat(said) || 40;
    }
    return this.rowHeight;
  }

  /** How many columns are seen: a narrow table has fewer. */
  columns() {
    if (!this.seen) this.seen = this.heads.filter((head) => head.getClientRects().length).length;
    return this.seen;
  }

  /** The layout may be another one. */
  resized() {
    this.rowHeight = this.seen = 0;
    this.paint();
  }

  paint() {
    const height = this.height();
    const most = this.rows.length;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - SPARE);
    const last = Math.min(most, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + SPARE);
    const view = { grouped: this.wish.grouped, hasNodes: this.hasNodes, columns: this.columns() };
    const gone = new Map(this.made);
    let before = this.above;
    for (let at = first; at < last; at += 1) {
      const row = this.rows[at];
      gone.delete(row.key);
      const made = this.rowFor(row);
      made.show(row, view);
      setAttribute(made.element, 'aria-rowindex', String(at + 2));
      if (before.nextElementSibling !== made.element) before.after(made.element);
      before = made.element;
    }
    for (const [key, made] of gone) {
      made.element.remove();
      this.made.delete(key);
    }
    this.above.style.height = `${first * height}px`;
    this.below.style.height = `${(most - last) * height}px`;
    show(this.above, first > 0);
    show(this.below, last < most);
    if (!this.made.has(this.current) && first < last) this.setCurrent(this.rows[first].key);
  }

  rowFor(row) {
    const known = this.made.get(row.key);
    if (known) return known;
    const made = makeRow(row.kind, this.hands);
    made.element.key = row.key;
    this.reach(made, row.key === this.current);
    this.made.set(row.key, made);
    return made;
  }

  /** Of all rows the Tab key reaches the current one alone. */
  reach(made, is) {
    made.focusable.forEach((element) => (element.tabIndex = is ? 0 : -1));
  }

  setCurrent(key) {
    if (this.current === key) return;
    const [before, after] = [this.made.get(this.current), this.made.get(key)];
    if (before) this.reach(before, false);
    if (after) this.reach(after, true);
    this.current = key;
  }

  /** Moves by so many rows and goes there. */
  move(by) {
    const at = this.rows.findIndex((row) => row.key === this.current);
    this.goTo(at < 0 ? 0 : at + by);
  }

  goTo(at) {
    if (!this.rows.length) return;
    const index = Math.min(this.rows.length - 1, Math.max(0, at));
    const [height, head] = [this.height(), this.body.previousElementSibling.offsetHeight];
    const [top, seen] = [index * height, this.box.clientHeight - head];
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + height > this.box.scrollTop + seen) this.box.scrollTop = top + height - seen;
    this.paint();
    const { key } = this.rows[index];
    this.setCurrent(key);
    this.made.get(key).focusable[0].focus({ preventScroll: true });
  }

  /** Marks the row of what is open. */
  mark(key) {
    if (this.marked) setAttribute(this.marked, 'aria-current', null);
    const made = this.made.get(key);
    this.marked = made ? made.element : null;
    if (made) setAttribute(made.element, 'aria-current', 'true');
  }
}
