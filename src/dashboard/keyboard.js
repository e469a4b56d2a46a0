// The keyboard: all that a mouse does is done by it, too.

import { byId, h } from './dom.js';
import { tell } from './dialogs.js';

const HELP = [
  ['/', 'Filter jobs, or search the output'],
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

/** In the table and what stands around it. */
const MOVES = {
  j: ({ table }) => table.move(1),
  ArrowDown: ({ table }) => table.move(1),
  k: ({ table }) => table.move(-1),
  ArrowUp: ({ table }) => table.move(-1),
  g: ({ table }) => table.goTo(0),
  G: ({ table }) => table.goTo(Infinity),
};

/** Everywhere. */
const KEYS = {
  '/': (_, isInJob) => ((isInJob && document.querySelector('.output-tools input')) || byId('filter')).focus(),
  e: ({ strip }) => strip.unfold(strip.list.hidden),
  '?': showHelp,
  Escape: ({ drawer, clear }) => (drawer.isOpen ? drawer.close() : clear()),
};

/** Hears keys, for what is there: `table`, `strip`, `drawer`, and `clear()` of what is filtered. */
export function hearKeys(page) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const does = meant(event, page);
    if (!does) return;
    event.preventDefault();
    does();
  });
}

/** What a key is to do where the focus is, or null. */
function meant({ key, target }, page) {
  const writes = target.matches('input:not([type=checkbox]), select, textarea');
  if (writes && key !== 'Escape') {
    const leaves = target.id === 'filter' && (key === 'Enter' || key === 'ArrowDown');
    return leaves ? () => page.table.goTo(0) : null;
  }
  if (key === 'Escape' && target.type === 'search' && target.value) {
    return () => {
      target.value = '';
      target.dispatchEvent(new Event('input'));
    };
  }
  // What scrolls by itself keeps its arrows.
  const isInJob = Boolean(target.closest('#drawer'));
  const does = KEYS[key] || (!isInJob && !target.closest('#events-list') && MOVES[key]);
  return does ? () => does(page, isInJob) : null;
}
