// Who looks: a key, or a name and a password for which the node makes one. The key is in this tab's memory and its
// sessionStorage, which ends with the tab: never in an address, and never where another tab or a later one finds it.

import { h } from './dom.js';
import { ask, field } from './dialogs.js';

const place = (base) => `gaffer-key ${base}`;

export function knownKey(base) {
  return sessionStorage.getItem(place(base));
}

export function keep(base, key) {
  if (key) sessionStorage.setItem(place(base), key);
  else sessionStorage.removeItem(place(base));
}

/** Asks for a key until the node takes one; null if nobody has any. */
export async function login(node, why) {
  const key = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false' });
  const name = h('input', { type: 'text', autocomplete: 'username', spellcheck: 'false' });
  const password = h('input', { type: 'password', autocomplete: 'current-password' });
  const fields = [
    field('API key', key),
    h('p', { class: 'or' }, 'or'),
    field('User name', name),
    field('Password', password),
  ];
  const read = async () => {
    if (key.value.trim()) return key.value.trim();
    if (name.value) return keyOf(node.base, name.value, password.value);
    throw new Error('Say a key, or a name and a password.');
  };
  return ask({ title: `Log in to ${node.name}`, text: why || 'This node asks for a key.', verb: 'Log in', fields, read });
}

/** The key that the node makes for a user. */
async function keyOf(base, name, password) {
  const bytes = new TextEncoder().encode(`${name}:${password}`);
  const headers = { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
  const answer = await fetch(new URL('auth', base), { headers, cache: 'no-store', credentials: 'omit' });
  const told = await answer.json();
  if (answer.ok) return told.api_key;
  if (answer.status === 429) throw new Error('There were too many attempts. Wait a little.');
  throw new Error('The node does not know this name and password.');
}
