// The statistics of a job: ten minutes of what its instances use, each a line over time.

import { h, setText, svg } from './dom.js';
import { bytes, clock, percent } from './format.js';
import { largest, path } from './lines.js';
import { STEP, STEPS } from './model.js';

const [WIDTH, HEIGHT] = [560, 96];

const KINDS = [
  { kind: 'cpu', name: 'CPU', said: percent, least: 1 },
  { kind: 'rss', name: 'Memory', said: bytes, least: 1024 },
  { kind: 'fds', name: 'Descriptors', said: (count) => String(Math.round(count)), least: 4 },
  { kind: 'threads', name: 'Threads', said: (count) => String(Math.round(count)), least: 2 },
];

class Chart {
  constructor({ kind, name, said, least }, now) {
    Object.assign(this, { kind, said, least, now });
    this.value = h('span', { class: 'chart-value' });
    this.most = h('span', { class: 'chart-most' });
    this.line = svg('path', { class: 'line' });
    this.area = svg('path', { class: 'area' });
    this.cursor = svg('path', { class: 'cursor', d: '' });
    const grid = svg('path', { class: 'grid', d: `M0 .5H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}` });
    this.picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', class: kind, role: 'img' }, grid, this.area, this.line, this.cursor);
    this.picture.addEventListener('pointermove', (event) => this.point(event));
    this.picture.addEventListener('pointerleave', () => this.point(null));
    const head = h('figcaption', {}, h('span', {}, name), this.value, this.most);
    const times = h('div', { class: 'chart-times', 'aria-hidden': 'true' }, h('span', {}, '10 min ago'), h('span', {}, '5 min'), h('span', {}, 'now'));
    this.element = h('figure', { class: 'chart' }, head, this.picture, times);
    this.name = name;
  }

  /** Draws values, of which the last may not be there yet, and says what is so now. */
  draw(values, live) {
    const last = values.length - 1;
    if (Number.isNaN(values[last])) values[last] = values[last - 1];
    this.values = values;
    this.live = live;
    const most = largest(values, 0);
    const { line, area } = path(values, WIDTH, HEIGHT, Math.max(most, this.least) * 1.08);
    this.line.setAttribute('d', line);
    this.area.setAttribute('d', area);
    setText(this.most, `max ${this.said(most)}`);
    this.tell();
  }

  point(event) {
    this.at = null;
    if (event) {
      const { left, width } = this.picture.getBoundingClientRect();
      this.at = Math.min(STEPS - 1, Math.max(0, Math.round(((event.clientX - left) / width) * (STEPS - 1))));
    }
    const x = this.at == null ? 0 : (this.at * WIDTH) / (STEPS - 1);
    this.cursor.setAttribute('d', this.at == null ? '' : `M${x} 0V${HEIGHT}`);
    this.tell();
  }

  tell() {
    const at = this.at ?? STEPS - 1;
    const value = this.at == null ? this.live : this.values[at];
    const shown = value == null || Number.isNaN(value) ? '–' : this.said(value);
    const when = this.at == null ? '' : ` at ${clock(this.now() - (STEPS - 1 - at) * STEP)}`;
    setText(this.value, shown + when);
    this.picture.setAttribute('aria-label', `${this.name} over ten minutes, now ${shown}`);
  }
}

/** The tab. */
export class Statistics {
  constructor(node, job) {
    Object.assign(this, { node, job });
    this.charts = KINDS.map((kind) => new Chart(kind, () => node.now()));
    this.each = h('tbody', {});
    const head = ['Instance', 'Process', 'CPU', 'Memory', 'Descriptors', 'Threads'].map((name, at) => h('th', { scope: 'col', class: at > 0 ? 'number' : '' }, name));
    const table = h('table', { class: 'plain' }, h('caption', { class: 'hidden' }, 'Instances'), h('thead', {}, h('tr', {}, ...head)), this.each);
    this.element = h('div', { class: 'padded' }, h('div', { class: 'charts' }, ...this.charts.map((chart) => chart.element)), table);
    this.refresh();
  }

  refresh() {
    const now = this.node.now();
    this.charts.forEach((chart) => chart.draw(this.job.window(chart.kind, STEPS, now), this.job.total(chart.kind)));
    const rows = this.job.instances.slice(0, 200).map(({ number, once, osPid, series }) => {
      const value = (kind, said) => h('td', { class: 'number' }, series.now ? said(series.now[kind]) : '–');
      const name = once ? 'one-off' : `#${number}`;
      return h('tr', {}, h('th', { scope: 'row' }, name), h('td', { class: 'number' }, osPid == null ? '–' : String(osPid)), ...KINDS.map(({ kind, said }) => value(kind, said)));
    });
    this.each.replaceChildren(...rows);
  }

  end() {}
}
