// What a job writes: the last of it, what comes, and before that as far back as anything is kept.

import { pieces, plain } from './ansi.js';
import { h, icon, setText, show } from './dom.js';
import { exactly, moment } from './format.js';
import { Scroller } from './scroller.js';

/** Lines that are asked for at a time, and that are kept here at the most. */
const PAGE = 1000;
const MOST = 100_000;
/** A line longer than this is shown by its beginning. */
const LONGEST = 4000;
/** So much of a line that has no end yet is kept: what is shown of it, and more that is searched. */
const KEPT = 16 * LONGEST;

/** Fills an element with a line. */
export function drawLine(element, line) {
  const time = h('time', { title: moment(line.ts) }, exactly(line.ts));
  const from = h('span', { class: 'from' }, line.several ? `#${line.instance}` : '');
  const text = h('span', { class: 'text' }, ...textOf(line));
  element.className = `entry${line.fd === 2 ? ' err' : ''}${line.mark ? ' mark' : ''}`;
  element.replaceChildren(time, from, text);
}

/** The text of a line in its colours. What stands behind the last return is what a terminal would show. */
export function textOf(line) {
  const whole = line.text.slice(line.text.lastIndexOf('\r') + 1);
  const shown = pieces(whole.slice(0, LONGEST)).map(({ text, name }) => (name ? h('span', { class: name }, text) : text));
  if (whole.length > LONGEST) shown.push(h('span', { class: 'cut' }, ' … this line is longer than a page shows; Download has all of it'));
  return shown;
}

/** The lines of a job, from over HTTP and as they come. */
export class Lines {
  constructor(node, job, told) {
    Object.assign(this, { node, job, told });
    this.wish = { instance: '', stream: '', grep: '' };
    this.round = 0;
  }

  query(more) {
    const { stream, grep } = this.wish;
    const query = new URLSearchParams({ form: 'json', ...more });
    if (stream) query.set('stream', stream);
    if (grep) query.set('grep', grep);
    return query;
  }

  place() {
    const [session, label] = [this.job.session, this.job.label].map(encodeURIComponent);
    return `logs/${session}/${label}${this.wish.instance ? `/${this.wish.instance}` : ''}`;
  }

  /** Reads some lines; where the answer refuses, says why. */
  async read(more) {
    const answer = await this.node.channel.fetch(`${this.place()}?${this.query(more)}`);
    if (answer.status === 404) return { lines: [], seq: 0 };
    if (!answer.ok) {
      const told = await answer.json().catch(() => ({}));
      throw new Error(told.reason || told.detail || answer.statusText);
    }
    const seq = Number(answer.headers.get('Gaffer-Seq') || 0);
    const lines = (await answer.text()).split('\n').filter(Boolean).map((text) => JSON.parse(text));
    return { lines: lines.map((line) => this.item(line, line.line ?? null)).filter(Boolean), seq };
  }

  item({ ts, fd, instance, pid, lost, stream }, text) {
    if (lost) return { ts: this.node.now(), text: `… ${lost} bytes are kept no more …`, mark: true };
    if (text === null) return null;
    return { ts, fd: fd || 1, instance, pid, stream, text, several: this.job.instances.length > 1 && !this.wish.instance };
  }

  /** Begins anew with what is wished now. */
  async begin() {
    this.end();
    const { round } = this;
    this.items = [];
    this.open = new Map();
    this.isWhole = false;
    this.isFull = false;
    this.isReading = true;
    this.told.loading(true);
    try {
      const { lines, seq } = await this.read({ tail: PAGE });
      if (round !== this.round) return;
      this.items = lines;
      this.isWhole = lines.length < PAGE;
      this.told.all();
      this.follow(seq);
    } catch (failure) {
      if (round === this.round) this.told.failed(failure.message);
    } finally {
      if (round === this.round) {
        this.isReading = false;
        this.told.loading(false);
      }
    }
  }

  /** Goes on behind what was read. */
  follow(seq) {
    const topic = `LOGS:${this.job.name}${this.wish.instance ? `:${this.wish.instance}` : ''}`;
    let pattern = null;
    try {
      pattern = this.wish.grep ? new RegExp(this.wish.grep) : null;
    } catch {
      // The node knows patterns that browsers do not: what comes is not held against it.
      return;
    }
    this.last = seq;
    this.matches = (text) => !pattern || pattern.test(plain(text));
    const lagged = (lost) => this.add([{ ts: this.node.now(), text: `… ${lost} bytes were not told …`, mark: true }]);
    const heard = (message) => (message.event === 'log' ? this.take(message) : this.close(message));
    const refused = (why) => this.told.failed(`What it writes from now on is not told: ${why}.`);
    this.stop = this.node.channel.follow(topic, { since: seq }, heard, { lagged, refused });
  }

  /** Output comes in pieces that end anywhere. What has no end yet is shown, and goes on when more comes. */
  take(message) {
    const { fd, pid, stream, data, seq } = message;
    // After a break a little may come once more.
    if (seq <= this.last) return;
    this.last = seq;
    if (this.wish.stream && this.wish.stream !== (fd === 2 ? 'err' : 'out')) return;
    const key = `${pid} ${stream}`;
    const texts = data.split('\n');
    const rest = texts.pop();
    const added = [];
    texts.forEach((text, at) => {
      const begun = at === 0 && this.open.get(key);
      if (begun) {
        begun.text = ended(joined(begun.text, text));
        this.open.delete(key);
        if (!begun.isShown && this.matches(begun.text)) added.push(begun);
      } else if (this.matches(text)) {
        added.push(this.item(message, ended(text)));
      }
    });
    if (rest) {
      const begun = this.open.get(key);
      if (begun) {
        begun.text = joined(begun.text, rest);
      } else {
        const line = this.item(message, joined('', rest));
        this.open.set(key, line);
        if (!this.wish.grep) {
          line.isShown = true;
          added.push(line);
        }
      }
    }
    this.add(added);
  }

  /** A run is over: what of it has no end gets none any more. */
  close({ pid }) {
    for (const key of this.open.keys()) if (key.startsWith(`${pid} `)) this.open.delete(key);
  }

  add(lines) {
    this.items.push(...lines);
    const over = this.items.length - MOST;
    // Not one by one, as all that stay move up each time.
    const dropped = over > 0 ? over + PAGE : 0;
    if (dropped) {
      this.items.splice(0, dropped);
      this.isWhole = false;
      this.isFull = true;
    }
    this.told.grew(dropped);
  }

  /**
   * Reads the lines before the first one. A time is told to the millisecond, which thousands of lines may share: so some
   * are asked for again that are here, and what lies before those is new.
   */
  async before() {
    const skipped = this.items.findIndex((line) => !line.mark);
    if (this.isReading || this.isWhole || skipped < 0 || this.isFull) return;
    this.isReading = true;
    const { round } = this;
    try {
      const first = this.items[skipped].ts;
      const later = this.items.findIndex((line, at) => at > skipped && line.ts >= first + 0.003);
      const known = this.items.slice(skipped, later < 0 ? this.items.length : later);
      const tail = PAGE + known.length;
      const { lines } = await this.read({ tail, until: (first + 0.002).toFixed(3) });
      if (round !== this.round) return;
      const older = beforeThose(lines, known);
      this.isWhole = lines.length < tail || !older.length;
      // What was said there of lines that are kept no more is said again before older ones.
      this.items = older.length ? older.concat(this.items.slice(skipped)) : this.items;
      this.isFull = this.items.length >= MOST;
      this.told.grewBefore(older.length && older.length - skipped);
    } catch {
      this.isWhole = true;
    } finally {
      if (round === this.round) this.isReading = false;
    }
  }

  /** What is still read is for nobody any more, and nothing is followed behind it. */
  end() {
    this.round += 1;
    if (this.stop) this.stop();
    this.stop = null;
  }
}

/** Of lines that end among others those before the others: as many as can be are taken for the same. */
function beforeThose(lines, known) {
  for (let count = Math.min(lines.length, known.length); count > 0; count -= 1) {
    const start = lines.length - count;
    let at = 0;
    while (at < count && isSame(lines[start + at], known[at])) at += 1;
    if (at === count) return lines.slice(0, start);
  }
  return lines.filter(({ ts, mark }) => !mark && ts < known[0].ts);
}

/** Whether two lines are one that was told twice: as it came, a time is told with more digits. */
function isSame(one, other) {
  const isNear = one.mark || Math.abs(one.ts - other.ts) < 0.0015;
  return isNear && one.text === other.text && one.pid === other.pid && one.stream === other.stream && one.instance === other.instance;
}

/** A line with more of it, as far as it is kept; that it is cut shows where it is drawn. */
function joined(text, more) {
  return text.length < KEPT ? (text + more).slice(0, KEPT) : text;
}

function ended(text) {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

/** The tab. */
export class Output {
  constructor(node, job, wish = {}) {
    this.job = job;
    this.lines = new Lines(node, job, {
      all: () => this.all(),
      grew: (dropped) => this.grew(dropped),
      grewBefore: (count) => {
        this.scroller.grewBefore(count, this.lines.items);
        this.count();
      },
      failed: (text) => this.fail(text),
      loading: (is) => this.element.setAttribute('aria-busy', String(is)),
    });
    Object.assign(this.lines.wish, wish);
    this.scroller = new Scroller(`Output of ${job.name}`, drawLine, {
      top: () => this.lines.before(),
      moved: (atEnd) => show(this.jump, !atEnd),
    });
    this.makeTools(wish);
    this.empty = h('p', { class: 'empty', hidden: true });
    this.held = h('p', { class: 'facts held', hidden: true }, 'This page holds the last 100,000 lines. Search and Download reach further back.');
    this.error = h('p', { class: 'error', role: 'alert', hidden: true });
    this.jump = h('button', { type: 'button', class: 'jump primary', hidden: true, onclick: () => this.scroller.toEnd() }, icon('down'), 'Latest');
    this.element = h('div', { class: 'output' }, this.tools, this.error, this.held, h('div', { class: 'scroller-box' }, this.scroller.element, this.empty, this.jump));
    this.lines.begin();
  }

  makeTools({ instance = '' }) {
    const anew = () => this.anew();
    this.search = h('input', { type: 'search', placeholder: 'Search (regex)', 'aria-label': 'Search the output', spellcheck: 'false', autocomplete: 'off' });
    this.search.addEventListener('input', () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(anew, 350);
    });
    this.search.addEventListener('keydown', (event) => event.key === 'Enter' && anew());
    const option = (value, text) => h('option', { value, selected: value === instance }, text);
    this.stream = h('select', { 'aria-label': 'Stream', onchange: anew }, option('', 'out and err'), option('out', 'out'), option('err', 'err'));
    const numbers = this.job.instances.filter((one) => !one.once).map((one) => String(one.number));
    this.instance = h('select', { 'aria-label': 'Instance', onchange: anew, hidden: numbers.length < 2 }, option('', 'all instances'), ...numbers.map((number) => option(number, `#${number}`)));
    const times = h('input', { type: 'checkbox', checked: true });
    times.addEventListener('change', () => this.element.classList.toggle('without-times', !times.checked));
    this.found = h('span', { class: 'found', role: 'status' });
    const save = h('button', { type: 'button', class: 'with-icon', onclick: () => this.save() }, icon('save'), 'Download');
    this.tools = h('div', { class: 'output-tools' }, this.search, this.stream, this.instance, h('label', { class: 'check' }, times, 'Times'), this.found, save);
  }

  anew() {
    clearTimeout(this.timer);
    const wish = { grep: this.search.value, stream: this.stream.value, instance: this.instance.value };
    if (JSON.stringify(wish) === JSON.stringify(this.lines.wish)) return;
    this.lines.wish = wish;
    show(this.error, false);
    this.lines.begin();
  }

  all() {
    this.scroller.set(this.lines.items);
    show(this.jump, false);
    this.count();
  }

  grew(dropped) {
    this.scroller.grew(dropped);
    this.count();
  }

  count() {
    const { items, wish, isWhole, isFull } = this.lines;
    const count = `${items.length}${isWhole ? '' : '+'}`;
    setText(this.found, wish.grep ? `${count} ${count === '1' ? 'match' : 'matches'}` : '');
    setText(this.empty, wish.grep ? 'Nothing matches.' : 'Nothing was written yet.');
    show(this.empty, !items.length);
    show(this.held, !isWhole && isFull);
  }

  fail(text) {
    setText(this.error, text);
    show(this.error, true);
  }

  /** All that is kept, as it was written. A key is said in the head of a request, so a plain link would not do. */
  async save() {
    const query = this.lines.query({});
    query.delete('form');
    const answer = await this.lines.node.channel.fetch(`${this.lines.place()}?${query}`);
    if (!answer.ok) {
      this.fail('There is nothing to download.');
      return;
    }
    const url = URL.createObjectURL(await answer.blob());
    h('a', { href: url, download: `${this.job.name}.log` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  end() {
    clearTimeout(this.timer);
    this.lines.end();
    this.scroller.end();
  }
}
