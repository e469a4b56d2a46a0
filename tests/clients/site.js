// A site plugin in a browser: its page has all of its own folder, and shows live statistics over SockJS.
// `site.js NODE PID`, with the site of tests/clients/site in the plugin `live` of the node.
'use strict';

const assert = require('node:assert');
const { Browser } = require('./browser.js');
const { main, server, until } = require('./gaffer.js');

let browser;
let pid;

/** What the page shows of the process. */
function shown(pid) {
  const found = document.getElementById(`process-${pid}`);
  if (!found) return null;
  const [process, cpu, rss] = [...found.cells].map((cell) => Number(cell.textContent));
  return { process, cpu, rss, times: Number(found.dataset.times) };
}

async function aPageShowsLiveStatistics(transport) {
  const wish = transport ? `&transport=${transport}` : '';
  // Without the slash, as people type it.
  const page = await browser.open(`${server.url}/_plugin/live?job=t.busy${wish}`);
  assert.strictEqual(await page.run(() => location.pathname), '/_plugin/live/');
  const live = await until('it has been told several times', async () => {
    const now = await page.run(shown, pid);
    return now && now.times >= 5 && now.cpu > 0 ? now : null;
  });
  assert.strictEqual(live.process, pid);
  assert(live.rss > 100_000, JSON.stringify(live));
  await until('it goes on', async () => (await page.run(shown, pid)).times > live.times + 3);
  const state = await page.run(() => document.getElementById('state').textContent);
  assert.strictEqual(state, transport || 'websocket');
  return page;
}

async function aPageHasItsOwnAndNothingElse() {
  const page = await aPageShowsLiveStatistics();
  const seen = await page.run(async () => {
    const blocked = new Promise((resolve) => {
      document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true });
    });
    const element = (name, members) => new Promise((resolve) => {
      const made = Object.assign(document.createElement(name), members);
      made.onload = () => resolve('loaded');
      made.onerror = () => resolve('refused');
      document.body.append(made);
    });
    const elsewhere = `http://localhost:${location.port}`;
    const script = await element('script', { src: `${elsewhere}/_plugin/live/live.js` });
    const violated = await blocked;
    const fetched = await fetch(`${elsewhere}/ping`).then(() => 'fetched', (error) => error.name);
    const own = await fetch('../../jobs').then((answer) => answer.status);
    return {
      script,
      violated,
      fetched,
      own,
      inline: window.inline === undefined,
      style: getComputedStyle(document.querySelector('h1')).fontSize,
      inlineStyle: getComputedStyle(document.createElement('td') && document.querySelector('#state')).color,
      image: document.getElementById('dot').naturalWidth,
    };
  });
  assert.deepStrictEqual(seen, {
    script: 'refused',
    violated: 'script-src-elem',
    fetched: 'TypeError',
    own: 200,
    inline: true,
    style: '17px',
    inlineStyle: 'rgb(128, 128, 128)',
    image: 1,
  });
}

async function aPageOfElsewhereHasNothingOfASite() {
  // Another origin, as the name is another.
  const page = await browser.open(`${server.url.replace('127.0.0.1', 'localhost')}/ping`);
  const seen = await page.run(async (site) => {
    const element = (name, members) => new Promise((resolve) => {
      const made = Object.assign(document.createElement(name), members);
      made.onload = () => resolve('loaded');
      made.onerror = () => resolve('refused');
      document.body.append(made);
    });
    return [
      await element('script', { src: `${site}/live.js` }),
      await element('img', { src: `${site}/dot.gif` }),
      await fetch(`${site}/live.js`).then(() => 'fetched', () => 'refused'),
      await fetch(`${site}/live.js`, { mode: 'no-cors' }).then(() => 'fetched', () => 'refused'),
    ];
  }, `${server.url}/_plugin/live`);
  assert.deepStrictEqual(seen, ['refused', 'refused', 'refused', 'refused']);
}

main(
  async () => {
    pid = await server.load({ name: 'busy', cmd: 'sh', args: ['-c', 'while :; do :; done'] });
    browser = await Browser.start();
  },
  async () => {
    try {
      await aPageHasItsOwnAndNothingElse();
      await aPageShowsLiveStatistics('xhr-streaming');
      await aPageOfElsewhereHasNothingOfASite();
    } finally {
      await browser.close();
      await server.does('DELETE', '/jobs/t/busy?wait=stopped');
    }
  },
);
