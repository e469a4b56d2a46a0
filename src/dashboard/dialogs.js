// Questions, in dialogs of the browser: they hold the focus, and Escape answers no.

import { h } from './dom.js';

/** Asks, and gives what the answer was, or null. `fields` are between the text and the buttons; `read` reads them. */
export function ask({ title, text, verb, isDangerous = false, fields = [], read = () => true }) {
  return new Promise((resolve) => {
    const heading = h('h2', { id: 'dialog-title' }, title);
    const error = h('p', { class: 'error', role: 'alert', hidden: true });
    const yes = h('button', { type: 'submit', class: isDangerous ? 'danger' : 'primary' }, verb);
    const no = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
    const form = h('form', { method: 'dialog' }, heading, text && h('p', {}, text), ...fields, error, h('div', { class: 'dialog-bar' }, no, yes));
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    let answer = null;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      yes.disabled = true;
      try {
        answer = await read();
        dialog.close();
      } catch (failure) {
        error.textContent = failure.message;
        error.hidden = false;
      }
      yes.disabled = false;
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    const first = form.querySelector('input, select');
    (first || (isDangerous ? no : yes)).focus();
  });
}

/** A field with its label. */
export function field(label, input) {
  return h('label', { class: 'field' }, h('span', {}, label), input);
}

/** Shows something, until it is closed. */
export function tell(title, ...content) {
  const heading = h('h2', { id: 'dialog-title' }, title);
  const close = h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Close');
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, heading, ...content, h('div', { class: 'dialog-bar' }, close));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
