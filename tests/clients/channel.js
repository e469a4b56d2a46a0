// The channel over `ws`: events, commands, a stream, statistics, and coming back with `since`.
'use strict';

const assert = require('node:assert');
const WebSocket = require('ws');
const { Talk, main, server, soon, until } = require('./gaffer.js');

const open = () => Talk.to(new WebSocket(`${server.ws}/channel/websocket`));

async function aJobFromItsLoadToItsEnd() {
  const talk = await open();
  await talk.subscribe('JOB:app.web');
  const config = {
    name: 'web',
    cmd: 'cat',
    os_env: true,
    redirect_input: true,
    redirect_output: ['out'],
  };
  assert.deepStrictEqual(await talk.command('load', [config], { sessionid: 'app' }), { ok: true });
  const isSpawn = (m) => m.data.event === 'job.app.web.spawn';
  const { pid } = (await talk.hearUntil('it starts', isSpawn)).at(-1).data;
  await talk.subscribe(`STREAM:${pid}.out`);
  await talk.subscribe(`STATS:${pid}`, { interval: 0.1 });
  assert.deepStrictEqual(await talk.command('send', [pid, 'hello 🦀\n']), { ok: true });
  const isOutput = (m) => m.data.topic === `STREAM:${pid}.out`;
  const output = (await talk.hearUntil('it answers', isOutput)).at(-1).data;
  assert.strictEqual(output.data, 'hello 🦀\n');
  for (let count = 0; count < 3; count += 1) {
    const stat = (await talk.hearUntil('it is measured', (m) => m.data.event === 'stat')).at(-1).data;
    assert.strictEqual(stat.pid, pid);
    assert.match(stat.mem_info1, /^\d+[BKMG]$/);
  }
  assert.deepStrictEqual(await talk.command('scale', ['app.web', '=2']), { numprocesses: 2 });
  await talk.hearUntil('the second starts', isSpawn);
  assert.deepStrictEqual(await talk.command('kill', [pid, 'KILL']), { ok: true });
  const isExit = (m) => m.data.event === 'job.app.web.exit';
  const exit = (await talk.hearUntil('it is killed', isExit)).at(-1).data;
  assert.strictEqual(exit.term_signal, 9);
  assert.strictEqual(exit.pid, pid);
  assert.deepStrictEqual(await talk.command('unload', ['app.web']), { ok: true });
  assert.strictEqual((await talk.command('info', ['app.web'])).errno, 404);
  assert.strictEqual((await talk.close()).code, 1005);
}

async function nothingIsMissedByWhoComesBack() {
  let talk = await open();
  await talk.subscribe('EVENTS:load');
  const seen = [];
  let since;
  // A line that breaks again and again, while jobs are loaded all along.
  for (let number = 0; number < 20; number += 1) {
    await server.does('POST', '/jobs/back', { name: `j${number}`, cmd: 'sleep 1000', start: false });
    if (number % 4 === 1) {
      talk.socket.terminate();
      await soon('it is broken', talk.closed);
      talk = await open();
      await talk.subscribe('EVENTS:load', since === undefined ? {} : { since });
    } else if (number % 4 === 0) {
      const { data } = JSON.parse(await talk.hear('a load'));
      seen.push(data.name);
      since = data.seq;
    }
    while (number % 4 !== 0 && talk.heard.length > 0) {
      const { data } = JSON.parse(await talk.hear());
      seen.push(data.name);
      since = data.seq;
    }
  }
  while (seen.at(-1) !== 'back.j19') {
    const { data } = JSON.parse(await talk.hear('the last load'));
    seen.push(data.name);
  }
  assert.deepStrictEqual(seen, Array.from({ length: 20 }, (_, number) => `back.j${number}`));
  await talk.close();
}

async function aPongAnswersAPing() {
  const talk = await open();
  const pong = new Promise((resolve) => talk.socket.once('pong', (data) => resolve(`${data}`)));
  talk.socket.ping('are you there');
  assert.strictEqual(await soon('a pong', pong), 'are you there');
  // Fragments are one message.
  talk.socket.send('{"event": "CMD", "data": {"identity": 1,', { fin: false });
  talk.socket.send(' "name": "jobs"}}', { fin: true });
  assert.strictEqual(JSON.parse(await talk.hear()).data.id, 1);
  // What is too long ends it.
  talk.socket.send('x'.repeat(2 * 1024 * 1024));
  assert.strictEqual((await soon('it ends', talk.closed)).code, 1009);
}

async function whatIsNoWebsocketIsRefused() {
  for (const [path, headers, status] of [
    ['/channel/websocket', { Origin: 'http://elsewhere.example' }, 403],
    ['/channel/0/a/websocket', { Origin: 'http://elsewhere.example' }, 403],
    ['/1/channel', { Origin: 'http://elsewhere.example' }, 403],
    ['/wstreams/1', { Origin: 'null' }, 403],
    ['/channel/websocket', { Host: 'elsewhere.example' }, 421],
    ['/jobs', {}, 200],
    ['/nothing', {}, 404],
  ]) {
    const socket = new WebSocket(server.ws + path, { headers });
    const answered = new Promise((resolve) => {
      socket.on('unexpected-response', (_, answer) => resolve(answer.statusCode));
      socket.on('open', () => resolve('open'));
      socket.on('error', (error) => resolve(error.message));
    });
    assert.strictEqual(await soon('an answer', answered), status, path);
    socket.on('error', () => {}).terminate();
  }
}

main(
  aJobFromItsLoadToItsEnd,
  nothingIsMissedByWhoComesBack,
  aPongAnswersAPing,
  whatIsNoWebsocketIsRefused,
  () => until('nobody is left', async () => (await server.counters()).sessions === 0),
);
