// What may be done with a job or a process. What ends something is asked about first.

import { h } from './dom.js';
import { ask, field } from './dialogs.js';
import { plural } from './format.js';

const SIGNALS = ['HUP', 'INT', 'TERM', 'KILL', 'USR1', 'USR2', 'QUIT', 'STOP', 'CONT', 'WINCH'];

const yes = (title, text, verb) => ask({ title, text, verb, isDangerous: true });

/** A job; of several nodes with that on which it is. */
const named = ({ job, node }) => (node.isOneOfMany ? `${job.name} on ${node.name}` : job.name);

/** One of its processes. */
const placed = ({ job, node, instance }) => {
  const place = instance.once ? 'one-off' : `#${instance.number}`;
  return node.isOneOfMany ? `${job.name} ${place} on ${node.name}` : `${job.name} ${place}`;
};

const running = (job) => plural(job.instances.filter((one) => one.pid != null).length, 'process');

/** Each gives a word of what it has done, or null if it was not to be done. */
const VERBS = {
  async start(channel, row) {
    const { job } = row;
    await channel.command('start_job', [job.name]);
    return `Starting ${named(row)}`;
  },
  async stop(channel, row) {
    const { job } = row;
    if (!(await yes(`Stop ${named(row)}?`, `This stops ${running(job)}. The job stays down until it is started again.`, 'Stop'))) return null;
    await channel.command('stop_job', [job.name]);
    return `Stopping ${named(row)}`;
  },
  async restart(channel, row) {
    const { job } = row;
    if (!(await yes(`Restart ${named(row)}?`, `This restarts ${running(job)}, one after the other.`, 'Restart'))) return null;
    await channel.command('restart', [job.name]);
    return `Restarting ${named(row)}`;
  },
  async more(channel, row) {
    const { job } = row;
    const { numprocesses } = await channel.command('scale', [job.name, '+1']);
    return `${named(row)} is to have ${plural(numprocesses, 'process')}`;
  },
  async less(channel, row) {
    const { job } = row;
    const left = Math.max(0, job.target - 1);
    if (!(await yes(`Scale ${named(row)} down?`, `One process is stopped, and ${left} ${left === 1 ? 'is' : 'are'} kept.`, 'Scale down'))) return null;
    await channel.command('scale', [job.name, '-1']);
    return `${named(row)} is to have ${plural(left, 'process')}`;
  },
  async once(channel, row) {
    const { job } = row;
    const text = 'One process more is started, and not kept alive: when it ends it is gone.';
    if (!(await ask({ title: `Run ${named(row)} once?`, text, verb: 'Run once' }))) return null;
    await channel.command('commit', [job.name]);
    return `Running ${named(row)} once`;
  },
  async signal(channel, row) {
    const { job, instance } = row;
    const whom = instance ? placed(row) : `all processes of ${named(row)}`;
    const select = h('select', {}, ...SIGNALS.map((name) => h('option', { value: name }, `SIG${name}`)));
    const fields = [field('Signal', select)];
    const signal = await ask({ title: 'Send a signal', text: `To ${whom}.`, verb: 'Send', fields, read: () => select.value });
    if (!signal) return null;
    if (signal === 'KILL' && !(await yes('Send SIGKILL?', `It ends ${whom} at once, without a chance to put anything in order.`, 'Kill'))) return null;
    if (instance) await channel.command('kill', [instance.pid, signal]);
    else await channel.command('killall', [job.name, signal]);
    return `SIG${signal} was sent to ${whom}`;
  },
  async replace(channel, row) {
    const { job, instance } = row;
    const after = instance.once ? 'It is not kept alive.' : 'Another one takes its place.';
    if (!(await yes(`Stop ${placed(row)}?`, `Its process is stopped. ${after}`, 'Stop'))) return null;
    await channel.command('stop_process', [instance.pid]);
    return `Stopping ${placed(row)}`;
  },
};

/** Does something, and says in a line what came of it. */
export async function act(verb, row, say) {
  try {
    const done = await VERBS[verb](row.node.channel, row);
    if (done) say(done);
  } catch (failure) {
    say(`${named(row)}: ${failure.message}`, true);
  }
}
