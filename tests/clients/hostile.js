// Runs in a page: all that a page of a stranger can try against a node. What reads gives what it could read of
// it, as text, or null; what starts tries to have a job run that leaves a file of the attempt's own name.
'use strict';

// How long an attempt may take to come to something, as one whose answer is never told.
const LATE = 15_000;

const soon = (promise) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, LATE, 'LATE'))]);
const failed = () => null;

/** What is seen of an answer: nothing of one that is opaque. */
async function seen(answer) {
  if (answer.type === 'opaque' || answer.type === 'opaqueredirect') return null;
  const { value } = await answer.body.getReader().read();
  return `${answer.status} ${new TextDecoder().decode(value)}`;
}

const fetched = (url, options) => fetch(url, options).then(seen).catch(failed);

function asked(method, url, body, type) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.onprogress = () => resolve(`${request.status} ${request.responseText}`);
    request.onloadend = () => resolve(request.status ? `${request.status} ${request.responseText}` : null);
    request.open(method, url);
    if (type) request.setRequestHeader('Content-Type', type);
    request.withCredentials = true;
    request.send(body);
  });
}

/** The first message of a websocket after what is said to it; `open` if there is none. */
function talked(url, says = [], hears = true) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    let heard = null;
    socket.onopen = () => {
      heard = 'open';
      says.forEach((text) => socket.send(text));
      if (!hears) socket.close();
    };
    socket.onmessage = ({ data }) => {
      heard = `message ${data instanceof Blob ? 'in binary' : data}`;
      socket.close();
    };
    socket.onclose = () => resolve(heard);
  });
}

/** The first event of a source; `open` if there is none when it has been open. */
function listened(url, names) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    const tell = (what) => {
      source.close();
      resolve(what);
    };
    names.forEach((name) => source.addEventListener(name, ({ data }) => tell(`event ${data}`)));
    source.onerror = () => tell(null);
  });
}

/** An element in the page, and whether it could be loaded. */
function element(kind, members) {
  return soon(new Promise((resolve) => {
    const made = Object.assign(typeof kind === 'string' ? document.createElement(kind) : kind, members);
    made.onload = () => resolve('loaded');
    made.onerror = () => resolve(null);
    document.body.append(made);
  }));
}

/** What can be read of a window: its text, where it is ours to see, or how many frames it has. */
function shown(frame) {
  try {
    return frame.document.documentElement.textContent || null;
  } catch {
    return frame.length > 0 ? `${frame.length} frames` : null;
  }
}

function framed(url) {
  return soon(new Promise((resolve) => {
    const frame = Object.assign(document.createElement('iframe'), { src: url });
    const tell = (what) => {
      frame.remove();
      resolve(what);
    };
    frame.onload = () => tell(shown(frame.contentWindow));
    frame.onerror = () => tell(null);
    document.body.append(frame);
  }));
}

/** A window of its own; it is looked at as soon as it is no longer the empty one that it was at first. */
function popped(url) {
  return soon(new Promise((resolve) => {
    const opened = window.open(url);
    const look = () => {
      const href = (() => {
        try {
          return opened.location.href;
        } catch {
          return 'hidden';
        }
      })();
      const begun = href === 'hidden' || (href !== 'about:blank' && opened.document.readyState === 'complete');
      if (!begun) return setTimeout(look, 10);
      const what = shown(opened);
      opened.close();
      return resolve(what);
    };
    look();
  }));
}

/** What can be seen of what is embedded. That it is loaded says nothing: so is every refusal. */
async function embedded(url) {
  const made = document.createElement('embed');
  await element(made, { src: url });
  return made.getSVGDocument() && 'a document';
}

/** A form that is sent into a frame. */
function submitted(url, type, fields, members = {}) {
  const frame = Object.assign(document.createElement('iframe'), { name: `frame${Math.random()}` });
  document.body.append(frame);
  const form = Object.assign(document.createElement('form'), {
    action: url, method: 'POST', enctype: type, target: frame.name, ...members,
  });
  fields.forEach(([name, value]) => {
    form.append(Object.assign(document.createElement('input'), { name, value }));
  });
  document.body.append(form);
  return soon(new Promise((resolve) => {
    frame.onload = () => resolve(shown(frame.contentWindow));
    form.submit();
  }));
}

/** Runs a script in a frame that is of no origin at all, and gives what that tells. */
function sandboxed(script) {
  return soon(new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = `<script>(${script})().then((got) => parent.postMessage(got, '*'))</script>`;
    window.addEventListener('message', ({ source, data }) => {
      if (source === frame.contentWindow) resolve(data);
    });
    document.body.append(frame);
  }));
}

/** The client of SockJS as people use it, over one of its transports. */
function overSockJs(url, transport, says = []) {
  return soon(new Promise((resolve) => {
    const socket = new SockJS(`${url}/channel`, null, { transports: [transport] });
    let heard = null;
    socket.onopen = () => {
      heard = 'open';
      says.forEach((text) => socket.send(text));
      if (says.length === 0) socket.close();
    };
    socket.onmessage = ({ data }) => {
      heard = data;
      socket.close();
    };
    socket.onclose = () => resolve(heard);
  }));
}

/** What the list of what was loaded tells of it, which is measured for everybody: no status and no size. */
function measured(url) {
  const entries = performance.getEntriesByType('resource').filter(({ name }) => name.startsWith(url));
  const told = entries.filter((entry) => entry.responseStatus || entry.transferSize || entry.decodedBodySize);
  return told.length === 0 ? null : JSON.stringify(told);
}

const TRANSPORTS = [
  'websocket', 'xhr-streaming', 'xdr-streaming', 'eventsource', 'iframe-eventsource', 'htmlfile', 'iframe-htmlfile',
  'xhr-polling', 'xdr-polling', 'iframe-xhr-polling', 'jsonp-polling',
];
const JSON_TYPE = { 'Content-Type': 'application/json' };
const TEXT_TYPE = { 'Content-Type': 'text/plain' };
const FORM_TYPE = { 'Content-Type': 'application/x-www-form-urlencoded' };

/** A way to hear that a script called a function of ours. */
function called(name) {
  return new Promise((resolve) => (window[name] = (what) => resolve(`called ${what}`)));
}

/** What reads, by its name. */
function reading(node) {
  const [kept, out] = ['/jobs/t/kept', `/streams/${node.pid}/out`];
  const ws = node.url.replace('http', 'ws');
  const at = (path) => node.url + path;
  const watch = JSON.stringify({ event: 'SUB', data: { topic: 'EVENTS', since: 0 } });
  const ways = {
    'fetch': () => fetched(at(kept)),
    'fetch with credentials': () => fetched(at(kept), { credentials: 'include' }),
    'fetch with a key': () => fetched(at(kept), { headers: { 'X-Api-Key': 'guess' } }),
    'fetch without cors': () => fetched(at(kept), { mode: 'no-cors', credentials: 'include' }),
    'fetch without a referrer': () => fetched(at(kept), { referrerPolicy: 'no-referrer' }),
    'fetch of a feed': () => fetched(at(`${out}?feed=continuous&since=0`)),
    'fetch over a redirect': () => fetched(`${node.pages}/redirect?to=${encodeURIComponent(at(kept))}`),
    'xhr': () => asked('GET', at(kept)),
    'sandboxed fetch': () => sandboxed(`() => fetch('${at(kept)}').then((a) => a.text()).catch(() => null)`),
    'manifest and preloads': async () => {
      const links = [
        { rel: 'stylesheet', href: at(kept) },
        { rel: 'modulepreload', href: at(kept) },
        { rel: 'preload', as: 'fetch', crossOrigin: '', href: at(kept) },
        { rel: 'preload', as: 'script', href: at(kept) },
      ];
      const got = await Promise.all(links.map((link) => element('link', link)));
      return got.find(Boolean) || null;
    },
    'module': () => element('script', { type: 'module', src: at('/jobs/t') }),
    'worker': () => soon(new Promise((resolve) => {
      const text = `try { importScripts('${at(kept)}'); postMessage('loaded') } catch { postMessage(null) }`;
      const worker = new Worker(URL.createObjectURL(new Blob([text])));
      worker.onmessage = ({ data }) => resolve(data);
    })),
    'video': () => new Promise((resolve) => {
      const video = Object.assign(document.createElement('video'), { src: at(kept) });
      video.onloadedmetadata = () => resolve('loaded');
      video.onerror = () => resolve(null);
    }),
    'window': () => popped(at(kept)),
    'window of the greeting': () => popped(at('/')),
    'a channel': () => soon(talked(`${ws}/channel/websocket`, [watch])),
    'a raw session': () => soon(talked(`${ws}/channel/0/raw/websocket`)),
    'a process': () => soon(talked(`${ws}/${node.pid}/channel`, [], false)),
    'a stream of a process': () => soon(talked(`${ws}/${node.pid}/channel/out?mode=3`, [], false)),
    'a plain process': () => soon(talked(`${ws}/wstreams/${node.pid}`, [], false)),
    'session: greeting': () => fetched(at('/channel')),
    'session: info': () => fetched(at('/channel/info')),
    'session: iframe': () => framed(at('/channel/iframe.html')),
    'session: xhr': () => fetched(at('/channel/0/polled/xhr'), { method: 'POST' }),
    'session: xhr without cors': () => fetched(at('/channel/0/hidden/xhr'), { method: 'POST', mode: 'no-cors' }),
    'session: xhr_streaming': () => fetched(at('/channel/0/streamed/xhr_streaming'), { method: 'POST' }),
    'session: eventsource': () => soon(listened(at('/channel/0/events/eventsource'), ['message'])),
    'session: htmlfile': () => framed(at('/channel/0/file/htmlfile?c=stolen')),
    'session: jsonp': () => {
      const stolen = called('stolen');
      const loaded = element('script', { src: at('/channel/0/padded/jsonp?c=stolen') });
      return Promise.race([stolen, loaded.then((what) => what && stolen)]);
    },
  };
  const feeds = {
    'events': ['/watch?feed=eventsource&since=0', ['message']],
    'events of a job': ['/watch/job/t/kept?feed=eventsource&since=0', ['message']],
    'output': [`${out}?feed=eventsource&since=0`, ['out', 'message']],
    'statistics': ['/stats?feed=eventsource', ['message', 'stats']],
    'statistics of a job': ['/stats/t/kept?feed=eventsource', ['message', 'stats']],
  };
  for (const [name, [path, names]] of Object.entries(feeds)) {
    ways[`source: ${name}`] = () => soon(listened(at(path), names));
  }
  for (const transport of TRANSPORTS) {
    ways[`SockJS: ${transport}`] = () => overSockJs(node.url, transport);
  }
  for (const path of node.gets) {
    ways[`included ${path}`] = async () => {
      const got = await Promise.all([
        fetched(at(path)),
        fetched(at(path), { mode: 'no-cors' }),
        element('script', { src: at(path) }),
        element('img', { src: at(path) }),
        element('link', { rel: 'stylesheet', href: at(path) }),
        element('object', { data: at(path) }),
        embedded(at(path)),
        framed(at(path)),
      ]);
      return got.find(Boolean) || null;
    };
  }
  // When all others have been.
  ways['measures of what was loaded'] = () => measured(node.url);
  return ways;
}

/** What starts, by its name. A job that is there already is of the name of the attempt. */
function starting(node) {
  const at = (path) => node.url + path;
  const made = (name) => ({ name, cmd: `touch '${node.folder}/${name}'`, os_env: true, restart: 'never' });
  const text = (name) => JSON.stringify(made(name));
  const load = at('/jobs/t');
  const post = (body, options) => fetched(load, { method: 'POST', body, ...options });
  const verb = (name, path, body, options = { headers: JSON_TYPE }) => {
    return fetched(at(`/jobs/t/${name}/${path}`), { method: 'POST', body, ...options });
  };
  const write = (options) => fetched(at(`/streams/${node.heard}/stdin`), { method: 'POST', body: 'x\n', ...options });
  const command = (name) => JSON.stringify({
    event: 'CMD', data: { identity: '1', name: 'load', args: [made(name)], kwargs: { sessionid: 't' } },
  });
  const redirect = (origin, name) => {
    const hop = `${origin}/redirect?to=${encodeURIComponent(load)}`;
    return fetched(hop, { method: 'POST', body: text(name), mode: 'no-cors' });
  };
  // A form's one field: its name and its value with the sign between them are JSON.
  const field = (name, twist = (json) => json) => {
    const [before, after] = twist(text(name)).split(/(?<="os_env)(?=")/);
    return [[`${before}":true,"x=`, after]];
  };
  const plain = (name) => [[`${text(name).slice(0, -1)},"label":"`, '"}']];
  const session = (id) => ({
    send: (method, body, options) => fetched(at(`/channel/0/${id}/${method}`), { method: 'POST', body, ...options }),
    poll: (options) => fetched(at(`/channel/0/${id}/xhr`), { method: 'POST', ...options }),
  });
  const ways = {
    'json': (name) => post(text(name), { headers: JSON_TYPE }),
    'json-with-credentials': (name) => post(text(name), { headers: JSON_TYPE, credentials: 'include' }),
    'json-kept-alive': (name) => post(text(name), { headers: JSON_TYPE, keepalive: true }),
    'json-unasked': (name) => post(text(name), { headers: JSON_TYPE, mode: 'no-cors' }),
    'text': (name) => post(text(name), { headers: TEXT_TYPE, credentials: 'include' }),
    'text-unasked': (name) => post(text(name), { headers: TEXT_TYPE, mode: 'no-cors', credentials: 'include' }),
    'text-without-referrer': (name) => post(text(name), { mode: 'no-cors', referrerPolicy: 'no-referrer' }),
    'nothing-unasked': (name) => post(new Blob([text(name)]), { mode: 'no-cors' }),
    'form-unasked': (name) => post(text(name), { headers: FORM_TYPE, mode: 'no-cors' }),
    'overridden': (name) => post(text(name), { headers: { ...TEXT_TYPE, 'X-HTTP-Method-Override': 'PUT' } }),
    'xhr': (name) => asked('POST', load, text(name), 'application/json'),
    'xhr-text': (name) => asked('POST', load, text(name), 'text/plain'),
    'put': (name) => fetched(at(`/jobs/t/${name}`), { method: 'PUT', body: text(name), headers: JSON_TYPE }),
    'redirected': (name) => redirect(node.pages, name),
    'redirected-by-another': (name) => redirect(node.others, name),
    'sandboxed': (name) => {
      const options = JSON.stringify({ method: 'POST', mode: 'no-cors', body: text(name) });
      return sandboxed(`() => fetch('${load}', ${options}).then(() => null, () => null)`);
    },
    'beacon': (name) => void navigator.sendBeacon(load, text(name)),
    'beacon-json': (name) => void navigator.sendBeacon(load, new Blob([text(name)], { type: 'application/json' })),
    'beacon-form': (name) => void navigator.sendBeacon(load, new URLSearchParams(made(name))),
    'form': (name) => submitted(load, 'application/x-www-form-urlencoded', field(name)),
    'form-of-parts': (name) => submitted(load, 'multipart/form-data', Object.entries(made(name))),
    'form-of-text': (name) => submitted(load, 'text/plain', plain(name)),
    'form-without-referrer': (name) => submitted(load, 'text/plain', plain(name), { rel: 'noreferrer' }),
    'form-that-gets': (name) => submitted(load, '', Object.entries(made(name)), { method: 'GET' }),
    'state': (name) => verb(name, 'state', '1'),
    'number': (name) => verb(name, 'numprocesses', '{"scale": 1}'),
    'commit': (name) => verb(name, 'commit', '{}'),
    'state-unasked': (name) => verb(name, 'state', '1', { mode: 'no-cors' }),
    'state-by-form': (name) => submitted(at(`/jobs/t/${name}/state`), 'text/plain', [['1', '']]),
    'channel': (name) => soon(talked(`${node.url.replace('http', 'ws')}/channel/websocket`, [command(name)])),
    'stdin': () => write({ headers: JSON_TYPE }),
    'stdin-unasked': () => write({ mode: 'no-cors' }),
    'stdin-by-socket': () => soon(talked(`${node.url.replace('http', 'ws')}/wstreams/${node.heard}`, ['x\n'], false)),
    'session': async (name) => {
      const own = session('own');
      const opened = await own.poll();
      return opened && `${opened} ${await own.send('xhr_send', JSON.stringify([command(name)]))}`;
    },
    'session-unasked': async (name) => {
      const own = session('unasked');
      await own.poll({ mode: 'no-cors' });
      return own.send('xhr_send', JSON.stringify([command(name)]), { mode: 'no-cors' });
    },
    'session-by-form': async (name) => {
      await session('formed').poll({ mode: 'no-cors' });
      const fields = [['d', JSON.stringify([command(name)])]];
      return submitted(at('/channel/0/formed/jsonp_send'), 'application/x-www-form-urlencoded', fields);
    },
  };
  for (const transport of TRANSPORTS) {
    ways[`sockjs-${transport}`] = (name) => overSockJs(node.url, transport, [command(name)]);
  }
  return ways;
}

/** What ends or changes what runs: it leaves no file, and is seen by what is there afterwards. */
function ending(node) {
  const at = (path) => node.url + path;
  const post = (path, body, options) => fetched(at(path), { method: 'POST', body, ...options });
  return {
    'stop': () => post('/jobs/t/kept/state', '0', { headers: JSON_TYPE }),
    'stop unasked': () => post('/jobs/t/kept/state', '0', { mode: 'no-cors' }),
    'signal': () => post('/jobs/t/kept/signal', '{"signal": "KILL"}', { headers: JSON_TYPE }),
    'signal to a process unasked': () => post(`/${node.pid}/signal`, '{"signal": 9}', { mode: 'no-cors' }),
    'delete of a process': () => fetched(at(`/${node.pid}`), { method: 'DELETE' }),
    'close of stdin': () => post(`/streams/${node.pid}/stdin?close=1`, '', { mode: 'no-cors' }),
    'key': () => post('/keys', '{"permissions": {"admin": true}}', { headers: JSON_TYPE }),
    'user': () => post('/users', '{"username": "u", "password": "p"}', { mode: 'no-cors' }),
    // These have no body of a page's choice, and need none.
    'restart': () => post('/jobs/t/kept/restart', '', { headers: JSON_TYPE }),
    'restart by a ping': () => {
      const link = Object.assign(document.createElement('a'), { href: '#', ping: at('/jobs/t/kept/restart') });
      document.body.append(link);
      link.click();
    },
    'restart by a report': () => {
      return framed(`${node.pages}/reporting?to=${encodeURIComponent(at('/jobs/t/kept/restart'))}`).then(failed);
    },
    'restart by a picture': () => element('img', { src: at('/jobs/t/kept/restart') }),
    'patch': () => fetched(at('/jobs/t/kept'), { method: 'PATCH', body: '{}', headers: JSON_TYPE }),
    'options': () => fetched(at('/jobs/t/kept'), { method: 'OPTIONS' }),
    'delete': () => fetched(at('/jobs/t/kept'), { method: 'DELETE' }),
  };
}

window.hostile = { reading, starting, ending };
