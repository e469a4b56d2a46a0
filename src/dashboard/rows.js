// One row of the table, which is made once and then kept as it is told.

import { h, iconButton, setAttribute, setState, setText, show, stateMark } from './dom.js';
import { bytes, percent, plural, span } from './format.js';
import { Sparkline } from './lines.js';
import { note, noteOfJob } from './listing.js';

/** Five minutes. */
const SPARK_STEPS = 60;

const cell = (name, ...children) => h('td', { class: name }, ...children);

/** A session: all its jobs are below it. */
class SessionRow {
  constructor(hands) {
    this.name = h('span', { class: 'session-name' });
    this.count = h('span', { class: 'session-count' });
    this.button = h('button', { type: 'button', class: 'fold', onclick: () => hands.toggle(this.row) }, this.name);
    this.line = h('div', { class: 'session-line' }, this.button, this.count);
    this.element = h('tr', { class: 'session' });
    this.focusable = [this.button];
  }

  show(row, { columns }) {
    this.row = row;
    if (this.columns !== columns) {
      this.columns = columns;
      // Of a cell that is there Chromium does not see that it is to be wider.
      this.element.replaceChildren(h('th', { scope: 'rowgroup', colspan: columns }, this.line));
    }
    setText(this.name, row.session);
    setAttribute(this.button, 'aria-expanded', String(!row.isFolded));
    // Nobody knows it of those whose node says nothing.
    const up = row.jobs.filter(({ job, node }) => node.state === 'open' && job.state === 'running').length;
    setText(this.count, `${plural(row.jobs.length, 'job')}, ${up} running`);
  }
}

/** A job, with what may be done with it; or one of its instances. */
class PlaceRow {
  constructor(hands, kind) {
    this.hands = hands;
    this.state = stateMark();
    this.fold = h('button', { type: 'button', class: 'fold-job', onclick: () => hands.toggle(this.row) });
    this.prefix = h('span', { class: 'prefix' });
    this.name = h('span', { class: 'name' });
    this.open = h('button', { type: 'button', class: 'open', onclick: () => hands.open(this.row) }, this.prefix, this.name);
    this.note = cell('note');
    // On a narrow screen it stands below the name.
    this.below = h('div', { class: 'note-below' });
    this.uptime = cell('uptime number');
    this.restarts = cell('restarts number');
    this.cpu = h('span', { class: 'value' });
    this.memory = h('span', { class: 'value' });
    this.cpuLine = new Sparkline('cpu', 5);
    this.memoryLine = new Sparkline('memory', 1);
    this.node = cell('node');
    this.actions = cell('actions');
    this.element = h(
      'tr',
      { class: kind },
      h('th', { scope: 'row', class: 'job-name' }, h('div', { class: 'name-line' }, this.fold, this.open), this.below),
      this.node,
      cell('state-cell', this.state.mark),
      this.note,
      this.uptime,
      this.restarts,
      cell('cpu number', h('div', { class: 'measure' }, this.cpuLine.element, this.cpu)),
      cell('memory number', h('div', { class: 'measure' }, this.memoryLine.element, this.memory)),
      this.actions,
    );
    this.focusable = [this.open, this.fold];
    if (kind === 'job') this.makeActions();
  }

  makeActions() {
    const act = (verb) => () => this.hands.act(verb, this.row);
    this.count = h('span', { class: 'count' });
    this.less = iconButton('less', 'One process fewer', act('less'));
    this.more = iconButton('more', 'One process more', act('more'));
    this.restart = iconButton('restart', 'Restart', act('restart'));
    this.start = iconButton('start', 'Start', act('start'));
    this.stop = iconButton('stop', 'Stop', act('stop'));
    this.buttons = [this.less, this.more, this.restart, this.start, this.stop];
    this.bar = h('div', { class: 'bar' }, h('span', { class: 'scale' }, this.less, this.count, this.more), this.restart, this.start, this.stop);
    this.actions.append(this.bar);
    this.focusable.push(...this.buttons);
  }

  show(row, view) {
    this.row = row;
    const { job, instance, node } = row;
    const now = node.now();
    // What counts on is not known of a node that says nothing.
    const isLive = node.state === 'open';
    const told = instance || job;
    const only = instance || (job.instances.length === 1 ? job.instances[0] : null);
    this.element.classList.toggle('stale', !isLive);
    setState(this.state, told.state);
    this.showName(row, view);
    const why = instance ? note(instance, isLive && now) : noteOfJob(job, isLive && now);
    setText(this.note, why);
    setAttribute(this.note, 'title', why || null);
    const since = instance ? instance.startedAt : job.startedAt;
    const uptime = since == null || !isLive ? '' : span(now - since);
    setText(this.uptime, uptime);
    const below = why || (uptime && `for ${uptime}`);
    setText(this.below, view.hasNodes ? [node.name, below].filter(Boolean).join(' · ') : below);
    setText(this.restarts, told.restarts ? String(told.restarts) : '');
    const series = only ? only.series : null;
    const value = (kind) => (series ? series.now && series.now[kind] : job.total(kind));
    setText(this.cpu, percent(value('cpu')));
    setText(this.memory, bytes(value('rss')));
    const from = series || job;
    this.cpuLine.draw(from.window('cpu', SPARK_STEPS, now));
    this.memoryLine.draw(from.window('rss', SPARK_STEPS, now));
    if (this.bar) this.showActions(job, view.hasNodes ? `${job.name} on ${node.name}` : job.name, isLive);
  }

  showName({ job, instance, node, several, isFolded }, { grouped, hasNodes }) {
    const on = hasNodes ? ` on ${node.name}` : '';
    show(this.fold, Boolean(several));
    if (several) {
      setAttribute(this.fold, 'aria-expanded', String(!isFolded));
      setAttribute(this.fold, 'aria-label', `${plural(job.instances.length, 'instance')} of ${job.name}${on}`);
    }
    setText(this.prefix, instance || grouped ? '' : `${job.session}.`);
    const label = instance ? (instance.once ? `one-off ${instance.pid}` : `#${instance.number}`) : job.label;
    setText(this.name, label);
    const whole = (instance ? `${job.name} ${label}` : job.name) + on;
    setAttribute(this.open, 'aria-label', whole);
    setAttribute(this.open, 'title', whole);
    show(this.node, hasNodes);
    if (hasNodes) setText(this.node, node.name);
  }

  showActions(job, name, isLive) {
    show(this.bar, job.may.manage);
    if (!job.may.manage) return;
    setText(this.count, String(job.target));
    const runs = isUp(job);
    show(this.start, !runs);
    show(this.stop, runs);
    // Its place is kept, so that the others stand below each other.
    this.restart.classList.toggle('off', !runs);
    this.buttons.forEach((button) => (button.disabled = !isLive));
    if (job.target === 0) this.less.disabled = true;
    const label = (button, text) => {
      setAttribute(button, 'aria-label', `${text} ${name}`);
    };
    label(this.start, 'Start');
    label(this.stop, 'Stop');
    label(this.restart, 'Restart');
    label(this.less, 'One process fewer of');
    label(this.more, 'One process more of');
  }
}

/** Whether a job runs, or tries to. */
export function isUp(job) {
  return job.running > 0 || ['running', 'starting', 'stopping', 'backoff', 'waiting'].includes(job.state);
}

export function makeRow(kind, hands) {
  return kind === 'session' ? new SessionRow(hands) : new PlaceRow(hands, kind);
}
