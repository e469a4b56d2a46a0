// What the clients in Node share: one server, its REST API, and waits with a deadline.
'use strict';

const assert = require('node:assert');
const http = require('node:http');

// How long anything here may take before it has failed.
const PATIENCE = 30_000;

/** A promise that is broken when it takes too long. */
function soon(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${PATIENCE} ms in vain: ${what}`)), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until a function gives something. */
async function until(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The server at a URL. */
class Server {
  constructor(url) {
    this.url = url;
    this.ws = url.replace('http', 'ws');
  }

  /** One request; gives the status, the headers and the body, parsed where it is JSON. */
  ask(method, path, body, headers = {}) {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const answered = new Promise((resolve, reject) => {
      const request = http.request(this.url + path, { method, headers, agent: false }, (answer) => {
        let raw = '';
        answer.setEncoding('utf8').on('data', (piece) => (raw += piece));
        answer.on('error', reject).on('end', () => {
          const isJson = (answer.headers['content-type'] || '').startsWith('application/json');
          const body = isJson && raw ? JSON.parse(raw) : raw;
          resolve({ status: answer.statusCode, headers: answer.headers, body });
        });
      });
      request.on('error', reject).end(text);
    });
    return soon(`${method} ${path}`, answered);
  }

  /** A request that must be answered with success. */
  async does(method, path, body) {
    const answer = await this.ask(method, path, body);
    assert(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Loads a job into the session `t`, waits until it runs, and gives its process. */
  async load(job) {
    await this.does('POST', '/jobs/t?wait=running&timeout=30', { os_env: true, ...job });
    return (await this.does('GET', `/jobs/t/${job.name}/pids`)).pids[0];
  }

  counters() {
    return this.does('GET', '/debug/counters');
  }
}

/**
 * Messages in the order in which they came, of anything that has `onopen`, `onmessage` and `onclose`:
 * a WebSocket or a SockJS.
 */
class Talk {
  constructor(socket) {
    this.socket = socket;
    this.heard = [];
    this.wanted = [];
    this.opened = new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = (event) => reject(new Error(event.message || 'not opened'));
      this.closed = new Promise((ended) => {
        socket.onclose = ({ code, reason }) => {
          reject(new Error(`not opened: ${code} ${reason}`));
          ended({ code, reason });
        };
      });
    });
    socket.onmessage = ({ data }) => {
      const wants = this.wanted.shift();
      if (wants) wants(data);
      else this.heard.push(data);
    };
  }

  static async to(socket) {
    const talk = new Talk(socket);
    await soon('it opens', talk.opened);
    return talk;
  }

  hear(what = 'a message') {
    if (this.heard.length > 0) return Promise.resolve(this.heard.shift());
    return soon(what, new Promise((resolve) => this.wanted.push(resolve)));
  }

  /** The messages up to the first that fits, parsed. */
  async hearUntil(what, fits) {
    const heard = [];
    do heard.push(JSON.parse(await this.hear(what)));
    while (!fits(heard.at(-1)));
    return heard;
  }

  say(event, data) {
    this.socket.send(JSON.stringify({ event, data }));
  }

  /** Follows a topic; what comes before the answer is dropped. */
  async subscribe(topic, wishes = {}) {
    this.say('SUB', { topic, ...wishes });
    const answers = (m) => m.topic === topic && m.event.startsWith('gaffer:subscription_');
    const answer = (await this.hearUntil(`${topic} is followed`, answers)).at(-1);
    assert.strictEqual(answer.event, 'gaffer:subscription_success', JSON.stringify(answer));
  }

  /** A command's answer. What comes before it is dropped. */
  async command(name, args = [], kwargs = {}) {
    this.last = (this.last || 0) + 1;
    const identity = `${this.last}`;
    this.say('CMD', { identity, name, args, kwargs });
    const answers = (m) => m.event.startsWith('gaffer:command_') && m.data.id === identity;
    const { data } = (await this.hearUntil(`${name} is answered`, answers)).at(-1);
    return data.result || data.error;
  }

  async close() {
    this.socket.close();
    return soon('it closes', this.closed);
  }
}

/** Runs the parts of a script one after the other, and ends with what they came to. */
async function main(...parts) {
  try {
    for (const part of parts) await part();
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

module.exports = { PATIENCE, Server, Talk, main, soon, until, server: new Server(process.argv[2]) };
