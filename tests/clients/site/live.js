// Shows what the processes of the job that the address names use, as it is told over SockJS: `?job=NAME`, and
// with `&transport=NAME` by that way alone.
'use strict';

const wished = new URLSearchParams(location.search);
const transport = wished.get('transport');
// The node's own, wherever its paths begin.
const channel = new SockJS('../../channel', null, transport ? { transports: [transport] } : {});
const state = document.getElementById('state');

function row(pid) {
  const known = document.getElementById(`process-${pid}`);
  if (known) return known;
  const made = document.getElementById('processes').insertRow();
  made.id = `process-${pid}`;
  for (let count = 0; count < 3; count += 1) made.insertCell();
  return made;
}

channel.onopen = () => {
  state.textContent = channel.transport;
  const data = { topic: `STATS:${wished.get('job')}`, interval: 0.1 };
  channel.send(JSON.stringify({ event: 'SUB', data }));
};

channel.onmessage = ({ data: text }) => {
  const { event, data } = JSON.parse(text);
  if (event !== 'gaffer:event' || data.event !== 'stat') return;
  const { cells, dataset } = row(data.pid);
  [cells[0].textContent, cells[1].textContent, cells[2].textContent] = [data.pid, data.cpu, data.rss];
  dataset.times = Number(dataset.times || 0) + 1;
};

channel.onclose = () => (state.textContent = 'closed');
