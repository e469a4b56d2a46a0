// Numbers as people read them: the same units everywhere, and nothing that pretends to be exact.

/** Seconds: `0.4 s`, `12 s`, `4 min 10 s`, `2 h 03 min`, `3 d 4 h`. */
export function duration(seconds) {
  if (seconds == null) return '';
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(seconds < 0.95 && seconds > 0 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${String(minutes).padStart(2, '0')} min`;
  if (minutes) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${whole} s`;
}

/** Whole seconds, for what counts up or down each second; from ten minutes on they say nothing. */
export function span(seconds) {
  if (seconds >= 600 && seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 60 ? `${Math.max(0, Math.floor(seconds))} s` : duration(Math.floor(seconds));
}

/** Bytes, in units of 1024. */
export function bytes(count) {
  if (count == null || Number.isNaN(count)) return '';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let number = count;
  while (number >= 999.5 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 99.5 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

/** Per cent of one core. */
export function percent(share) {
  if (share == null || Number.isNaN(share)) return '';
  return `${share >= 99.95 ? Math.round(share) : share.toFixed(1)} %`;
}

const two = (number) => String(number).padStart(2, '0');

/** The time of day of seconds since 1970. */
export function clock(ts) {
  const date = new Date(ts * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** The same to the millisecond. */
export function exactly(ts) {
  return `${clock(ts)}.${String(Math.floor(ts * 1000) % 1000).padStart(3, '0')}`;
}

/** With its day, unless it is today. */
export function moment(ts) {
  const date = new Date(ts * 1000);
  const day = date.toDateString() === new Date().toDateString();
  return day ? clock(ts) : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(ts)}`;
}

export function plural(count, word) {
  return `${count} ${word}${count === 1 ? '' : word.endsWith('s') ? 'es' : 's'}`;
}
