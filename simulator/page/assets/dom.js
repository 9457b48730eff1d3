// Making elements. Text goes in as text and nothing else: there is no way to
// HTML in here, so whatever a user or a server under test has written is shown
// as it was written.

// el makes an element: el('button.plain', {type: 'button', onclick: f}, 'Send').
// The first argument is the name with classes. Properties that begin with "on"
// are listeners, "style" is an object of CSS properties, null and false leave an
// attribute out. Children are nodes, texts, or lists of them.
export function el(name, attributes, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(' ');
  set(node, attributes);
  append(node, children);
  return node;
}

// svg does the same for SVG.
export function svg(name, attributes, ...children) {
  const [tag, ...classes] = name.split('.');
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  if (classes.length) node.setAttribute('class', classes.join(' '));
  set(node, attributes);
  append(node, children);
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
}

// replace puts children in the place of whatever the node contains.
export function replace(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

// Icons are strokes in a square of 24.
const strokes = {
  keyboard: 'M3 6h18v12H3zM7 10h.01M11 10h.01M15 10h.01M18 10h.01M7 14h10',
  menu: 'M4 7h16M4 12h16M4 17h16',
  plus: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 8v8M8 12h8',
  back: 'M15 5l-7 7 7 7',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  picture: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01',
  voice: 'M12 4a2.5 2.5 0 0 1 2.5 2.500v5a2.5 2.5 0 0 1-5 0v-5A2.5 2.5 0 0 1 12 4zM6 11a6 6 0 0 0 12 0M12 17v3',
  video: 'M3 7h12v10H3zM15 11l6-3v8l-6-3',
  location: 'M12 21s7-6.5 7-11.500a7 7 0 0 0-14 0C5 14.5 12 21 12 21zM12 12a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  link: 'M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6',
  scan: 'M4 9V5a1 1 0 0 1 1-1h4M15 4h4a1 1 0 0 1 1 1v4M20 15v4a1 1 0 0 1-1 1h-4M9 20H5a1 1 0 0 1-1-1v-4M4 12h16',
  report: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM15.5 8.5l-2 5-5 2 2-5z',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21a8 8 0 0 1 16 0',
  leave: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  gear: 'M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.600l2.1 2.100M16.3 16.300l2.1 2.100M5.6 18.400l2.1-2.100M16.3 7.700l2.1-2.1',
  close: 'M6 6l12 12M18 6L6 18',
  music: 'M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0zM19 16a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0z',
  play: 'M8 5l11 7-11 7z',
  wave: 'M8 9a4 4 0 0 1 0 6M12 6.500a8 8 0 0 1 0 11M16 4a12 12 0 0 1 0 16',
  copy: 'M8 8h12v12H8zM4 16V4h12',
  again: 'M20 5v5h-5M19.5 10A8 8 0 1 0 20 14',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  save: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  check: 'M5 12.500l4.5 4.500L19 7.5',
  warning: 'M12 4l9.5 16h-19zM12 10v4M12 17h.01',
};

export function icon(name) {
  return svg('svg.icon', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('path', { d: strokes[name] }));
}

// button makes a button with an icon and a label that screen readers read.
export function iconButton(name, label, onclick, attributes) {
  return el('button.icon-button', { type: 'button', 'aria-label': label, title: label, onclick, ...attributes }, icon(name));
}

// hue is a colour of its own for each name.
export function hue(name) {
  let h = 0;
  for (const c of name) h = (h * 31 + c.codePointAt(0)) % 360;
  return h;
}

// initial is what a round picture shows in place of a photo.
export function initial(name) {
  return [...(name.trim() || '?')][0].toUpperCase();
}

export function avatar(name, kind = 'user') {
  return el('span.avatar.' + kind, { 'aria-hidden': 'true', style: { '--hue': String(hue(name)) } }, initial(name));
}

// clock is a time of the day.
export function clock(at, withSeconds = false) {
  const options = { hour: '2-digit', minute: '2-digit', hour12: false };
  if (withSeconds) options.second = '2-digit';
  return new Date(at).toLocaleTimeString('zh-CN', options);
}

// moment is a time with its date, unless that is the date of now.
export function moment(at, now) {
  const date = new Date(at);
  if (date.toDateString() === new Date(now).toDateString()) return clock(at);
  return date.toLocaleDateString(document.documentElement.lang, { month: 'short', day: 'numeric' }) + ' ' + clock(at);
}

// duration writes milliseconds as people read them: 12 ms, 3.00 s.
export function duration(ms) {
  if (ms < 1) return '<1 ms';
  if (ms < 1000) return Math.round(ms) + ' ms';
  return (ms / 1000).toFixed(2) + ' s';
}
