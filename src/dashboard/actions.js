// What may be done with a job or a process. What ends something is asked about first.

import { h } from './dom.js';
import { ask, field } from './dialogs.js';
import { plural } from './format.js';

const SIGNALS = ['HUP', 'INT', 'TERM', 'KILL', 'USR1', 'USR2', 'QUIT', 'STOP', 'CONT', 'WINCH'];

const yes = (title, text, verb) => ask({ title, text, verb, isDangerous: true });

const running = (job) => plural(job.instances.filter((one) => one.pid != null).length, 'process');

/** Each gives a word of what it has done, or null if it was not to be done. */
const VERBS = {
  async start(channel, { job }) {
    await channel.command('start_job', [job.name]);
    return `Starting ${job.name}`;
  },
  async stop(channel, { job }) {
    if (!(await yes(`Stop ${job.name}?`, `This stops ${running(job)}. The job stays down until it is started again.`, 'Stop'))) return null;
    await channel.command('stop_job', [job.name]);
    return `Stopping ${job.name}`;
  },
  async restart(channel, { job }) {
    if (!(await yes(`Restart ${job.name}?`, `This restarts ${running(job)}, one after the other.`, 'Restart'))) return null;
    await channel.command('restart', [job.name]);
    return `Restarting ${job.name}`;
  },
  async more(channel, { job }) {
    const { numprocesses } = await channel.command('scale', [job.name, '+1']);
    return `${job.name} is to have ${plural(numprocesses, 'process')}`;
  },
  async less(channel, { job }) {
    const left = Math.max(0, job.target - 1);
    if (!(await yes(`Scale ${job.name} down?`, `One process is stopped, and ${left} ${left === 1 ? 'is' : 'are'} kept.`, 'Scale down'))) return null;
    await channel.command('scale', [job.name, '-1']);
    return `${job.name} is to have ${plural(left, 'process')}`;
  },
  async once(channel, { job }) {
    const text = 'One process more is started, and not kept alive: when it ends it is gone.';
    if (!(await ask({ title: `Run ${job.name} once?`, text, verb: 'Run once' }))) return null;
    await channel.command('commit', [job.name]);
    return `Running ${job.name} once`;
  },
  async signal(channel, { job, instance }) {
    const whom = instance ? `${job.name} #${instance.number}` : `all processes of ${job.name}`;
    const select = h('select', {}, ...SIGNALS.map((name) => h('option', { value: name }, `SIG${name}`)));
    const fields = [field('Signal', select)];
    const signal = await ask({ title: 'Send a signal', text: `To ${whom}.`, verb: 'Send', fields, read: () => select.value });
    if (!signal) return null;
    if (signal === 'KILL' && !(await yes('Send SIGKILL?', `It ends ${whom} at once, without a chance to put anything in order.`, 'Kill'))) return null;
    if (instance) await channel.command('kill', [instance.pid, signal]);
    else await channel.command('killall', [job.name, signal]);
    return `SIG${signal} was sent to ${whom}`;
  },
  async replace(channel, { job, instance }) {
    const after = instance.once ? 'It is not kept alive.' : 'Another one takes its place.';
    if (!(await yes(`Stop ${job.name} #${instance.number}?`, `Its process is stopped. ${after}`, 'Stop'))) return null;
    await channel.command('stop_process', [instance.pid]);
    return `Stopping ${job.name} #${instance.number}`;
  },
};

/** Does something, and says in a line what came of it. */
export async function act(verb, row, say) {
  try {
    const done = await VERBS[verb](row.node.channel, row);
    if (done) say(done);
  } catch (failure) {
    say(`${row.job.name}: ${failure.message}`, true);
  }
}
