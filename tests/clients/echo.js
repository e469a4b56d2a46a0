// SockJS's own client against a server with the services of the protocol's tests.
'use strict';

const assert = require('node:assert');
const SockJS = require('sockjs-client');
const { Talk, main, server, soon } = require('./gaffer.js');

const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];
const TEXTS = [
  'x',
  '',
  '"\'\\/\b\f\n\r\t\u0000\u007f',
  '\u00ad\u0600\u200c\u2028\u2029\ufeff\ufff0\uffff',
  'ünï©ode 🦀 日本語',
  '{"json": ["in", "a", "text"]}',
  'a["frame"]',
  'long '.repeat(20_000),
];

async function whatIsSaidComesBack(service, transport) {
  const talk = await Talk.to(new SockJS(`${server.url}/${service}`, null, { transports: [transport] }));
  assert.strictEqual(talk.socket.transport, transport);
  // All at once, then one after the other.
  TEXTS.forEach((text) => talk.socket.send(text));
  for (const text of TEXTS) assert.strictEqual(await talk.hear(`${transport}: its echo`), text);
  for (const text of TEXTS) {
    talk.socket.send(text);
    assert.strictEqual(await talk.hear(`${transport}: its echo`), text);
  }
  // Many, so that responses of 4096 bytes end and are asked for again.
  for (let number = 0; number < 2000; number += 1) talk.socket.send(`message ${number}`);
  for (let number = 0; number < 2000; number += 1) {
    assert.strictEqual(await talk.hear(`${transport}: message ${number}`), `message ${number}`);
  }
  assert.deepStrictEqual(await talk.close(), { code: 1000, reason: 'Normal closure' });
}

async function whatTheServerClosesIsClosed(transport) {
  const talk = await Talk.to(new SockJS(`${server.url}/close`, null, { transports: [transport] }));
  const end = await soon(`${transport}: its end`, talk.closed);
  assert.deepStrictEqual(end, { code: 3000, reason: 'Go away!' });
}

async function withoutWebsocketsAnotherTransportIsFound() {
  const talk = await Talk.to(new SockJS(`${server.url}/disabled_websocket_echo`));
  assert.strictEqual(talk.socket.transport, 'xhr-streaming');
  talk.socket.send('x');
  assert.strictEqual(await talk.hear(), 'x');
  await talk.close();
}

main(
  ...TRANSPORTS.map((transport) => () => whatIsSaidComesBack('echo', transport)),
  ...TRANSPORTS.slice(1).map((transport) => () => whatIsSaidComesBack('cookie_needed_echo', transport)),
  ...TRANSPORTS.map((transport) => () => whatTheServerClosesIsClosed(transport)),
  withoutWebsocketsAnotherTransportIsFound,
);
