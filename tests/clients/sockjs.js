// The channel over every transport of SockJS that its own client has in Node.
'use strict';

const assert = require('node:assert');
const SockJS = require('sockjs-client');
const { Talk, main, server, until } = require('./gaffer.js');

const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

async function allIsAsOnAWebsocket(transport) {
  const talk = await Talk.to(new SockJS(`${server.url}/channel`, null, { transports: [transport] }));
  assert.strictEqual(talk.socket.transport, transport);
  const name = transport.replace('-', '.');
  await talk.subscribe(`JOB:t.${name}`);
  const config = { name, cmd: 'cat', os_env: true, redirect_input: true, redirect_output: ['out'] };
  assert.deepStrictEqual(await talk.command('load', [config], { sessionid: 't' }), { ok: true });
  const isSpawn = (m) => m.data.event === `job.t.${name}.spawn`;
  const { pid } = (await talk.hearUntil('it starts', isSpawn)).at(-1).data;
  await talk.subscribe(`STREAM:${pid}`);
  await talk.subscribe(`STATS:${pid}`, { interval: 0.05 });
  // More than one response may carry, so that streams end and go on.
  const sent = 'line "with" \\ and ünï 🦀\u2028\n'.repeat(4000);
  let [rounds, echoed] = [4, ''];
  for (let round = 0; round < rounds; round += 1) {
    talk.say('CMD', { identity: `send${round}`, name: 'send', args: [pid, sent] });
  }
  let [answers, stats] = [0, 0];
  while (echoed.length < rounds * sent.length || answers < rounds || stats < 3) {
    const { event, data } = JSON.parse(await talk.hear('its echo'));
    if (event === 'gaffer:command_success') {
      assert.strictEqual(data.id, `send${answers}`);
      answers += 1;
    } else if (data.topic === `STREAM:${pid}`) {
      echoed += data.data;
    } else {
      assert.strictEqual(data.event, 'stat', JSON.stringify(data));
      stats += 1;
    }
  }
  assert(echoed === sent.repeat(rounds), 'what came back is not what was sent');
  talk.say('NOP');
  assert.strictEqual((await talk.command('nope')).reason, 'command_not_found');
  await server.does('DELETE', `/jobs/t/${name}`);
  await talk.hearUntil('it ends', (m) => m.data.event === `job.t.${name}.exit`);
  assert.deepStrictEqual(await talk.close(), { code: 1000, reason: 'Normal closure' });
}

async function whoComesBackMissesNothing(transport) {
  const open = () => Talk.to(new SockJS(`${server.url}/channel`, null, { transports: [transport] }));
  const first = await open();
  await first.subscribe('EVENTS:unload');
  const jobs = [1, 2, 3].map((number) => `${transport}${number}`);
  for (const name of jobs) {
    await server.does('POST', '/jobs/back', { name, cmd: 'sleep 1000', start: false });
  }
  await server.does('DELETE', `/jobs/back/${jobs[0]}`);
  const { data } = JSON.parse(await first.hear('the first'));
  assert.strictEqual(data.name, `back.${jobs[0]}`);
  await first.close();
  await server.does('DELETE', `/jobs/back/${jobs[1]}`);
  const second = await open();
  await second.subscribe('EVENTS:unload', { since: data.seq });
  await server.does('DELETE', `/jobs/back/${jobs[2]}`);
  for (const name of jobs.slice(1)) {
    assert.strictEqual(JSON.parse(await second.hear('the rest')).data.name, `back.${name}`);
  }
  await second.close();
}

main(
  ...TRANSPORTS.map((transport) => () => allIsAsOnAWebsocket(transport)),
  ...TRANSPORTS.map((transport) => () => whoComesBackMissesNothing(transport)),
  () => until('nobody is left', async () => (await server.counters()).sessions === 0),
);
