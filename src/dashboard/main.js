// The dashboard: what is asked for, when it is painted, and the keyboard. It keeps nothing of its own: what it shows is
// what the nodes say, and while they say nothing it says that.

import { act } from './actions.js';
import { byId, h, setText, show } from './dom.js';
import { tell } from './dialogs.js';
import { bytes, duration, percent, span } from './format.js';
import { STATES, counts, wishes } from './listing.js';
import { keep, knownKey, login } from './login.js';
import { Drawer } from './drawer.js';
import { GafferNode } from './node.js';
import { Strip, words } from './strip.js';
import { Table } from './table.js';

/** What was measured is painted so often at the most, in milliseconds; what happened sooner. */
const CALM = 400;
const SOON = 40;

const base = new URL('..', location.href).href;
const nodes = [new GafferNode(base, (what) => changed(nodes[0], what))];
const wish = wishes();
const table = new Table(wish, { wished: () => paint(), act: doIt, open: (row) => open(row) });
const strip = new Strip();
const drawer = new Drawer({ act: doIt, say, closed });
let timer = null;
let due = 0;
let reopened = false;

function changed(node, what) {
  if (what === 'state') {
    turned(node);
    later(SOON);
  } else if (what === 'values') {
    later(CALM);
  } else {
    if (what === 'events') announce(node.events[node.events.length - 1]);
    later(SOON);
  }
}

/** Paints once after so many milliseconds, whatever comes until then. */
function later(pause) {
  const at = performance.now() + pause;
  if (timer !== null && due <= at) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(() => requestAnimationFrame(paint), pause);
}

function paint() {
  clearTimeout(timer);
  timer = null;
  if (document.hidden) return;
  table.show(nodes);
  strip.show(nodes);
  showHead();
  showChips();
  showBanner();
  showNothing();
  drawer.refresh();
  if (drawer.isOpen) {
    table.mark(drawer.row.key);
    point();
  } else if (!reopened && nodes[0].about) {
    reopened = true;
    reopen();
  }
}

// ---- the head

const totals = new Map();

function showTotal(name, value) {
  if (!totals.has(name)) {
    const text = h('dd', {});
    const box = h('div', {}, h('dt', {}, name), text);
    totals.set(name, { box, text });
    byId('totals').append(box);
  }
  const { box, text } = totals.get(name);
  setText(text, value);
  show(box, value !== '');
}

function showHead() {
  const node = nodes[0];
  setText(byId('node-name'), node.name);
  document.title = `${node.name} – gaffer`;
  setText(byId('node-about'), node.about ? `gaffer ${node.about.version}` : '');
  const jobs = nodes.flatMap((one) => [...one.model.jobs.values()]);
  const all = (kind) => jobs.reduce((sum, job) => sum + (job.total(kind) ?? 0), 0);
  const measured = nodes.some((one) => one.state === 'open');
  const known = node.about !== null;
  showTotal('Jobs', known ? String(jobs.length) : '');
  showTotal('Processes', known ? String(jobs.reduce((sum, job) => sum + job.running, 0)) : '');
  showTotal('CPU', measured && known ? percent(all('cpu')) : '');
  showTotal('Memory', measured && known ? bytes(all('rss')) : '');
  showTotal('Node up', measured && known ? span(node.now() - node.about.started_at) : '');
}

const chips = new Map();

function makeChips() {
  for (const state of STATES) {
    const count = h('b', {});
    const chip = h('button', { type: 'button', class: 'chip', 'aria-pressed': 'false', onclick: () => press(state) }, h('span', {}, state), count);
    chip.dataset.state = state;
    chips.set(state, { chip, count });
    byId('chips').append(chip);
  }
}

function press(state) {
  if (!wish.states.delete(state)) wish.states.add(state);
  paint();
}

function showChips() {
  for (const [state, count] of counts(nodes)) {
    const known = chips.get(state);
    if (!known) continue;
    const pressed = wish.states.has(state);
    setText(known.count, String(count));
    show(known.chip, count > 0 || pressed);
    known.chip.setAttribute('aria-pressed', String(pressed));
  }
}

function showBanner() {
  const away = nodes.filter((node) => node.state !== 'open' && node.state !== 'locked');
  const seen = (node) => {
    if (!node.channel.heardAt) return `Connecting to ${node.name}…`;
    return `Disconnected from ${node.name}, last seen ${span((Date.now() - node.channel.heardAt) / 1000)} ago. Trying again…`;
  };
  const degraded = nodes.find((node) => node.about && node.about.degraded);
  const text = away.length ? seen(away[0]) : degraded ? `The state directory of ${degraded.name} cannot be written: what changes now is lost when it ends.` : '';
  setText(byId('banner'), text);
  show(byId('banner'), text !== '');
  document.body.classList.toggle('stale', away.length === nodes.length);
}

function showNothing() {
  const box = byId('nothing');
  const isEmpty = table.rows.length === 0;
  show(box, isEmpty);
  if (!isEmpty) return;
  const any = nodes.some((node) => node.model.jobs.size);
  const text = any ? 'No job fits the filter.' : nodes[0].about ? 'No jobs yet. Load some with gaffer load, or over the API.' : '';
  setText(box, text);
}

// ---- what is said to those who do not see it

function say(text, isError = false) {
  const toast = h('div', { class: isError ? 'toast error' : 'toast' }, text);
  byId('toasts').append(toast);
  setTimeout(() => toast.remove(), isError ? 8000 : 4000);
}

function announce(event) {
  if (!event.isNews || !['spawn', 'exit', 'failed', 'flap'].includes(event.event)) return;
  const { who, text } = words(event);
  setText(byId('said'), `${who} ${text}`);
}

function doIt(verb, row) {
  act(verb, row, say);
}

// ---- what is open stands in the address, so that it is there again when the page is

function open(row, tab) {
  drawer.open(row, tab);
  table.resized();
  table.mark(row.key);
  point();
}

function closed() {
  table.resized();
  table.mark(null);
  point();
  table.move(0);
}

function point() {
  const place = drawer.isOpen ? `#${encodeURIComponent(drawer.job.name)}/${drawer.tab}` : location.pathname + location.search;
  history.replaceState(null, '', place);
}

/** Opens what the address names, once that is known. */
function reopen() {
  const [name, tab] = location.hash.slice(1).split('/').map(decodeURIComponent);
  const row = name && table.rows.find((one) => one.kind === 'job' && one.job.name === name);
  if (row) open(row, tab || undefined);
}

// ---- who looks

async function turned(node) {
  if (node.state === 'open') showSession(node);
  if (node.state !== 'locked' || node.isAsking) return;
  node.isAsking = true;
  const refused = node.channel.key ? 'The node does not take this key, or takes it no more.' : null;
  keep(node.base, null);
  const key = await login(node, refused);
  node.isAsking = false;
  if (key) enter(node, key);
  else showSession(node);
}

function enter(node, key) {
  keep(node.base, key);
  node.channel.unlock(key);
}

function showSession(node) {
  const box = byId('session');
  const { key } = node.channel;
  const log = (text, onclick) => h('button', { type: 'button', onclick }, text);
  if (key && node.state === 'open') {
    const leave = () => {
      keep(node.base, null);
      location.reload();
    };
    box.replaceChildren(h('span', { class: 'who', title: node.who }, node.who), log('Log out', leave));
  } else if (node.state === 'locked') {
    box.replaceChildren(log('Log in', () => turned(node)));
  } else {
    box.replaceChildren();
  }
}

// ---- the keyboard

const HELP = [
  ['/', 'Filter jobs'],
  ['j k ↓ ↑', 'Next and previous row'],
  ['g G', 'First and last row'],
  ['Enter', 'Open the job'],
  ['Escape', 'Close, or clear the filter'],
  ['e', 'Unfold the events'],
  ['?', 'This help'],
];

function showHelp() {
  const rows = HELP.map(([keys, text]) => h('tr', {}, h('th', { scope: 'row' }, ...keys.split(' ').map((key) => h('kbd', {}, key))), h('td', {}, text)));
  tell('Keyboard', h('table', { class: 'help' }, h('tbody', {}, ...rows)));
}

const KEYS = {
  '/': () => byId('filter').focus(),
  j: () => table.move(1),
  ArrowDown: () => table.move(1),
  k: () => table.move(-1),
  ArrowUp: () => table.move(-1),
  g: () => table.goTo(0),
  G: () => table.goTo(Infinity),
  e: () => strip.unfold(strip.list.hidden),
  '?': showHelp,
  Escape: () => (drawer.isOpen ? drawer.close() : clear()),
};

function clear() {
  wish.text = '';
  wish.states.clear();
  byId('filter').value = '';
  paint();
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const { target } = event;
  const writes = target.matches('input:not([type=checkbox]), select, textarea');
  if (writes && event.key !== 'Escape') {
    if (target.id === 'filter' && (event.key === 'Enter' || event.key === 'ArrowDown')) {
      event.preventDefault();
      table.goTo(0);
    }
    return;
  }
  // A browser empties a field for searching by itself.
  if (event.key === 'Escape' && target.type === 'search' && target.value) return;
  const does = KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

byId('filter').addEventListener('input', ({ target }) => {
  wish.text = target.value;
  paint();
});
byId('group').addEventListener('change', ({ target }) => {
  wish.grouped = target.checked;
  paint();
});
matchMedia('(max-width: 720px)').addEventListener('change', () => table.resized());
// Nobody looks: nothing is measured, and nothing painted.
document.addEventListener('visibilitychange', () => {
  nodes.forEach((node) => node.look(!document.hidden));
  if (!document.hidden) later(0);
});
addEventListener('online', () => nodes.forEach((node) => node.channel.hurry()));
setInterval(() => !document.hidden && later(SOON), 1000);

makeChips();
nodes.forEach((node) => {
  node.channel.key = knownKey(node.base);
  node.look(!document.hidden);
  node.channel.open();
});
later(0);
