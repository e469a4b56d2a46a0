// Pages in a browser: one of the node's own origin, which uses it, and those of others, which cannot.
'use strict';

const assert = require('node:assert');
const http = require('node:http');
const { Browser } = require('./browser.js');
const { main, server, until } = require('./gaffer.js');
const { Line, listening } = require('./line.js');

let browser;

async function aPageOfItsOwnSpeaksTheChannel() {
  const page = await browser.open(`${server.url}/ping`);
  const heard = await page.run(async (config) => {
    const socket = new WebSocket(`ws://${location.host}/channel/websocket`);
    const heard = [];
    const say = (event, data) => socket.send(JSON.stringify({ event, data }));
    return new Promise((resolve, reject) => {
      socket.onerror = () => reject(new Error('the websocket failed'));
      socket.onclose = () => resolve(heard);
      socket.onopen = () => {
        say('SUB', { topic: 'JOB:t.page' });
        say('CMD', { identity: '1', name: 'load', args: [config], kwargs: { sessionid: 't' } });
      };
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        heard.push(message);
        const told = message.data || {};
        if (told.event === 'job.t.page.spawn') {
          say('SUB', { topic: `STREAM:${told.pid}.out` });
          say('CMD', { identity: '2', name: 'send', args: [told.pid, 'from a page 🦀\n'] });
        } else if (told.event === 'out') {
          say('CMD', { identity: '3', name: 'unload', args: ['t.page'] });
        } else if (told.event === 'job.t.page.exit') {
          socket.close();
        }
      };
    });
  }, { name: 'page', cmd: 'cat', os_env: true, redirect_input: true, redirect_output: ['out'] });
  const results = heard.filter((m) => m.event === 'gaffer:command_success').map((m) => m.data.id);
  assert.deepStrictEqual(results, ['1', '2', '3']);
  const output = heard.find((m) => m.data && m.data.event === 'out');
  assert.strictEqual(output.data.data, 'from a page 🦀\n');
  // What a page changes by `fetch` it has to send as JSON.
  const statuses = await page.run(async () => {
    const post = (type) => fetch('/jobs/t', {
      method: 'POST',
      body: '{"name": "fetched", "cmd": "sleep 1000"}',
      headers: type && { 'Content-Type': type },
    });
    const answers = [await post(), await post('text/plain'), await post('application/json')];
    answers.push(await fetch('/jobs/t/fetched', { method: 'DELETE' }), await fetch('/jobs'));
    return answers.map((answer) => answer.status);
  });
  assert.deepStrictEqual(statuses, [415, 415, 200, 200, 200]);
}

async function anEventSourceGoesOnWhereItWas() {
  const through = await Line.to(new URL(server.url).port);
  const page = await browser.open(`${through.url}/ping`);
  const pid = await server.load({ name: 'loud', cmd: 'cat', redirect_input: true, redirect_output: ['out'], restart: 'never' });
  await page.run((pid) => {
    const read = (url, names) => {
      const source = new EventSource(url);
      const seen = { text: '', names: [], opens: 0, exit: null, state: () => source.readyState };
      source.onopen = () => (seen.opens += 1);
      source.onmessage = ({ data }) => seen.names.push(JSON.parse(data).name);
      source.addEventListener('out', ({ data }) => (seen.text += data));
      source.addEventListener('exit', ({ data }) => (seen.exit = JSON.parse(data)));
      return seen;
    };
    window.output = read(`/streams/${pid}/out?feed=eventsource`);
    window.loads = read('/watch/load?feed=eventsource');
  }, pid);
  const opened = (count) => () =>
    page.run((count) => output.opens >= count && loads.opens >= count, count);
  const seen = () => page.run(() => ({ text: output.text, names: loads.names, exit: output.exit }));
  await until('both are open', opened(1));
  let [text, names] = ['', []];
  for (let round = 0; round < 2; round += 1) {
    const goes = async (when) => {
      await server.does('POST', `/streams/${pid}/stdin`, `${when} ${round}\n`);
      await server.does('POST', '/jobs/seen', { name: `${when}${round}`, cmd: 'true', start: false });
      [text, names] = [`${text}${when} ${round}\n`, [...names, `seen.${when}${round}`]];
    };
    const hasAll = async () => {
      const now = await seen();
      return now.text === text && now.names.length === names.length;
    };
    await goes('before');
    await until('it has all', hasAll);
    through.breakAll();
    // While nobody is connected, and perhaps while it comes back.
    await goes('meanwhile');
    await until('both are open again', opened(round + 2));
    await until('it has all', hasAll);
  }
  assert.deepStrictEqual((await seen()).names, names);
  // When the process is over it is told so, and when it comes back there is none.
  await server.does('POST', `/streams/${pid}/stdin?close=1`, '');
  await until('its end is told', async () => (await seen()).exit);
  assert.strictEqual((await seen()).exit.exit_status, 0);
  await until('it does not come back', () => page.run(() => output.state() === EventSource.CLOSED));
}

/** What a page of another origin tries. It gives what it got out of that. */
async function tries(url) {
  const got = {};
  const job = '{"name": "evil", "cmd": "sleep 1000"}';
  const socket = (path) => new Promise((resolve) => {
    const socket = new WebSocket(url.replace('http', 'ws') + path);
    socket.onopen = () => resolve('open');
    socket.onclose = ({ code }) => resolve(code);
  });
  for (const path of ['/channel/websocket', '/channel/0/a/websocket', '/1/channel', '/wstreams/1']) {
    got[path] = await socket(path);
  }
  const source = (path) => new Promise((resolve) => {
    const source = new EventSource(url + path);
    source.onopen = () => resolve('open');
    source.onmessage = () => resolve('message');
    source.onerror = () => resolve(source.readyState);
  });
  for (const path of ['/watch?feed=eventsource&since=0', '/streams/1/out?feed=eventsource', '/channel/0/a/eventsource']) {
    got[path] = await source(path);
  }
  const fetched = async (path, options) => {
    try {
      const answer = await fetch(url + path, options);
      return answer.type === 'opaque' ? 'opaque' : answer.status;
    } catch (error) {
      return error.name;
    }
  };
  got.get = await fetched('/jobs');
  got.put = await fetched('/jobs/t/kept', { method: 'PUT', body: job });
  got.delete = await fetched('/jobs/t/kept', { method: 'DELETE' });
  got.json = await fetched('/jobs/t', { method: 'POST', body: job, headers: { 'Content-Type': 'application/json' } });
  got.xhr = await fetched('/channel/0/a/xhr', { method: 'POST' });
  // What a browser sends without asking, and whose answer it hides: the node's state is looked at.
  got.plain = await fetched('/jobs/t', { method: 'POST', body: job, mode: 'no-cors' });
  got.stop = await fetched('/jobs/t/kept/state', { method: 'POST', body: '0', mode: 'no-cors' });
  got.write = await fetched('/streams/1/stdin?close=1', { method: 'POST', body: 'x', mode: 'no-cors' });
  got.session = await fetched('/channel/0/a/xhr', { method: 'POST', mode: 'no-cors' });
  const element = (name, members) => new Promise((resolve) => {
    const made = Object.assign(document.createElement(name), members);
    made.onload = () => resolve('loaded');
    made.onerror = () => resolve('error');
    document.body.append(made);
  });
  window.stolen = () => (got.stolen = true);
  got.script = await element('script', { src: `${url}/jobs` });
  got.jsonp = await element('script', { src: `${url}/channel/0/a/jsonp?c=stolen` });
  got.image = await element('img', { src: `${url}/jobs` });
  const frame = document.createElement('iframe');
  frame.name = 'frame';
  document.body.append(frame);
  const form = Object.assign(document.createElement('form'), {
    action: `${url}/jobs/t`, method: 'POST', enctype: 'text/plain', target: 'frame',
  });
  const field = Object.assign(document.createElement('input'), { name: '{"name": "evil", "cmd": "x', value: '"}' });
  form.append(field);
  document.body.append(form);
  const sent = new Promise((resolve) => (frame.onload = resolve));
  form.submit();
  await sent;
  return got;
}

async function aPageOfAnotherOriginCanDoNothing() {
  const kept = await server.load({ name: 'kept', cmd: 'cat', redirect_input: true, redirect_output: ['out'] });
  const before = (await server.does('GET', '/debug/counters')).last_event;
  const elsewhere = http.createServer((_, answer) => {
    answer.setHeader('Content-Type', 'text/html');
    answer.end('<!doctype html><title>elsewhere</title><body>');
  });
  const port = await listening(elsewhere);
  // One is another origin of the same site, and one is of another site.
  for (const host of ['127.0.0.1', 'localhost']) {
    const page = await browser.open(`http://${host}:${port}/`);
    const got = await page.run(tries, server.url);
    assert.deepStrictEqual(got, {
      '/channel/websocket': 1006,
      '/channel/0/a/websocket': 1006,
      '/1/channel': 1006,
      '/wstreams/1': 1006,
      '/watch?feed=eventsource&since=0': 2,
      '/streams/1/out?feed=eventsource': 2,
      '/channel/0/a/eventsource': 2,
      get: 'TypeError',
      put: 'TypeError',
      delete: 'TypeError',
      json: 'TypeError',
      xhr: 'TypeError',
      plain: 'TypeError',
      stop: 'TypeError',
      write: 'TypeError',
      session: 'TypeError',
      script: 'error',
      jsonp: 'error',
      image: 'error',
    });
    const refused = page.said.filter((text) => text.includes('Unexpected response code: 403'));
    assert.strictEqual(refused.length, 4, page.said.join('\n'));
    // These were sent, and their answers forbid the browser to show anything of them.
    const hidden = page.said.filter((text) => text.includes('NotSameOrigin'));
    assert.strictEqual(hidden.length, 7, page.said.join('\n'));
  }
  const { jobs } = await server.does('GET', '/jobs/t');
  assert(!jobs.includes('t.evil'), jobs);
  assert.deepStrictEqual((await server.does('GET', '/jobs/t/kept/pids')).pids, [kept]);
  assert.strictEqual((await server.does('GET', '/debug/counters')).last_event, before);
  assert.strictEqual((await server.counters()).sessions, 0);
}

main(
  async () => (browser = await Browser.start()),
  async () => {
    try {
      await aPageOfItsOwnSpeaksTheChannel();
      await anEventSourceGoesOnWhereItWas();
      await aPageOfAnotherOriginCanDoNothing();
    } finally {
      await browser.close();
    }
  },
);
