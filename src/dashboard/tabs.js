// The smaller tabs of a job: how its runs ended, how it is configured, which processes there are, and a line to write
// to one.

import { ask } from './dialogs.js';
import { h, setText, show } from './dom.js';
import { bytes, duration, moment } from './format.js';
import { Lines, drawLine, textOf } from './output.js';
import { Scroller } from './scroller.js';

/** What a tab reads takes a moment, and may not be had. */
function told(element, reading, shown) {
  element.setAttribute('aria-busy', 'true');
  return reading.then(
    (value) => {
      element.setAttribute('aria-busy', 'false');
      element.replaceChildren(...shown(value));
    },
    (failure) => {
      element.setAttribute('aria-busy', 'false');
      element.replaceChildren(h('p', { class: 'error', role: 'alert' }, failure.message));
    },
  );
}

export class Deaths {
  constructor(node, job) {
    Object.assign(this, { node, job });
    this.element = h('div', { class: 'padded' });
    this.refresh();
  }

  refresh() {
    if (this.seen === this.job.deaths) return;
    this.seen = this.job.deaths;
    const none = h('p', { class: 'empty' }, 'No run of this job has ended.');
    told(this.element, this.node.channel.command('deaths', [this.job.name]), ({ deaths }) => (deaths.length ? deaths.map((one) => this.death(one)) : [none]));
  }

  death(one) {
    const mood = one.planned || one.success ? 'calm' : 'bad';
    const used = one.rusage;
    const facts = [
      `ran ${duration(one.ran)}`,
      one.os_pid && `process ${one.os_pid}`,
      used && `CPU ${duration(used.user + used.system)}`,
      used && `memory ${used.max_rss_is_bound ? 'under ' : 'up to '}${bytes(used.max_rss)}`,
    ];
    const place = one.once ? 'one-off' : `#${one.instance}`;
    const head = h('div', { class: 'death-head' }, h('b', { class: mood }, one.words), h('span', {}, place), h('time', {}, moment(one.ended_at)));
    const lines = one.last_lines.map((text) => h('div', {}, ...textOf({ text })));
    const words = lines.length > 0 && h('pre', { class: 'words', tabindex: '0', 'aria-label': 'Last words' }, ...lines);
    const nothing = /no gafferd/.test(one.words) ? 'What it wrote last is not known here; see Output.' : 'It wrote nothing.';
    return h('article', { class: `death ${mood}` }, head, h('p', { class: 'facts' }, facts.filter(Boolean).join(' · ')), words || h('p', { class: 'facts' }, nothing));
  }

  end() {}
}

export class Configuration {
  constructor(node, job) {
    this.element = h('div', { class: 'padded' });
    told(this.element, node.channel.command('info', [job.name]), ({ info }) => this.shown(info));
  }

  shown({ config, source, origin, desired }) {
    const from = source ? `From ${source}` : origin === 'api' ? 'Loaded over the API' : 'From a file';
    const { env, name, ...rest } = config;
    const row = (key, value) => h('tr', {}, h('th', { scope: 'row' }, key), h('td', {}, typeof value === 'string' ? value : JSON.stringify(value)));
    const table = (caption, rows) => h('table', { class: 'plain config' }, h('caption', {}, caption), h('tbody', {}, ...rows));
    const text = JSON.stringify(config, null, 2);
    const copy = h('button', { type: 'button' }, 'Copy as JSON');
    copy.addEventListener('click', async () => {
      await navigator.clipboard.writeText(text);
      setText(copy, 'Copied');
    });
    const options = Object.entries(rest).map(([key, value]) => row(key, value));
    const variables = Object.entries(env || {}).map(([key, value]) => row(key, value));
    return [
      h('p', { class: 'facts' }, `${from}; wanted ${desired === 'up' ? 'up' : 'down'}.`),
      table('Options', [row('name', name), ...options]),
      variables.length > 0 && table('Environment', variables),
      navigator.clipboard ? copy : '',
    ].filter(Boolean);
  }

  refresh() {}

  end() {}
}

const STATES = { R: 'running', S: 'sleeping', D: 'waiting for the disk', Z: 'zombie', T: 'stopped', t: 'traced', I: 'idle' };

export class Tree {
  constructor(node, job) {
    Object.assign(this, { node, job });
    this.element = h('div', { class: 'padded' });
    this.refresh();
  }

  /** Every two seconds at the most. */
  refresh() {
    if (this.isBusy || performance.now() - this.asked < 2000) return;
    this.asked = performance.now();
    this.isBusy = true;
    this.read().finally(() => (this.isBusy = false));
  }

  read() {
    const live = this.job.instances.filter((one) => one.pid != null).slice(0, 50);
    const trees = live.map(async (one) => {
      const answer = await this.node.channel.fetch(`${one.pid}/tree`);
      return { one, processes: answer.ok ? (await answer.json()).processes : [] };
    });
    const none = h('p', { class: 'empty' }, 'No process runs.');
    return told(this.element, Promise.all(trees), (all) => (all.length ? [this.table(all)] : [none]));
  }

  table(all) {
    const rows = all.flatMap(({ one, processes }) => {
      const depths = new Map();
      return processes.map((process, at) => {
        const depth = depths.has(process.parent) ? depths.get(process.parent) + 1 : 0;
        depths.set(process.os_pid, depth);
        const name = h('span', { class: `depth d${Math.min(depth, 8)}` }, process.name);
        const cells = [String(process.os_pid), bytes(process.rss), STATES[process.state] || process.state];
        const place = at > 0 ? '' : one.once ? 'one-off' : `#${one.number}`;
        return h('tr', {}, h('td', {}, place), h('th', { scope: 'row' }, name), ...cells.map((text, column) => h('td', { class: column < 2 ? 'number' : '' }, text)));
      });
    });
    const head = ['Instance', 'Program', 'Process', 'Memory', 'State'].map((name, at) => h('th', { scope: 'col', class: at === 2 || at === 3 ? 'number' : '' }, name));
    return h('table', { class: 'plain tree' }, h('caption', { class: 'hidden' }, 'Processes'), h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows));
  }

  end() {}
}

export class Console {
  constructor(node, job, say) {
    Object.assign(this, { node, job, say });
    this.past = [];
    this.scroller = new Scroller(`Output of ${job.name}`, drawLine, { top() {}, moved() {} });
    const noop = () => {};
    this.lines = new Lines(node, job, {
      all: () => this.scroller.set(this.lines.items),
      grew: (dropped) => this.scroller.grew(dropped),
      grewBefore: noop,
      failed: (text) => say(`${job.name}: ${text}`, true),
      loading: noop,
    });
    this.input = h('input', { type: 'text', 'aria-label': `Write to ${job.name}`, placeholder: 'Write a line, Enter sends it', autocomplete: 'off', spellcheck: 'false' });
    this.input.addEventListener('keydown', (event) => this.pressed(event));
    this.whom = h('select', { 'aria-label': 'Instance' });
    const end = h('button', { type: 'button', onclick: () => this.close() }, 'End of input');
    this.bar = h('div', { class: 'console-bar' }, this.whom, this.input, end);
    this.why = h('p', { class: 'empty', hidden: true }, 'This job takes no input: its configuration does not say redirect_input.');
    this.element = h('div', { class: 'output' }, h('div', { class: 'scroller-box' }, this.scroller.element), this.why, this.bar);
    node.channel.command('info', [job.name]).then(({ info }) => {
      show(this.bar, Boolean(info.config.redirect_input));
      show(this.why, !info.config.redirect_input);
    }, noop);
    this.lines.begin();
    this.refresh();
  }

  refresh() {
    const live = this.job.instances.filter((one) => one.pid != null);
    const names = live.map((one) => `${one.pid}`).join();
    if (names === this.names) return;
    this.names = names;
    const chosen = this.whom.value;
    this.whom.replaceChildren(...live.map((one) => h('option', { value: String(one.pid) }, one.once ? `one-off ${one.pid}` : `#${one.number}`)));
    if (live.some((one) => String(one.pid) === chosen)) this.whom.value = chosen;
    show(this.whom, live.length > 1);
    this.input.disabled = live.length === 0;
  }

  async pressed(event) {
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault();
      this.at = Math.min(this.past.length, Math.max(0, (this.at ?? this.past.length) + (event.key === 'ArrowUp' ? -1 : 1)));
      this.input.value = this.past[this.at] ?? '';
      return;
    }
    if (event.key !== 'Enter') return;
    const line = this.input.value;
    this.input.value = '';
    this.past.push(line);
    this.at = this.past.length;
    try {
      await this.node.channel.command('send', [Number(this.whom.value), `${line}\n`]);
    } catch (failure) {
      this.say(`${this.job.name}: ${failure.message}`, true);
    }
  }

  async close() {
    const text = 'The process is told that nothing more comes. Most programs that read end then.';
    if (!(await ask({ title: 'End its input?', text, verb: 'End of input', isDangerous: true }))) return;
    this.node.channel.command('close_stdin', [Number(this.whom.value)]).catch((failure) => this.say(failure.message, true));
  }

  end() {
    this.lines.end();
    this.scroller.end();
  }
}
