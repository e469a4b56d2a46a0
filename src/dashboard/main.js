// The dashboard: what is asked for, when it is painted, and the keyboard. It keeps nothing of its own: what it shows is
// what the nodes say, and while they say nothing it says that.

import { act } from './actions.js';
import { byId, h, setText, show } from './dom.js';
import { bytes, percent, span } from './format.js';
import { hearKeys } from './keyboard.js';
import { STATES, counts, wishes } from './listing.js';
import { keep, knownKey, login } from './login.js';
import { Drawer } from './drawer.js';
import { GafferNode } from './node.js';
import { addNodes, forget, hint, known, written } from './nodes.js';
import { Strip, words } from './strip.js';
import { Table } from './table.js';

/** What was measured is painted so often at the most, in milliseconds; what happened sooner. */
const CALM = 400;
const SOON = 40;

const base = new URL('..', location.href).href;
/** The node of this page, and behind it others. */
const nodes = [];
const wish = wishes();
const table = new Table(wish, { wished: () => paint(), act: doIt, open: (row) => open(row) });
const strip = new Strip();
const drawer = new Drawer({ act: doIt, say, closed });
let timer = null;
let due = 0;
let reopened = false;
let announced = 0;

function changed(node, what) {
  if (what === 'state') {
    turned(node);
    later(SOON);
  } else if (what === 'values') {
    later(CALM);
  } else {
    if (what === 'events') announce(node, node.events[node.events.length - 1]);
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

/** Those whose jobs are to be seen. */
const chosen = () => nodes.filter((node) => !wish.node || node.base === wish.node);

/** Those that are counted: of a lost one among others it is not known how it stands. */
function counted() {
  const open = chosen().filter((node) => node.state === 'open');
  return open.length ? open : chosen();
}

function paint() {
  clearTimeout(timer);
  timer = null;
  if (document.hidden) return;
  showNodes();
  table.show(chosen(), nodes.length > 1);
  strip.show(chosen());
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

// ---- which nodes

/** The choice of the node, and what adds and takes away others. */
function showNodes() {
  const select = byId('node-choice');
  for (const node of nodes) {
    node.isTwin = nodes.some((other) => other !== node && other.ownName === node.ownName);
    node.isOneOfMany = nodes.length > 1;
  }
  const names = nodes.map((node) => node.name).join();
  show(select, nodes.length > 1);
  show(byId('node-remove'), Boolean(wish.node) && wish.node !== base);
  // Without others of which the node was told there is nothing that this page could reach.
  const { origins = [], lookupds = [] } = nodes[0].about || {};
  show(byId('node-add'), origins.length + lookupds.length > 0);
  if (select.names === names) return;
  select.names = names;
  const option = (value, text) => h('option', { value }, text);
  select.replaceChildren(option('', 'All nodes'), ...nodes.map((node) => option(node.base, node.name)));
  select.value = wish.node;
}

function join(address) {
  if (nodes.some((node) => node.base === address)) return;
  const node = new GafferNode(address, (what) => changed(node, what));
  nodes.push(node);
  node.channel.key = knownKey(address);
  node.look(!document.hidden);
  node.channel.open();
  later(0);
}

function part(address) {
  forget(address);
  const at = nodes.findIndex((node) => node.base === address);
  if (at < 1) return;
  const [node] = nodes.splice(at, 1);
  if (drawer.isOpen && drawer.row.node === node) drawer.close();
  node.channel.close();
  wish.node = '';
  paint();
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
  const seen = chosen();
  setText(byId('node-name'), seen.length > 1 ? `${seen.length} nodes` : seen[0].name);
  document.title = `${node.name} – gaffer`;
  setText(byId('node-about'), node.about ? `gaffer ${node.about.version}` : '');
  const jobs = counted().flatMap((one) => [...one.model.jobs.values()]);
  const all = (kind) => jobs.reduce((sum, job) => sum + (job.total(kind) ?? 0), 0);
  const measured = nodes.some((one) => one.state === 'open');
  const isKnown = node.about !== null;
  showTotal('Jobs', isKnown ? String(jobs.length) : '');
  showTotal('Processes', isKnown ? String(jobs.reduce((sum, job) => sum + job.running, 0)) : '');
  showTotal('CPU', measured && isKnown ? percent(all('cpu')) : '');
  showTotal('Memory', measured && isKnown ? bytes(all('rss')) : '');
  showTotal('Node up', measured && isKnown && nodes.length === 1 ? span(node.now() - node.about.started_at) : '');
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
  for (const [state, count] of counts(counted())) {
    const one = chips.get(state);
    if (!one) continue;
    const pressed = wish.states.has(state);
    setText(one.count, String(count));
    show(one.chip, count > 0 || pressed);
    one.chip.setAttribute('aria-pressed', String(pressed));
  }
}

function showBanner() {
  const away = nodes.filter((node) => node.state !== 'open' && node.state !== 'locked');
  const seen = (node) => {
    if (!node.channel.heardAt) return node === nodes[0] || !node.channel.attempts ? `Connecting to ${node.name}…` : hint(node.base);
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
  const { state, about, may } = nodes[0];
  const isBlind = about && !may.read && !may.manage;
  const none = isBlind ? 'This key reads no job.' : about ? 'No jobs yet. Load some with gaffer load, or over the API.' : '';
  const text = any ? 'No job fits the filter.' : state === 'locked' ? 'This node asks for a key. Press “Log in” above.' : none;
  setText(box, text);
}

// ---- what is said to those who do not see it

function say(text, isError = false) {
  const toast = h('div', { class: isError ? 'toast error' : 'toast' }, text);
  byId('toasts').append(toast);
  setTimeout(() => toast.remove(), isError ? 8000 : 4000);
}

/** Who has it read to him is told what happens, but not all of it where much does. */
function announce(node, event) {
  if (!event.isNews || !['spawn', 'exit', 'failed', 'flap'].includes(event.event)) return;
  if (performance.now() - announced < CALM * 4) return;
  announced = performance.now();
  const { who, text } = words(event, event.once || node.model.once.has(event.pid));
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
  const place = drawer.isOpen ? `#${encodeURIComponent(drawer.job.name)}/${drawer.tab}${nodes.length > 1 ? `/${encodeURIComponent(drawer.row.node.base)}` : ''}` : '';
  // Browsers take only so many changes of the address in a time, and this is asked whenever something is painted.
  if (location.hash !== place) history.replaceState(null, '', place || location.pathname + location.search);
}

/** What a part of the address says. Somebody may have written one that says nothing. */
function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Opens what the address names, once that is known. */
function reopen() {
  const [name, tab, place] = location.hash.slice(1).split('/').map(plain);
  const row = name && table.rows.find((one) => one.kind === 'job' && one.job.name === name && (!place || one.node.base === place));
  if (row) open(row, tab || undefined);
}

// ---- who looks

async function turned(node) {
  showSession();
  if (node === nodes[0] && node.state === 'open') (await known(node.about)).forEach(join);
  // Of several nodes each would ask at once, so those beside this one wait until somebody says so.
  if (node.state === 'locked' && node === nodes[0]) admit(node);
}

async function admit(node) {
  if (node.isAsking) return;
  node.isAsking = true;
  const refused = node.channel.key ? 'The node does not take this key, or takes it no more.' : null;
  keep(node.base, null);
  const key = await login(node, refused);
  node.isAsking = false;
  if (key) enter(node, key);
  else showSession();
}

function enter(node, key) {
  keep(node.base, key);
  node.channel.unlock(key);
}

function showSession() {
  const button = (text, onclick) => h('button', { type: 'button', onclick }, text);
  const name = (node) => (nodes.length > 1 ? ` ${node.name}` : '');
  const parts = nodes.flatMap((node) => {
    if (node.state === 'locked') return [button(`Log in${nodes.length > 1 ? ' to' : ''}${name(node)}`, () => admit(node))];
    if (node.state !== 'open' || !node.channel.key) return [];
    const leave = () => {
      keep(node.base, null);
      location.reload();
    };
    return [h('span', { class: 'who', title: node.who }, node.who), button(`Log out${nodes.length > 1 ? ' of' : ''}${name(node)}`, leave)];
  });
  byId('session').replaceChildren(...parts);
}

// ---- what somebody does

function clear() {
  wish.text = '';
  wish.states.clear();
  byId('filter').value = '';
  paint();
}

hearKeys({ table, strip, drawer, clear });
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

byId('node-choice').addEventListener('change', ({ target }) => {
  wish.node = target.value;
  paint();
});
byId('node-add').addEventListener('click', async () => ((await addNodes(nodes[0].about)) || []).forEach(join));
byId('node-remove').addEventListener('click', () => part(wish.node));

makeChips();
[base, ...written()].forEach(join);
