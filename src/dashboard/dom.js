// Making elements. Whatever a process prints or a job is called comes in as text and never as markup: nothing here,
// or anywhere in this page, takes HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes, listeners (`onclick`) and children: elements, texts, or nothing. */
export function h(name, attributes = {}, ...children) {
  return made(document.createElement(name), attributes, children);
}

/** The same for a picture. */
export function svg(name, attributes = {}, ...children) {
  return made(document.createElementNS(SVG, name), attributes, children);
}

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text, if it is another one: what stays as it is costs no layout. */
export function setText(element, text) {
  if (element.said === text) return;
  element.said = text;
  element.textContent = text;
}

/** Sets an attribute, if it is another one; null takes it away. */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Shows an element or not. */
export function show(element, is) {
  if (element.hidden === is) element.hidden = !is;
}

// Pictures of 16 by 16, drawn by lines. They are beside words, or their buttons have names.
const ICONS = {
  start: 'M5 3.5v9l7.5-4.5z',
  stop: 'M4.5 4.5h7v7h-7z',
  restart: 'M12.6 6.2A5 5 0 1 0 13 8M13 3v3.5H9.5',
  less: 'M4 8h8',
  more: 'M4 8h8M8 4v8',
  close: 'M4 4l8 8M12 4l-8 8',
  down: 'M8 3v9M4.5 8.5L8 12l3.5-3.5',
  open: 'M6 4l4 4-4 4',
  search: 'M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 10l3.5 3.5',
  key: 'M10.5 3a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM8.7 7.3L3 13M4.5 11.5l1.5 1.5',
  save: 'M8 3v7M5 7.5L8 10.5l3-3M3 13h10',
};

export function icon(name) {
  return svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: ICONS[name] }));
}

/** A button that has a picture, and a name for those who do not see it. */
export function iconButton(name, label, onclick, attributes = {}) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...attributes }, icon(name));
}

// The shape of each state: together with its word, so that nobody has to tell colours apart.
const SHAPES = {
  running: 'M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z',
  starting: 'M6 1.5a4.5 4.5 0 1 0 0 9z',
  stopping: 'M6 1.5a4.5 4.5 0 1 1 0 9z',
  waiting: 'M2 1.5h8L6 6l4 4.5H2L6 6z',
  backoff: 'M6 1.5L11 10.5H1z',
  failed: 'M1.5 3L3 1.5l3 3 3-3L10.5 3l-3 3 3 3L9 10.5l-3-3-3 3L1.5 9l3-3z',
  exited: 'M1 6.2L2.4 4.8l2.3 2.3 5-5L11 3.5 4.7 9.9z',
  stopped: 'M2 2h8v8H2zM4 4v4h4V4z',
};

/** The mark of a state, to be filled by `setState`. */
export function stateMark() {
  const path = svg('path', { 'fill-rule': 'evenodd' });
  const word = h('span', { class: 'word' });
  const mark = h('span', { class: 'state' }, svg('svg', { class: 'shape', viewBox: '0 0 12 12', 'aria-hidden': 'true' }, path), word);
  return { mark, path, word, state: '' };
}

export function setState(parts, state) {
  if (parts.state === state) return;
  parts.state = state;
  parts.mark.dataset.state = state;
  parts.path.setAttribute('d', SHAPES[state] || SHAPES.stopped);
  parts.word.textContent = state;
}
