// A node as this page sees it: its jobs, kept as they are by what happens there, and measured while somebody looks.

import { Channel, Refused } from './channel.js';
import { Model, STEP, STEPS } from './model.js';

/** What happens within so many milliseconds is asked for together. */
const TOGETHER = 120;
/** When so many jobs changed together, all are asked for at once. */
const MANY = 12;
/** How often is asked by whom nothing may be told as it happens, and again for what was refused, in milliseconds. */
const AGAIN = 2000;
/** How often those are asked for that come up or end, in milliseconds. */
const SETTLE = 700;
/** So many processes are measured each second; where there are more, every other. */
const OFTEN = 200;
/** Topics that one connection may follow, less than the node lets it. */
const TOPICS = 500;
/** So much of what was measured is kept, here and by a node, in seconds. */
const PAST = STEP * STEPS;
/** Events that are remembered. */
const EVENTS = 300;
/** What a node says of a job that is not there, or not for this key. */
const GONE = [403, 404];

export class GafferNode {
  /** At a URL. `changed(what)` is called with `state`, `jobs`, `values` or `events`. */
  constructor(base, changed) {
    this.base = base;
    this.host = new URL(base).host;
    this.changed = changed;
    this.model = new Model();
    this.events = [];
    this.about = null;
    this.may = {};
    this.ahead = 0;
    this.dirty = new Set();
    this.isWatched = false;
    this.measures = [];
    /** Until when the lines are whole, in seconds since 1970, and whether they are while it is measured. */
    this.wholeUntil = 0;
    this.isWhole = false;
    this.channel = new Channel(base, (state) => this.turn(state));
  }

  get name() {
    return (!this.isTwin && this.ownName) || this.host;
  }

  /** What it calls itself, which is what its machine is called: another node may be called the same. */
  get ownName() {
    return this.about && this.about.name;
  }

  get state() {
    return this.channel.state;
  }

  /** The clock of the node, in seconds since 1970. */
  now() {
    return Date.now() / 1000 + this.ahead;
  }

  turn(state) {
    if (state === 'open') this.begin(this.channel.first);
    else this.rest();
    this.changed('state');
  }

  async begin(overview) {
    this.takeAbout(overview);
    if (this.may.manage) {
      // What was before this page is told, too, as far as the strip has room for it.
      this.known = overview.last_event;
      const since = this.seen || Math.max(1, overview.last_event - EVENTS);
      const heard = (event) => this.happen(event);
      this.stopEvents = this.channel.follow('EVENTS', { since }, heard, { lagged: () => this.soon(null) });
    }
    await this.refresh(overview);
    if (this.state !== 'open') return;
    // Not sooner, as what was measured is taken for jobs that are known.
    this.isReady = true;
    this.watch();
  }

  rest() {
    clearTimeout(this.timer);
    clearTimeout(this.settling);
    this.timer = null;
    this.isReady = false;
    this.unwatch();
    if (this.stopEvents) this.stopEvents();
    this.stopEvents = null;
    this.model.forgetNow();
  }

  takeAbout(overview) {
    this.about = overview.node;
    this.may = overview.may;
    this.who = overview.who;
    this.ahead = overview.ts - Date.now() / 1000;
  }

  /**
   * Takes how all jobs stand from a first page on. Each page is shown as it comes; which jobs are gone is known when
   * there is no other one.
   */
  async takeAll(page) {
    const names = new Set();
    for (;;) {
      this.takeAbout(page);
      this.model.takeSome(page.jobs);
      page.jobs.forEach(({ name }) => names.add(name));
      if (!page.next) break;
      this.changed('jobs');
      page = await this.channel.command('overview', [], { after: page.next });
    }
    this.model.keepOnly(names);
  }

  /** Takes how one job stands, which may be there no more. */
  async takeOne(name) {
    const asked = this.channel.command('overview', [name]);
    const { jobs } = await asked.catch((failure) => {
      if (failure instanceof Refused && GONE.includes(failure.errno)) return { jobs: [] };
      throw failure;
    });
    this.model.takeOne(name, jobs[0]);
  }

  happen(event) {
    this.seen = event.seq;
    // Each thing that happens has several names, of which the plain one is told first.
    const isKill = event.event.endsWith('.kill');
    if (event.event.includes('.') && !isKill) return;
    this.events.push(event);
    if (this.events.length > EVENTS) this.events.shift();
    event.isNews = event.seq > this.known;
    this.changed('events');
    if (event.name && event.isNews) this.soon(event.name);
  }

  /** Asks how a job stands, or all, soon and together with others; and not before somebody looks. */
  soon(name) {
    this.dirty.add(name);
    this.hurry();
  }

  hurry() {
    if (this.timer || this.isReading) return;
    if (this.isWatched && this.dirty.size) this.timer = setTimeout(() => this.refresh(), TOGETHER);
  }

  /** Asks for what may be otherwise; or for all, of which the first page is there. */
  async refresh(first) {
    this.timer = null;
    // What changes meanwhile is asked for afterwards, so that no page that was asked for earlier is taken for it.
    this.isReading = true;
    const dirty = [...this.dirty];
    this.dirty.clear();
    const began = performance.now();
    let pause = TOGETHER;
    try {
      if (first || dirty.includes(null) || dirty.length > MANY) {
        await this.takeAll(first || (await this.channel.command('overview')));
      } else {
        await Promise.all(dirty.map((name) => this.takeOne(name)));
        this.model.index();
      }
      this.settle();
      this.changed('jobs');
      // What takes long is not asked for without a pause.
      pause = Math.max(pause, 4 * (performance.now() - began));
    } catch (failure) {
      // Where the connection is lost, all is asked for when it is back.
      if (this.state !== 'open') return;
      if (!(failure instanceof Refused)) reportError(failure);
      dirty.concat(first ? null : []).forEach((name) => this.dirty.add(name));
      pause = AGAIN;
    } finally {
      this.isReading = false;
    }
    this.timer = setTimeout(() => {
      this.timer = null;
      this.hurry();
      this.poll();
    }, pause);
  }

  /** That a process has come up is told by no event: those that come up, or end, are asked for until they have. */
  settle() {
    clearTimeout(this.settling);
    const unsettled = ({ state }) => state === 'starting' || state === 'stopping';
    const jobs = [...this.model.jobs.values()].filter((job) => job.instances.some(unsettled));
    if (!jobs.length) return;
    this.settling = setTimeout(() => jobs.forEach((job) => this.soon(job.name)), SETTLE);
  }

  /** Whoever is told nothing asks again. */
  poll() {
    if (this.timer || this.isReading || this.may.manage || !this.isWatched || this.state !== 'open') return;
    this.timer = setTimeout(() => {
      this.dirty.add(null);
      this.refresh();
    }, AGAIN);
  }

  /** Somebody looks, or nobody. The node measures only while somebody does. */
  look(is) {
    this.isWatched = is;
    if (!is) return this.unwatch();
    this.watch();
    return this.hurry();
  }

  watch() {
    if (!this.isWatched || !this.isReady) return;
    this.unwatch();
    const interval = this.model.byPid.size > OFTEN ? 2 : 1;
    const heard = ({ instances }) => {
      const now = this.now();
      instances.forEach((one) => this.model.measure(one, { ...one, rss: one.mem }, now));
      this.measured(now);
    };
    const refused = () => this.watchEach(interval);
    this.measures = [this.channel.follow('USAGE', { interval }, heard, { refused })];
    this.recall();
    this.poll();
  }

  /** The same of a node that tells of each process by itself. */
  watchEach(interval) {
    const heard = (stat) => {
      const now = this.now();
      this.model.measure(stat, stat, now);
      this.measured(now);
    };
    const topics = this.may.read
      ? ['STATS']
      : [...this.model.jobs.keys()].slice(0, TOPICS).map((name) => `STATS:${name}`);
    this.measures = topics.map((topic) => this.channel.follow(topic, { interval }, heard));
  }

  measured(now) {
    if (this.isWhole) this.wholeUntil = now;
    this.changed('values');
  }

  unwatch() {
    this.measures.forEach((stop) => stop());
    this.measures = [];
    this.isWhole = false;
  }

  /**
   * Takes what is missing of what the node has kept of measurements, where it keeps any. It may leave instances out
   * where there are many: their lines fill from what is measured from now on.
   */
  async recall() {
    const now = this.now();
    const missing = now - this.wholeUntil;
    if (missing < STEP) {
      this.isWhole = true;
      return;
    }
    try {
      // The step that was not over when the last was measured is among them.
      const since = Math.ceil(Math.min(PAST, missing + STEP));
      const answer = await this.channel.fetch(`stats/history?since=${since}s`);
      if (!answer.ok) return;
      const { step, until, instances } = await answer.json();
      for (const kept of instances) {
        const job = this.model.jobs.get(kept.job);
        const series = job && job.series.get(kept.once ? `once-${kept.pid}` : `${kept.instance}`);
        if (series) series.fill(until, step, { ...kept, rss: kept.mem });
      }
      this.wholeUntil = now;
      this.isWhole = this.measures.length > 0;
      this.changed('values');
    } catch {
      // Lines fill from what is measured from now on.
    }
  }
}
