// Which rows the table has, in which order: pure, from what is known and what somebody wishes to see.

/** The states in the order in which they need people. */
export const STATES = ['failed', 'backoff', 'waiting', 'stopping', 'starting', 'running', 'exited', 'stopped'];

/** A job has its instances unfolded unless they are more than these. */
const FEW = 6;

/** What somebody wishes to see. */
export function wishes() {
  return { text: '', node: '', states: new Set(), sort: 'name', down: false, grouped: true, folded: new Set(), unfolded: new Set() };
}

/** What is said of an instance: why it is so, and, where it is known what time it is there, what comes next. */
export function note(instance, now) {
  const parts = [];
  if (instance.once) parts.push('one-off');
  if (now && instance.retryAt != null) parts.push(`again in ${Math.ceil(Math.max(0, instance.retryAt - now))} s`);
  if (instance.reason) parts.push(instance.reason);
  if (instance.unlogged) parts.push(`its log cannot be written: ${Object.values(instance.unlogged).join(', ')}`);
  return parts.join(' · ');
}

/** The same of a job with several instances. */
export function noteOfJob(job, now) {
  if (job.instances.length === 1) return note(job.instances[0], now);
  if (!job.instances.length) return job.reason;
  const counts = STATES.map((state) => [state, job.instances.filter((one) => one.state === state).length]);
  return counts.filter(([, count]) => count).map(([state, count]) => `${count} ${state}`).join(', ');
}

/** How many places there are in each state; a job without any is one itself. */
export function counts(nodes) {
  const found = new Map(STATES.map((state) => [state, 0]));
  const add = (state) => found.set(state, (found.get(state) || 0) + 1);
  for (const node of nodes) {
    for (const job of node.model.jobs.values()) {
      if (job.instances.length) job.instances.forEach((one) => add(one.state));
      else add(job.state);
    }
  }
  return found;
}

// One for all comparisons: to make one costs more than to compare thousands.
const names = new Intl.Collator(undefined, { numeric: true });

const total = (job, kind) => job.total(kind) ?? -1;
const ORDERS = {
  node: (a, b) => names.compare(a.node.name, b.node.name),
  name: () => 0,
  state: (a, b) => STATES.indexOf(a.job.state) - STATES.indexOf(b.job.state),
  note: (a, b) => names.compare(a.job.reason || '', b.job.reason || ''),
  uptime: (a, b) => (a.job.startedAt ?? Infinity) - (b.job.startedAt ?? Infinity),
  restarts: (a, b) => b.job.restarts - a.job.restarts,
  cpu: (a, b) => total(b.job, 'cpu') - total(a.job, 'cpu'),
  memory: (a, b) => total(b.job, 'rss') - total(a.job, 'rss'),
};

/** Columns of which the largest stands first, until they are turned. */
export const LARGEST = new Set(['restarts', 'cpu', 'memory', 'uptime']);

const byName = (a, b) =>
  names.compare(a.job.session, b.job.session) ||
  names.compare(a.job.label, b.job.label) ||
  (a.node === b.node ? 0 : names.compare(a.node.name, b.node.name));

/** The rows: `{kind, key, …}` with a kind of `session`, `job` or `instance`. */
export function listing(nodes, wish) {
  const words = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
  const meant = (text) => words.every((word) => text.includes(word));
  const isWanted = (state) => !wish.states.size || wish.states.has(state);
  const found = [];
  for (const node of nodes) {
    for (const job of node.model.jobs.values()) {
      const text = `${job.name} ${node.name} ${job.reason || ''}`.toLowerCase();
      if (!meant(text)) continue;
      const instances = job.instances.filter((one) => isWanted(one.state));
      if (!instances.length && (job.instances.length || !isWanted(job.state))) continue;
      found.push({ node, job, instances });
    }
  }
  const order = ORDERS[wish.sort];
  const turn = wish.down ? -1 : 1;
  found.sort((a, b) => turn * (order(a, b) || (wish.sort === 'name' ? byName(a, b) : 0)) || byName(a, b));
  return wish.grouped ? inSessions(found, wish) : found.flatMap((one) => ofJob(one, wish));
}

function inSessions(found, wish) {
  const sessions = new Map();
  for (const one of found) {
    const { session } = one.job;
    if (!sessions.has(session)) sessions.set(session, []);
    sessions.get(session).push(one);
  }
  const rows = [];
  for (const [session, jobs] of sessions) {
    const key = `session ${session}`;
    const isFolded = wish.folded.has(key);
    rows.push({ kind: 'session', key, session, jobs, isFolded });
    if (!isFolded) rows.push(...jobs.flatMap((one) => ofJob(one, wish)));
  }
  return rows;
}

function ofJob({ node, job, instances }, wish) {
  const key = `job ${node.base} ${job.name}`;
  const several = job.instances.length > 1;
  const isFolded = several && (wish.folded.has(key) || (job.instances.length > FEW && !wish.unfolded.has(key) && !wish.states.size));
  const row = { kind: 'job', key, node, job, several, isFolded };
  if (!several || isFolded) return [row];
  const place = (instance) => ({ kind: 'instance', key: `${key} ${instance.key}`, node, job, instance });
  return [row, ...instances.map(place)];
}

/** Folds or unfolds what a row stands for. */
export function toggle(row, wish) {
  const [from, to] = row.isFolded ? [wish.folded, wish.unfolded] : [wish.unfolded, wish.folded];
  from.delete(row.key);
  to.add(row.key);
}
