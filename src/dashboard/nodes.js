// The nodes beside this one. A page reaches only what its node was told of (`--origin`), as its policy says, and a node
// lets only those pages in that it was told of: nodes that show each other name each other. Which of them there are, a
// lookupd knows, or somebody who writes an address.

import { ask, field } from './dialogs.js';
import { h } from './dom.js';

const PLACE = 'gaffer-nodes';

/** The addresses that somebody has written in this tab. */
export function written() {
  return JSON.parse(sessionStorage.getItem(PLACE) || '[]');
}

function keep(addresses) {
  sessionStorage.setItem(PLACE, JSON.stringify([...new Set(addresses)]));
}

export function forget(base) {
  keep(written().filter((one) => one !== base));
}

/** The URL of an address as people write it, as far as it is one. */
function baseOf(text) {
  const url = new URL(/^https?:/.test(text) ? text : `http${location.protocol === 'https:' ? 's' : ''}:${text.startsWith('//') ? '' : '//'}${text}`);
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/** The same of what somebody wrote, who is told where it is none. */
function usable(text) {
  try {
    return baseOf(text);
  } catch {
    throw new Error('This is no address. Write one like node2.example:5000.');
  }
}

async function asked(url) {
  const answer = await fetch(url, { cache: 'no-store' });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}

/** The origins of the nodes that a lookupd knows. Of one that does not answer there are none. */
async function knownBy(lookupd) {
  try {
    const { nodes } = await asked(new URL('nodes', baseOf(lookupd)));
    return nodes.flatMap(originOf);
  } catch {
    return [];
  }
}

/** Nodes say themselves where they are, and what one says wrong hides no other. */
function originOf({ origin }) {
  try {
    return [new URL(origin).origin];
  } catch {
    return [];
  }
}

/** The nodes that some lookupds know, by their addresses, as far as this page may reach them. */
export async function known({ lookupds = [], origins = [] }) {
  const all = (await Promise.all(lookupds.map(knownBy))).flat();
  return [...new Set(all)].filter((origin) => origins.includes(origin)).map(baseOf);
}

/** Why an address does not answer, for whoever can do something about it. */
export function hint(base) {
  const { origin } = new URL(base);
  return `${origin} is not there, or it was not told of this page: start it with --origin ${location.origin}, and the node of this page with --origin ${origin}.`;
}

/** Asks for an address, of a node or of a lookupd, and gives those of the nodes that are meant by it. */
export async function addNodes(about) {
  const address = h('input', { type: 'text', placeholder: 'node2.example:5000', spellcheck: 'false', autocomplete: 'off' });
  const read = async () => {
    if (!address.value.trim()) throw new Error('Write an address.');
    const base = usable(address.value.trim());
    let welcome;
    try {
      ({ welcome } = await asked(base));
    } catch {
      throw new Error(hint(base));
    }
    const found = welcome === 'gaffer-lookupd' ? await known({ lookupds: [base], origins: about.origins }) : [base];
    if (!found.length) throw new Error('This lookupd knows no node that this page may reach.');
    keep([...written(), ...found]);
    return found;
  };
  const text = 'Show the jobs of another node beside these, or those of all nodes that a lookupd knows.';
  return ask({ title: 'Add nodes', text, verb: 'Add', fields: [field('Address of a node or a lookupd', address)], read });
}
