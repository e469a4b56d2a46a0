// The ways that messages take between this page and a node. A websocket is the plain one; where something in between
// lets none through, SockJS carries the same messages over requests: `xhr_streaming`, an answer that does not end, and
// `xhr`, an answer for each time that there is something to tell.
//
// Each is made with what is to be called: `opened()`, `heard(text)` and `ended()`, the last of them once.

/** How long a way may take to open before it counts as blocked, in milliseconds. */
const PATIENCE = 5000;

class Socket {
  constructor(base, told) {
    const url = new URL('channel/websocket', base);
    url.protocol = url.protocol.replace('http', 'ws');
    this.socket = new WebSocket(url);
    this.socket.onopen = () => told.opened();
    this.socket.onmessage = ({ data }) => told.heard(data);
    this.socket.onclose = () => this.end();
    this.timer = setTimeout(() => this.socket.readyState === 0 && this.end(), PATIENCE);
    this.told = told;
  }

  send(text) {
    this.socket.send(text);
  }

  end() {
    clearTimeout(this.timer);
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    const { told } = this;
    this.told = null;
    if (told) told.ended();
  }
}

/** What the two ways over requests have in common: frames in lines, and what is sent one request after the other. */
class Requests {
  constructor(base, told, way) {
    const word = () => crypto.getRandomValues(new Uint32Array(2)).join('');
    this.url = new URL(`channel/000/${word()}/`, base);
    this.told = told;
    this.way = way;
    this.waiting = [];
    this.busy = false;
    this.leaving = new AbortController();
    this.timer = setTimeout(() => this.end(), PATIENCE);
    this.receive();
  }

  async receive() {
    try {
      while (this.told) await this.once();
    } catch {
      this.end();
    }
  }

  /** One request for what there is to tell, read as it comes. */
  async once() {
    const answer = await fetch(new URL(this.way, this.url), { method: 'POST', signal: this.leaving.signal });
    if (!answer.ok) throw new Error(answer.statusText);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done || !this.told) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      lines.forEach((line) => this.take(line));
    }
  }

  take(frame) {
    if (!this.told) return;
    if (frame[0] === 'o') {
      clearTimeout(this.timer);
      this.told.opened();
    } else if (frame[0] === 'a') {
      JSON.parse(frame.slice(1)).forEach((text) => this.told && this.told.heard(text));
    } else if (frame[0] === 'c') {
      this.end();
    }
  }

  send(text) {
    this.waiting.push(text);
    if (!this.busy) this.deliver();
  }

  async deliver() {
    this.busy = true;
    try {
      while (this.waiting.length && this.told) {
        const body = JSON.stringify(this.waiting.splice(0));
        const headers = { 'Content-Type': 'application/json' };
        const answer = await fetch(new URL('xhr_send', this.url), { method: 'POST', headers, body });
        if (!answer.ok) throw new Error(answer.statusText);
      }
    } catch {
      this.end();
    }
    this.busy = false;
  }

  end() {
    clearTimeout(this.timer);
    this.leaving.abort();
    const { told } = this;
    this.told = null;
    if (told) told.ended();
  }
}

/** From the best to the one that works everywhere. */
export const WAYS = [
  { name: 'websocket', make: (base, told) => new Socket(base, told) },
  { name: 'xhr-streaming', make: (base, told) => new Requests(base, told, 'xhr_streaming') },
  { name: 'xhr-polling', make: (base, told) => new Requests(base, told, 'xhr') },
];
