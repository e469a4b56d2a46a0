// What is known of the jobs of one node: as the node tells it, with what was measured beside it.

/** Measurements are kept in steps of so many seconds, and so many of them: ten minutes. */
export const STEP = 5;
export const STEPS = 120;
export const KINDS = ['cpu', 'rss', 'fds', 'threads'];

/** The last ten minutes of one instance, by the number of the step since 1970. Where nothing was measured, is NaN. */
export class Series {
  constructor() {
    this.last = 0;
    this.now = null;
    for (const kind of KINDS) this[kind] = new Float64Array(STEPS).fill(NaN);
  }

  /** Takes what was measured at a time, in seconds since 1970. Of several within one step the last one stays. */
  push(ts, measured) {
    this.advance(Math.floor(ts / STEP));
    this.now = measured;
    const at = this.last % STEPS;
    for (const kind of KINDS) this[kind][at] = measured[kind];
  }

  advance(step) {
    if (step <= this.last) return;
    for (let next = Math.max(this.last + 1, step - STEPS + 1); next <= step; next += 1) {
      for (const kind of KINDS) this[kind][next % STEPS] = NaN;
    }
    this.last = step;
  }

  /** Fills in what the node has kept, of which the last ends at `until`, where nothing was measured here. */
  fill(until, step, kept) {
    const lengths = KINDS.map((kind) => (kept[kind] || []).length);
    this.advance(Math.floor(until / STEP));
    const count = Math.max(...lengths);
    for (let index = 0; index < count; index += 1) {
      const number = Math.floor((until - (count - index - 0.5) * step) / STEP);
      if (number <= this.last - STEPS || number > this.last) continue;
      for (const kind of KINDS) {
        const value = (kept[kind] || [])[index];
        if (value != null && Number.isNaN(this[kind][number % STEPS])) this[kind][number % STEPS] = value;
      }
    }
  }

  /** The last `count` steps of a kind up to a time, oldest first. */
  window(kind, count, ts) {
    const end = Math.floor(ts / STEP);
    const values = new Array(count);
    for (let index = 0; index < count; index += 1) {
      const step = end - count + 1 + index;
      const known = step <= this.last && step > this.last - STEPS;
      values[index] = known ? this[kind][step % STEPS] : NaN;
    }
    return values;
  }
}

/** The sum over several, where any of them has something. */
export function sum(rows) {
  if (rows.length === 1) return rows[0];
  const total = new Array(rows.length ? rows[0].length : 0).fill(NaN);
  for (const row of rows) {
    row.forEach((value, at) => {
      if (!Number.isNaN(value)) total[at] = (Number.isNaN(total[at]) ? 0 : total[at]) + value;
    });
  }
  return total;
}

export class Job {
  constructor(name) {
    this.name = name;
    const dot = name.indexOf('.');
    this.session = name.slice(0, dot);
    this.label = name.slice(dot + 1);
    this.instances = [];
    this.series = new Map();
  }

  /** Takes the job as the node tells it; what was measured stays with the place of each instance. */
  take(view) {
    Object.assign(this, {
      state: view.state,
      reason: view.reason,
      retryAt: view.retry_at,
      restarts: view.restarts,
      deaths: view.deaths,
      desired: view.desired,
      target: view.max_processes,
      running: view.running,
      startedAt: view.started_at,
      may: view.may,
    });
    this.instances = view.instances.map((instance) => this.instance(instance));
    // The node tells when the youngest started, which says little of a job of several.
    const starts = this.instances.filter((one) => !one.once && one.startedAt != null).map((one) => one.startedAt);
    if (starts.length) this.startedAt = Math.min(...starts);
    const keys = new Set(this.instances.map((instance) => instance.key));
    for (const key of this.series.keys()) if (!keys.has(key)) this.series.delete(key);
  }

  instance(view) {
    // A one-off has no place that another one could have after it.
    const key = view.once ? `once-${view.pid}` : `${view.instance}`;
    if (!this.series.has(key)) this.series.set(key, new Series());
    const series = this.series.get(key);
    if (view.pid == null) series.now = null;
    return {
      key,
      job: this,
      number: view.instance,
      once: view.once,
      pid: view.pid,
      osPid: view.os_pid,
      state: view.state,
      reason: view.reason,
      retryAt: view.retry_at,
      restarts: view.restarts,
      startedAt: view.started_at,
      deaths: view.deaths,
      unlogged: view.unlogged,
      series,
    };
  }

  /** What its instances use now, all together. */
  total(kind) {
    let total = null;
    for (const { series } of this.instances) if (series.now) total = (total || 0) + series.now[kind];
    return total;
  }

  window(kind, count, ts) {
    return sum(this.instances.map(({ series }) => series.window(kind, count, ts)));
  }
}

export class Model {
  constructor() {
    this.jobs = new Map();
    this.byPid = new Map();
    /** The pids of one-offs, which what happens to them does not tell. */
    this.once = new Set();
  }

  /** Takes how some jobs stand. */
  takeSome(views) {
    views.forEach((view) => this.takeOne(view.name, view));
    this.index();
  }

  /** These are all that there are. */
  keepOnly(names) {
    for (const name of this.jobs.keys()) if (!names.has(name)) this.jobs.delete(name);
    this.index();
  }

  /** Takes how one job stands; without a view it is there no more. */
  takeOne(name, view) {
    if (!view) {
      this.jobs.delete(name);
      return;
    }
    if (!this.jobs.has(name)) this.jobs.set(name, new Job(name));
    this.jobs.get(name).take(view);
  }

  index() {
    this.byPid.clear();
    for (const job of this.jobs.values()) {
      for (const instance of job.instances) this.know(instance);
    }
  }

  know(instance) {
    if (instance.pid == null) return;
    this.byPid.set(instance.pid, instance);
    if (instance.once) this.once.add(instance.pid);
  }

  /** Takes what was measured of a process. */
  measure({ pid }, { cpu, rss, fds, threads }, ts) {
    const instance = this.byPid.get(pid);
    if (!instance || typeof rss !== 'number') return;
    instance.series.push(ts, { cpu, rss, fds, threads });
  }

  /** Nothing is measured at present. */
  forgetNow() {
    for (const instance of this.byPid.values()) instance.series.now = null;
  }
}
