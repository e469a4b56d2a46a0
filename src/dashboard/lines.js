// Lines over time: the small ones in the table, and the large ones of a job.

import { svg } from './dom.js';

/** The way along values, left to right, with a gap where there is none; and the same closed below. */
export function path(values, width, height, most) {
  const step = width / (values.length - 1);
  const scale = (height - 1.5) / (most || 1);
  let line = '';
  let area = '';
  let start = -1;
  const close = (end) => {
    if (start < 0) return;
    area += `V${height}H${(start * step).toFixed(1)}Z`;
    // A single value would be nothing to see.
    if (end === start) line += `h${Math.max(1.5, step / 2).toFixed(1)}`;
    start = -1;
  };
  values.forEach((value, at) => {
    if (Number.isNaN(value)) {
      close(at - 1);
      return;
    }
    const place = `${(at * step).toFixed(1)} ${(height - 0.75 - value * scale).toFixed(1)}`;
    if (start < 0) {
      start = at;
      line += `M${place}`;
      area += `M${place}`;
    } else {
      line += `L${place}`;
      area += `L${place}`;
    }
  });
  close(values.length - 1);
  return { line, area };
}

/** The largest of some values, and not less than `least`. */
export function largest(values, least) {
  let most = least;
  for (const value of values) if (value > most) most = value;
  return most;
}

const [WIDTH, HEIGHT] = [72, 20];

/** A small line, for `draw`. It says nothing that is not said beside it. */
export class Sparkline {
  constructor(kind, least) {
    this.least = least;
    this.line = svg('path', { class: 'line' });
    this.area = svg('path', { class: 'area' });
    const box = { class: `spark ${kind}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, 'aria-hidden': 'true' };
    this.element = svg('svg', box, this.area, this.line);
    this.drawn = '';
  }

  draw(values) {
    const { line, area } = path(values, WIDTH, HEIGHT, largest(values, this.least) * 1.05);
    if (line === this.drawn) return;
    this.drawn = line;
    this.line.setAttribute('d', line);
    this.area.setAttribute('d', area);
  }
}
