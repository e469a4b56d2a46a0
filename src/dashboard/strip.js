// The strip of what happens: the last thing in a line, and all that is remembered when it is unfolded.

import { byId, h, show } from './dom.js';
import { clock } from './format.js';

/** Shown when it is unfolded. */
const SHOWN = 200;

const NAMES = { 1: 'HUP', 2: 'INT', 3: 'QUIT', 9: 'KILL', 10: 'USR1', 12: 'USR2', 15: 'TERM', 18: 'CONT', 19: 'STOP' };

/** What an event says, in words; with how it is to look. */
export function words(event, isOnce = event.once) {
  const place = isOnce ? ' one-off' : event.instance == null ? '' : ` #${event.instance}`;
  const last = event.event.split('.').pop();
  const texts = {
    load: ['was loaded'],
    unload: ['was unloaded'],
    start: ['is to run'],
    stop: ['is to stop'],
    update: ['was changed'],
    spawn: ['started', 'good'],
    reap: ['is one too many'],
    stop_process: ['is asked to stop'],
    exit: [`ended: ${event.summary || event.reason}`, event.planned || (event.exit_status === 0 && !event.term_signal) ? '' : 'bad'],
    flap: ['ends again and again', 'bad'],
    failed: [`was given up: ${event.reason}`, 'bad'],
    kill: [`was sent SIG${NAMES[event.signum] || ` ${event.signum}`}`],
    log_failed: [`cannot be logged: ${event.reason}`, 'bad'],
    log_recovered: ['is logged again', 'good'],
  };
  const [text, mood = ''] = texts[last] || [last];
  return { who: `${event.name || `process ${event.pid}`}${place}`, text, mood };
}

export class Strip {
  constructor(open) {
    this.open = open;
    this.toggle = byId('events-toggle');
    this.last = byId('events-last');
    this.list = byId('events-list');
    this.toggle.addEventListener('click', () => this.unfold(this.list.hidden));
    this.nodes = [];
  }

  unfold(is) {
    show(this.list, is);
    this.toggle.setAttribute('aria-expanded', String(is));
    document.body.classList.toggle('with-events', is);
    this.show(this.nodes);
  }

  show(nodes) {
    this.nodes = nodes;
    const all = nodes.flatMap((node) => node.events.slice(-SHOWN).map((event) => ({ node, event })));
    all.sort((a, b) => b.event.ts - a.event.ts || b.event.seq - a.event.seq);
    show(byId('events'), nodes.some((node) => node.about));
    const mayHear = nodes.some((node) => node.may.manage);
    const none = mayHear ? 'Nothing has happened since this page was opened.' : 'What happens is told to keys that may manage all jobs.';
    this.last.replaceChildren(...(all.length ? [this.line(all[0])] : [none]));
    if (this.list.hidden) return;
    this.list.replaceChildren(...all.slice(0, SHOWN).map((one) => h('li', {}, this.line(one))));
  }

  line({ node, event }) {
    const { who, text, mood } = words(event, event.once || node.model.once.has(event.pid));
    const name = this.nodes.length > 1 ? `${node.name} ` : '';
    return h('span', { class: `event ${mood}` }, h('time', {}, clock(event.ts)), ' ', h('b', {}, name + who), ` ${text}`);
  }
}
