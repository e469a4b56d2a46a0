// What there is of one job, beside the table: what it is, what may be done with it, and a tab for each thing to know.

import { Statistics } from './charts.js';
import { byId, h, iconButton, setState, setText, show, stateMark } from './dom.js';
import { span } from './format.js';
import { noteOfJob } from './listing.js';
import { Output } from './output.js';
import { isUp } from './rows.js';
import { Configuration, Console, Deaths, Tree } from './tabs.js';

const TABS = [
  ['output', 'Output', (node, job, { instance }) => new Output(node, job, { instance })],
  ['statistics', 'Statistics', (node, job) => new Statistics(node, job)],
  ['deaths', 'Deaths', (node, job) => new Deaths(node, job)],
  ['configuration', 'Configuration', (node, job) => new Configuration(node, job)],
  ['tree', 'Processes', (node, job) => new Tree(node, job)],
  ['console', 'Console', (node, job, { say }) => new Console(node, job, say)],
];

export class Drawer {
  /** `act(verb, row)`, `say(text, isError)` and `closed()`. */
  constructor(hands) {
    this.hands = hands;
    this.element = byId('drawer');
    this.row = null;
    this.tab = 'output';
  }

  get isOpen() {
    return this.row !== null;
  }

  /** Opens what a row of the table stands for, at a tab. */
  open(row, tab = this.tab) {
    this.leave();
    this.row = row;
    this.job = row.job;
    this.make();
    show(this.element, true);
    document.body.classList.add('with-drawer');
    // An address may name a tab that there is not, or not for this key.
    this.turn(this.tabs.has(tab) ? tab : 'output');
    this.refresh();
    this.tabs.get(this.tab).focus();
  }

  close() {
    this.leave();
    this.row = null;
    show(this.element, false);
    document.body.classList.remove('with-drawer');
    this.hands.closed();
  }

  leave() {
    if (this.content) this.content.end();
    this.content = null;
  }

  make() {
    const { job, instance, node } = this.row;
    this.mark = stateMark();
    this.note = h('p', { class: 'drawer-note' });
    const title = h('h2', { id: 'drawer-title' }, job.name, instance ? h('span', { class: 'prefix' }, instance.once ? ' one-off' : ` #${instance.number}`) : '', node.isOneOfMany ? h('span', { class: 'prefix' }, ` on ${node.name}`) : '');
    const close = iconButton('close', 'Close', () => this.close());
    this.since = h('span', { class: 'soft' });
    this.makeActions();
    this.tabs = new Map();
    const bar = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'About this job' });
    for (const [id, name] of TABS) {
      if (id === 'console' && !job.may.write) continue;
      const tab = h('button', { type: 'button', role: 'tab', id: `tab-${id}`, 'aria-controls': 'panel', onclick: () => this.turn(id) }, name);
      this.tabs.set(id, tab);
      bar.append(tab);
    }
    bar.addEventListener('keydown', (event) => this.step(event));
    this.panel = h('div', { id: 'panel', role: 'tabpanel', tabindex: '0' });
    const head = h('div', { class: 'drawer-head' }, h('div', { class: 'drawer-line' }, title, this.mark.mark, this.since, close), this.note, this.bar);
    this.element.setAttribute('aria-labelledby', 'drawer-title');
    this.element.replaceChildren(head, bar, this.panel);
  }

  makeActions() {
    const { job, instance } = this.row;
    const button = (verb, text, kind = '') => h('button', { type: 'button', class: kind, onclick: () => this.hands.act(verb, this.current()) }, text);
    this.start = button('start', 'Start', 'primary');
    this.stop = button('stop', 'Stop');
    this.restart = button('restart', 'Restart');
    this.count = h('span', { class: 'count' });
    this.less = iconButton('less', 'One process fewer', () => this.hands.act('less', this.current()));
    const more = iconButton('more', 'One process more', () => this.hands.act('more', this.current()));
    const scale = h('span', { class: 'scale boxed', role: 'group', 'aria-label': 'Processes' }, this.less, this.count, more);
    this.signal = button('signal', 'Signal…');
    this.replace = button('replace', 'Stop this one');
    const ofJob = [this.start, this.stop, this.restart, scale, button('once', 'Run once'), this.signal];
    this.bar = h('div', { class: 'drawer-bar', hidden: !job.may.manage }, ...(instance ? [this.replace, this.signal] : ofJob));
  }

  /** The row as it is now: the instance may have another process, or be gone. */
  current() {
    const { node, instance } = this.row;
    const now = instance && this.job.instances.find((one) => one.key === instance.key);
    return { ...this.row, node, job: this.job, instance: instance ? now || instance : undefined };
  }

  turn(id) {
    this.leave();
    this.tab = id;
    for (const [name, tab] of this.tabs) {
      tab.setAttribute('aria-selected', String(name === id));
      tab.tabIndex = name === id ? 0 : -1;
    }
    this.panel.setAttribute('aria-labelledby', `tab-${id}`);
    const { node, instance } = this.row;
    const make = TABS.find(([name]) => name === id)[2];
    const number = instance && !instance.once ? String(instance.number) : '';
    this.content = make(node, this.job, { instance: number, say: this.hands.say });
    this.panel.replaceChildren(this.content.element);
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const names = [...this.tabs.keys()];
    const next = names[(names.indexOf(this.tab) + by + names.length) % names.length];
    this.turn(next);
    this.tabs.get(next).focus();
  }

  /** Shows what is new. */
  refresh() {
    if (!this.row) return;
    const { node } = this.row;
    const job = node.model.jobs.get(this.row.job.name);
    if (!job) {
      const { name } = this.row.job;
      this.close();
      this.hands.say(`${name} was unloaded`);
      return;
    }
    this.job = job;
    const { instance } = this.current();
    const told = instance || job;
    setState(this.mark, told.state);
    setText(this.since, told.startedAt == null || node.state !== 'open' ? '' : `for ${span(node.now() - told.startedAt)}`);
    const note = instance ? instance.reason : noteOfJob(job, node.now());
    setText(this.note, note || '');
    show(this.note, Boolean(note));
    show(this.start, !isUp(job));
    show(this.stop, isUp(job));
    show(this.restart, isUp(job));
    setText(this.count, String(job.target));
    const isLive = node.state === 'open';
    this.bar.querySelectorAll('button').forEach((button) => (button.disabled = !isLive));
    if (job.target === 0) this.less.disabled = true;
    const live = isLive && (instance ? instance.pid != null : job.running > 0);
    this.signal.disabled = !live;
    this.replace.disabled = !live;
    this.content.job = job;
    if (this.content.refresh) this.content.refresh();
  }
}
