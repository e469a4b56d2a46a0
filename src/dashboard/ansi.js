// What processes print, with the colours that they ask for (ECMA-48, SGR): as spans with classes. Whatever else a
// terminal would do is left out, and nothing becomes markup.

/** A sequence that begins with ESC, whole or not: colours, other controls, titles; or a control by itself. */
// eslint-disable-next-line no-control-regex
const SEQUENCE = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f]/g;

const PLAIN = { front: '', back: '', bold: false, dim: false, italic: false, under: false, invert: false };

/** Whether a text has anything of that. */
export function hasControls(text) {
  SEQUENCE.lastIndex = 0;
  return SEQUENCE.test(text);
}

/** The text as a person reads it. */
export function plain(text) {
  return text.replace(SEQUENCE, '');
}

/** The pieces of a line: `{text, name}` with the classes that it is to have. A line begins plain. */
export function pieces(text) {
  const found = [];
  let style = PLAIN;
  let from = 0;
  const add = (part) => part && found.push({ text: part, name: classes(style) });
  for (const match of text.matchAll(SEQUENCE)) {
    add(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[1] !== undefined) style = turned(style, match[1]);
  }
  add(text.slice(from));
  return found;
}

function classes({ front, back, bold, dim, italic, under, invert }) {
  const names = [front && `f${front}`, back && `on-back b${back}`, bold && 'bold', dim && 'dim', italic && 'italic', under && 'under', invert && 'invert'];
  return names.filter(Boolean).join(' ');
}

function turned(style, codes) {
  const next = { ...style };
  const list = codes.split(/[;:]/).map((code) => Number(code || 0));
  for (let at = 0; at < list.length; at += 1) {
    const code = list[at];
    if (code === 0) Object.assign(next, PLAIN);
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.under = true;
    else if (code === 7) next.invert = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 23) next.italic = false;
    else if (code === 24) next.under = false;
    else if (code === 27) next.invert = false;
    else if (code >= 30 && code <= 37) next.front = String(code - 30);
    else if (code >= 90 && code <= 97) next.front = String(code - 82);
    else if (code >= 40 && code <= 47) next.back = String(code - 40);
    else if (code >= 100 && code <= 107) next.back = String(code - 92);
    else if (code === 39) next.front = '';
    else if (code === 49) next.back = '';
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(list.slice(at + 1));
      if (code === 38) next.front = colour;
      else next.back = colour;
      at += used;
    }
  }
  return next;
}

/** Of the many colours the nearest of the sixteen, which both themes have; and how many numbers said it. */
function extended([kind, ...rest]) {
  if (kind === 5) {
    const number = rest[0] || 0;
    if (number < 16) return [String(number), 2];
    if (number >= 232) return [String(number < 240 ? 8 : number < 250 ? 7 : 15), 2];
    const cube = number - 16;
    return [nearest(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51), 2];
  }
  if (kind === 2) return [nearest(rest[0] || 0, rest[1] || 0, rest[2] || 0), 4];
  return ['', rest.length + 1];
}

function nearest(red, green, blue) {
  const most = Math.max(red, green, blue);
  if (most < 48) return '8';
  const bit = (value, number) => (value > most / 2 ? number : 0);
  return String(bit(red, 1) + bit(green, 2) + bit(blue, 4) + (most > 200 ? 8 : 0));
}
