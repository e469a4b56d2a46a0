// The one connection to a node: commands with their answers, and topics. It comes back by itself, says its key again,
// follows again what was followed, and takes what it missed.

import { WAYS } from './transports.js';

/** Between attempts, in milliseconds: later and later, each by any part of its half. */
const PAUSES = [250, 500, 1000, 2000, 4000, 8000];
/** When nothing was heard for so long, the node is asked for a sign of life, and has as long again. */
const SILENCE = 10_000;

/** A way that did not open so often in a row, to a node that answers otherwise, is blocked. */
const BLOCKED = 2;

/** What a node says no to. */
export class Refused extends Error {
  constructor(error) {
    super(error.detail || error.reason || 'refused');
    this.errno = error.errno;
  }
}

export class Channel {
  /** To the node at a URL, which ends in a slash. `changed` is called whenever `state` is another. */
  constructor(base, changed) {
    this.base = base;
    this.changed = changed;
    this.key = null;
    /** `down`, `connecting`, `open`, or `locked`, when a key is asked for. */
    this.state = 'down';
    this.heardAt = 0;
    this.way = 0;
    /** How often in a row this way did not open to a node that answers. */
    this.failures = 0;
    this.attempts = 0;
    this.lastId = 0;
    this.asked = new Map();
    this.topics = new Map();
    this.wanted = false;
  }

  open() {
    this.wanted = true;
    if (this.transport) return;
    clearTimeout(this.timer);
    this.become('connecting');
    const told = {
      opened: () => this.begin(),
      heard: (text) => this.hear(text),
      ended: () => this.lost(),
    };
    this.isOpen = false;
    this.transport = WAYS[this.way].make(this.base, told);
  }

  close() {
    this.wanted = false;
    clearTimeout(this.timer);
    if (this.transport) this.transport.end();
    this.become('down');
  }

  /** Comes in anew, as whoever has this key; without one, as nobody. */
  unlock(key) {
    this.key = key;
    this.close();
    this.attempts = 0;
    this.open();
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.changed(state);
  }

  begin() {
    this.isOpen = true;
    this.heardAt = Date.now();
    if (this.key) this.transport.send(`AUTH:${this.key}`);
    this.watchSilence();
    this.topics.forEach((topic) => this.subscribe(topic));
    // That it is let in shows with the first answer, and that is how the jobs stand, or the first of them.
    this.command('overview').then(
      (overview) => {
        this.attempts = 0;
        this.first = overview;
        this.become('open');
      },
      // Whoever is refused that comes in anew, after a pause. The connection may be lost instead, which is known then.
      (failure) => failure instanceof Refused && this.transport && this.transport.end(),
    );
  }

  watchSilence() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const silent = Date.now() - this.heardAt;
      if (silent > 2 * SILENCE) return this.transport.end();
      if (silent > SILENCE) this.command('overview', ['a.sign']).catch(() => {});
      return this.watchSilence();
    }, SILENCE / 2);
  }

  async lost() {
    clearTimeout(this.timer);
    const wasOpen = this.isOpen;
    this.transport = null;
    this.asked.forEach(({ reject }) => reject(new Error('the connection was lost')));
    this.asked.clear();
    if (this.state === 'locked' || !this.wanted) return;
    this.become('down');
    if (wasOpen) {
      // What is in between may be another now, so that the best way is tried first again.
      this.way = 0;
      this.failures = 0;
    } else {
      await this.judge();
    }
    if (!this.wanted || this.transport) return;
    const pause = PAUSES[Math.min(this.attempts, PAUSES.length - 1)];
    this.attempts += 1;
    this.timer = setTimeout(() => this.open(), pause * (0.5 + Math.random() / 2));
  }

  /** Where the node answers and this way does not open, something in between blocks it; or the node just came up. */
  async judge() {
    this.failures = (await this.answers()) ? this.failures + 1 : 0;
    if (this.failures < BLOCKED) return;
    this.way = (this.way + 1) % WAYS.length;
    this.failures = 0;
  }

  async answers() {
    try {
      return (await fetch(new URL('ping', this.base), { cache: 'no-store' })).ok;
    } catch {
      return false;
    }
  }

  /** Tries at once, for instance because the network is there again. */
  hurry() {
    if (!this.wanted || this.transport || this.state === 'locked') return;
    this.attempts = 0;
    this.open();
  }

  say(event, data) {
    this.transport.send(JSON.stringify({ event, data }));
  }

  /** Does a command, and gives its result. */
  command(name, args = [], kwargs = {}) {
    if (!this.isOpen || !this.transport) return Promise.reject(new Error('not connected'));
    this.lastId += 1;
    const identity = String(this.lastId);
    const answered = new Promise((resolve, reject) => this.asked.set(identity, { resolve, reject }));
    this.say('CMD', { identity, name, args, kwargs });
    return answered;
  }

  /**
   * Follows a topic, instead of whoever followed it before, and gives what ends that. `options` go with the
   * subscription; with `since`, what is missed while the connection is lost is told when it is back. `lagged(count)` is
   * called when something is lost for good, and `refused(why)` when there is no such topic, or not for this key.
   */
  follow(name, options, heard, { lagged = () => {}, refused = () => {} } = {}) {
    const topic = { name, options, heard, lagged, refused };
    // A node counts how often a topic is asked for, and tells of it until each of them has ended.
    this.leave(name);
    this.topics.set(name, topic);
    if (this.isOpen && this.transport) this.subscribe(topic);
    return () => this.topics.get(name) === topic && this.leave(name);
  }

  leave(name) {
    if (this.topics.delete(name) && this.isOpen && this.transport) this.say('UNSUB', { topic: name });
  }

  subscribe({ name, options }) {
    this.say('SUB', { topic: name, ...options });
  }

  hear(text) {
    this.heardAt = Date.now();
    const message = JSON.parse(text);
    const data = message.data || {};
    switch (message.event) {
      case 'gaffer:event': {
        const topic = this.topics.get(data.topic);
        if (!topic) return;
        if (topic.options.since !== undefined && data.seq) topic.options.since = data.seq;
        topic.heard(data);
        return;
      }
      case 'gaffer:command_success':
        this.answer(data.id, ({ resolve }) => resolve(data.result));
        return;
      case 'gaffer:command_error':
        this.answer(data.id, ({ reject }) => reject(new Refused(data.error)));
        return;
      case 'gaffer:lagged': {
        const topic = this.topics.get(message.topic || data.topic);
        if (topic) topic.lagged(data.lost);
        return;
      }
      case 'gaffer:subscription_error': {
        const topic = this.topics.get(message.topic);
        this.topics.delete(message.topic);
        if (topic) topic.refused(data.detail || data.reason || 'refused');
        return;
      }
      case 'gaffer:error':
        if (data.error === 'AUTH_REQUIRED') this.lock(data.reason);
        return;
      default:
    }
  }

  lock(reason) {
    this.reason = this.key ? reason : null;
    this.become('locked');
    if (this.transport) this.transport.end();
  }

  answer(id, how) {
    const asked = this.asked.get(id);
    this.asked.delete(id);
    if (asked) how(asked);
  }

  /** Asks the node over HTTP, with the same key; the answer is for whoever asks to judge. */
  fetch(path, options = {}) {
    const headers = { ...options.headers };
    if (this.key) headers['X-Api-Key'] = this.key;
    return fetch(new URL(path, this.base), { ...options, headers });
  }
}
