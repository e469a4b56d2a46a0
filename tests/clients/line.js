// A line to a server, between that and a browser: it can be broken, and hears what is asked and answered.
'use strict';

const net = require('node:net');

/** Something that listens, and the port where. */
function listening(listener) {
  return new Promise((resolve) => listener.listen(0, '127.0.0.1', () => resolve(listener.address().port)));
}

/** Follows the requests and the answers of one connection. */
class Exchanges {
  constructor(all) {
    [this.all, this.asked, this.heads] = [all, [], { near: '', far: '' }];
  }

  /** Takes what came from one end, which is all that is looked at: a head begins with the piece that it is in. */
  take(end, bytes) {
    const text = bytes.toString('latin1');
    const found = end === 'near' ? /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(text) : /^HTTP\/1\.1 (\d{3}) /.exec(text);
    if (!found) return;
    if (end === 'near') {
      const exchange = { method: found[1], path: found[2], head: text, status: null };
      this.asked.push(exchange);
      this.all.push(exchange);
    } else {
      const exchange = this.asked.shift();
      if (exchange) exchange.status = Number(found[1]);
    }
  }
}

class Line {
  /** A line to a port, which may be another one from some time on. */
  static async to(port) {
    const line = new Line();
    [line.port, line.pairs, line.exchanges] = [port, new Set(), []];
    line.listener = net.createServer((near) => line.join(near));
    line.own = await listening(line.listener);
    line.url = `http://127.0.0.1:${line.own}`;
    return line;
  }

  join(near) {
    const [pair, exchanges] = [[near, net.connect(this.port, '127.0.0.1')], new Exchanges(this.exchanges)];
    this.pairs.add(pair);
    const end = () => {
      this.pairs.delete(pair);
      pair.forEach((socket) => socket.destroy());
    };
    pair.forEach((socket, at) => {
      socket.setNoDelay(true).on('error', end).on('close', end);
      socket.on('data', (bytes) => {
        exchanges.take(at === 0 ? 'near' : 'far', bytes);
        // As something in between does that lets some requests through and others not.
        if (at === 0 && this.blocks && this.blocks.test(bytes.toString('latin1'))) end();
      });
      socket.pipe(pair[1 - at]);
    });
  }

  breakAll() {
    this.pairs.forEach((pair) => pair[0].destroy());
  }

  close() {
    this.breakAll();
    this.listener.close();
  }
}

module.exports = { Line, listening };
