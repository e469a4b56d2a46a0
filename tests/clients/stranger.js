// Pages of strangers in a browser: whatever they try against a node as it is by default, or against one that asks
// for keys, they can read nothing of it and start nothing. That they did try is heard on the line to the node, and
// that a page could do it is shown by one of an origin that is let in, which tries the same.
// `stranger.js NODE PID FRIENDLY KEYED KEY PATTERNS`: three nodes, a key of the last, and the patterns of what is got,
// as JSON.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { Browser } = require('./browser.js');
const { Server, main, server, until } = require('./gaffer.js');
const { Line, listening } = require('./line.js');

const [friendlyUrl, keyedUrl, key, patterns] = process.argv.slice(4);

// The origin that the friendly node lets in.
const FRIEND = 'http://friend.test';
// What is in the environment of a job and in its output, and nowhere else.
const SECRET = 'k3pt-s3cr3t';
// Jobs that an attempt of this name finds there, and that were never started.
const ARMED = [
  'put', 'state', 'number', 'commit', 'state-unasked', 'state-by-form',
];
// What the page itself is told without a request.
const NO_REQUEST = ['measures of what was loaded'];

/** What a node is asked for to be read, with something in it at each place. */
const GETS = (pid) => JSON.parse(patterns).map((pattern) => pattern
  .replace('#pid', pid).replace('#instance', '1').replace(':session', 't').replace(':job', 'kept')
  .replace(':label', 'out').replace(/:part/g, 'job').replace(':name', 'x').replace('*rest', '').replace(':key', 'k').replace(':user', 'u'));

/** Some of it, which are answered at once. */
const FEW = ['/', '/jobs', '/jobs/t/kept'];

/** The server of all pages but the node's. */
async function pages() {
  const own = (name) => fs.readFileSync(name, 'utf8');
  const scripts = {
    '/hostile.js': own(path.join(__dirname, 'hostile.js')),
    '/sockjs.js': own(path.join(path.dirname(require.resolve('sockjs-client/package.json')), 'dist/sockjs.js')),
  };
  const served = http.createServer((request, answer) => {
    const { pathname, searchParams } = new URL(request.url, 'http://page');
    const to = searchParams.get('to');
    const page = (text) => answer.setHeader('Content-Type', 'text/html').end(`<!doctype html><body>${text}`);
    if (pathname === '/redirect') {
      answer.setHeader('Access-Control-Allow-Origin', request.headers.origin || '*');
      answer.writeHead(307, { Location: to }).end();
    } else if (pathname === '/reporting') {
      answer.setHeader('Content-Security-Policy', `default-src 'none'; report-uri ${to}`);
      page('<img src="/refused">');
    } else if (scripts[pathname]) {
      answer.setHeader('Content-Type', 'text/javascript').end(scripts[pathname]);
    } else {
      page('<script src="/hostile.js"></script><script src="/sockjs.js"></script>');
    }
  });
  return { port: await listening(served) };
}

/** A node with something to read and something to start, and what is to be seen of it from outside. */
class Target {
  static async at(url, key) {
    const target = new Target();
    target.server = url === server.url ? server : new Server(url);
    target.headers = key ? { 'X-Api-Key': key } : {};
    target.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'stranger-'));
    const load = (job, wait = '') => target.does('POST', `/jobs/t${wait}`, { os_env: true, ...job });
    const pid = async (name) => (await target.does('GET', `/jobs/t/${name}/pids`)).pids[0];
    const script = { shell: true, redirect_input: true, redirect_output: ['out'] };
    const running = '?wait=running&timeout=30';
    await load({ name: 'kept', cmd: 'echo "$WORD"; exec cat', env: { WORD: SECRET }, ...script }, running);
    await load({ name: 'heard', cmd: `read line; touch '${target.folder}/stdin'; exec cat`, ...script }, running);
    for (const name of ARMED) {
      await load({ name, cmd: `touch '${target.folder}/${name}'`, restart: 'never', start: false });
    }
    [target.kept, target.heard] = [await pid('kept'), await pid('heard')];
    const told = () => target.does('GET', `/streams/${target.kept}/out?feed=kept`);
    await until('the job has said its word', async () => (await told()).includes(SECRET));
    return target;
  }

  async does(method, path, body) {
    const answer = await this.server.ask(method, path, body, this.headers);
    assert(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** All that may not change. */
  async state() {
    const { last_event: events, sessions, feeds } = await this.does('GET', '/debug/counters');
    const state = { events, sessions, feeds, jobs: {}, files: this.files() };
    for (const name of (await this.does('GET', '/jobs')).jobs) {
      const of = `/jobs/${name.replace('.', '/')}`;
      const { config, state: is, desired, numprocesses, instances } = await this.does('GET', of);
      const processes = instances.map(({ pid, os_pid: osPid, state: does }) => ({ pid, osPid, does }));
      state.jobs[name] = { config, is, desired, numprocesses, processes };
    }
    return state;
  }

  files() {
    return fs.readdirSync(this.folder).sort();
  }

  close() {
    fs.rmSync(this.folder, { recursive: true });
  }
}

/** All attempts of a kind from a page, one after the other: what each came to, and what was asked for it. */
async function tried(page, kind, node, line) {
  const names = await page.run((kind, node) => Object.keys(window.hostile[kind](node)), kind, node);
  const tries = {};
  for (const name of names) {
    const before = line.exchanges.length;
    const got = await page.run((kind, node, name) => window.hostile[kind](node)[name](name), kind, node, name);
    const asked = () => line.exchanges.slice(before);
    if (!NO_REQUEST.includes(name)) {
      await until(`${name} asks and is answered`, () => asked().length > 0 && asked().every(({ status }) => status));
    }
    tries[name] = { got: got || null, asked: asked() };
  }
  return tries;
}

/** What a page is told of a node: where it is, what runs there, and from where pages of the stranger come. */
function about(target, url, pages, others) {
  const { kept: pid, heard, folder } = target;
  return { url, pid, heard, folder, gets: GETS(pid), pages, others };
}

/**
 * How a stranger comes to a node: under which name, by which of it, and what its requests are answered. Those that
 * are much like another one get only some of all that there is to get.
 */
const STRANGERS = {
  // Another origin of the same site, and one of another site.
  'another port': { own: '127.0.0.1', others: 'localhost', at: '127.0.0.1', status: 403 },
  'another name': { own: 'localhost', others: '127.0.0.1', at: '127.0.0.1', status: 403, few: true },
  // Addresses of which browsers do not know that they are this machine's: who asks for a picture is not said there.
  'the address of all': { own: 'evil.test', others: 'localhost', at: '0.0.0.0', status: 421 },
  'an address of another kind': {
    own: 'evil.test', others: 'localhost', at: '[::ffff:127.0.0.1]', status: 421, few: true,
  },
  // A name that led to the stranger when the page was loaded, and then leads to the node: it is one origin.
  'a name that was rebound': { own: 'evil.test', others: 'localhost', at: 'evil.test', status: 421, rebound: true },
};

async function aStrangerCanDoNothing(browser, port, target, name) {
  const { own, others, at, status, rebound, few } = STRANGERS[name];
  const before = await target.state();
  const nodePort = new URL(target.server.url).port;
  const line = await Line.to(rebound ? port : nodePort);
  const page = await browser.open(`http://${own}:${rebound ? line.own : port}/`);
  line.breakAll();
  [line.port, line.exchanges.length] = [nodePort, 0];
  const node = about(target, `http://${at}:${line.own}`, `http://${own}:${port}`, `http://${others}:${port}`);
  if (few) node.gets = FEW;
  for (const kind of ['reading', 'starting', 'ending']) {
    for (const [way, { got, asked }] of Object.entries(await tried(page, kind, node, line))) {
      const what = `${way}, from ${name}: ${got}\n${asked.map(({ method, path }) => `${method} ${path}`).join('\n')}`;
      // Where the page has the node's own origin it may read what it is answered, and that is that it is refused.
      assert(got === null || (rebound && !got.includes(SECRET)), what);
      const refused = asked.filter(({ path }) => path !== '/favicon.ico');
      refused.forEach((exchange) => assert.strictEqual(exchange.status, status, `${exchange.path} for ${what}`));
    }
  }
  assert.deepStrictEqual(await target.state(), before, name);
  line.close();
}

/** What a page of an origin that is let in reads the secret by, and by what it has a job run. */
const FRIENDLY = {
  reading: [
    'fetch', 'fetch with credentials', 'fetch with a key', 'fetch without a referrer', 'fetch of a feed',
    'fetch over a redirect', 'xhr', 'source: output', 'included /jobs/t/kept',
  ],
  opened: [
    'a channel', 'a raw session', 'a process', 'a stream of a process', 'a plain process', 'session: greeting',
    'session: info', 'session: xhr', 'session: xhr_streaming', 'session: eventsource', 'source: events',
    'source: events of a job', 'source: statistics', 'source: statistics of a job', 'SockJS: websocket',
    'SockJS: xhr-streaming', 'SockJS: eventsource', 'SockJS: xhr-polling', 'included /', 'included /jobs',
  ],
  starting: [
    'beacon-json', 'channel', 'commit', 'json', 'json-kept-alive', 'json-with-credentials', 'put', 'session',
    'session-by-form', 'session-unasked', 'sockjs-eventsource', 'sockjs-websocket', 'sockjs-xhr-polling',
    'sockjs-xhr-streaming', 'state', 'stdin', 'xhr',
  ],
};

async function aFriendCan(browser, port, target) {
  const line = await Line.to(new URL(target.server.url).port);
  const page = await browser.open(`${FRIEND}/`);
  const node = about(target, line.url, FRIEND, `http://localhost:${port}`);
  // Many of all go on until something happens.
  node.gets = FEW;
  const read = await tried(page, 'reading', node, line);
  const got = (way) => read[way].got || '';
  const seen = (fits) => Object.keys(read).filter(fits).sort();
  assert.deepStrictEqual(seen((way) => got(way).includes(SECRET)), [...FRIENDLY.reading].sort());
  const opened = (way) => /^(200|open|message|event) ?/.test(got(way)) && !got(way).includes(SECRET);
  assert.deepStrictEqual(seen(opened), [...FRIENDLY.opened].sort());
  await tried(page, 'starting', node, line);
  await until('all that was started has run', () => target.files().length >= FRIENDLY.starting.length);
  assert.deepStrictEqual(target.files(), FRIENDLY.starting);
  await tried(page, 'ending', node, line);
  const { jobs } = await target.does('GET', '/jobs');
  assert(!jobs.includes('t.kept'), 'what ends reaches what is there');
  line.close();
}

main(async () => {
  const { port } = await pages();
  const rules = [`MAP friend.test:80 127.0.0.1:${port}`, 'MAP evil.test 127.0.0.1', 'MAP *.net ~NOTFOUND'];
  const browser = await Browser.start([`--host-resolver-rules=${rules.join(', ')}`]);
  const targets = [];
  const target = async (...node) => targets[targets.push(await Target.at(...node)) - 1];
  try {
    await aFriendCan(browser, port, await target(friendlyUrl));
    const byDefault = await target(server.url);
    for (const name of Object.keys(STRANGERS)) await aStrangerCanDoNothing(browser, port, byDefault, name);
    await aStrangerCanDoNothing(browser, port, await target(keyedUrl, key), 'another port');
  } finally {
    await browser.close();
    targets.forEach((one) => one.close());
  }
});
