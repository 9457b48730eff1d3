// The time axis of one message: a lane for every push, drawn to one scale, so
// that it is seen at a glance which push was cut and which one got the answer.
//
// Places along the axis are percentages, which SVG understands by itself; so
// nothing is measured and nothing is drawn again when the window changes.
import { svg, duration } from './dom.js';
import { t } from './i18n.js';

const top = 20; // for the numbers of seconds
const lane = 26;
const left = 1.5; // percent, so that a mark at 0 is whole
const right = 9; // for what comes after the last cut

// axis draws an exchange as it stands at the time now (server's clock, ms), with what came later:
// customer-service messages and taps on links in the answer.
export function axis(exchange, later, now) {
  const total = exchange.timeout * Math.max(exchange.maxPushes, exchange.pushes.length);
  // What comes after the last cut stands on the right, in its order and not to scale.
  const x = (ms) => (ms <= total ? left + Math.max(ms, 0) / total * (100 - left - right) : 100 - left - (right - left) * total / ms);
  const more = lanesOf(exchange, later);
  const height = top + Math.max(exchange.pushes.length + more.length, 1) * lane;
  const root = svg('svg.axis', { height, width: '100%', role: 'img', 'aria-label': describe(exchange, more, now) });
  for (let ms = 0; ms <= total + 1; ms += exchange.timeout) {
    root.append(
      svg('line.grid', { x1: x(ms) + '%', x2: x(ms) + '%', y1: top - 4, y2: height }),
      svg('text.tick', { x: x(ms) + '%', y: 11, 'text-anchor': ms ? 'middle' : 'start' }, seconds(ms) + (ms + 1 >= total ? ' s' : '')));
  }
  exchange.pushes.forEach((push, i) => root.append(...bar(push, top + i * lane, x, exchange, now)));
  more.forEach((m, i) => root.append(...marks(m, top + (exchange.pushes.length + i) * lane, x)));
  return root;
}

const seconds = (ms) => String(+(ms / 1000).toFixed(2));

// bar is one push: its length is the time it took, its end says how it ended.
function bar(push, y, x, exchange, now) {
  const start = push.start - exchange.at;
  const running = push.outcome === 'pending';
  const looks = ending(push, exchange);
  const took = running ? Math.min(Math.max(now - push.start, 0), exchange.timeout) : push.duration;
  const from = x(start);
  const end = x(start + took);
  const parts = [];
  if (running) { // how long it may still take
    parts.push(svg('rect.may', { x: from + '%', y: y + 3, height: lane - 8, rx: 4, width: x(start + exchange.timeout) - from + '%' }));
  }
  const tiny = end - from < 1.5; // a mark for itself, without another at its end
  parts.push(svg('rect.mark.' + looks + (tiny ? '.tiny' : ''), { 'data-push': push.number, 'data-outcome': push.outcome, x: from + '%', y: y + 3, height: lane - 8,
    rx: tiny ? 3 : 4, style: { width: `max(7px, ${end - from}%)` } }));
  const middle = y + lane / 2 - 1;
  if (push.outcome === 'answered') {
    if (!tiny) parts.push(svg('circle.end.' + looks, { cx: end + '%', cy: middle, r: 5 }));
  } else if (!running) {
    parts.push(svg('svg.end', { x: end + '%', y: middle, overflow: 'visible' }, svg('path.cross', { d: 'M-5 -5l10 10M5 -5l-10 10' })));
  }
  // Inside a long bar without a mark at its end, else behind it, and near the right end before it.
  const label = labelOf(push, exchange, took);
  const inside = end - from >= 24 && push.outcome !== 'answered';
  const behind = !inside && end < 72;
  parts.push(svg('text.label', {
    x: (inside || !behind ? from : end) + '%', y: middle + 4,
    dx: inside ? 8 : behind ? (tiny ? 15 : 12) : -8, 'text-anchor': inside || behind ? 'start' : 'end',
  }, label));
  return parts;
}

// ending groups the outcomes by what they look like. An answer with status 200 may
// be wrong all the same, and may have no reply in it.
export function ending(push, exchange) {
  if (push.outcome === 'pending') return 'running';
  if (push.outcome !== 'answered') return push.outcome === 'cut' ? 'cut' : 'failed';
  if (isGood(push, exchange)) return exchange.verdict.reply ? 'answered' : 'success';
  return push.status === 200 && !exchange.done || exchange.replay?.result === 'refused' ? 'answered' : 'failed';
}

const isGood = (push, exchange) => push.status === 200 && exchange.done && !exchange.verdict.problem;

function labelOf(push, exchange, took) {
  const n = push.number + ' · ' + (push.node ? push.node + ' · ' : '');
  switch (push.outcome) {
    case 'pending': return n + t('push.running', { time: (took / 1000).toFixed(1) + ' s' });
    case 'answered': return n + (!isGood(push, exchange) ? push.status : exchange.verdict.reply ? t('push.reply') : t('chip.nothing')) + ' · ' + duration(took);
    case 'cut': return n + t('push.cut', { time: duration(took) });
    default: return n + t('push.' + push.outcome) + ' · ' + duration(took);
  }
}

// lanesOf are the lanes of what came later: one for each answer by the API, and one for all taps.
function lanesOf(exchange, { deliveries, taps }) {
  const laneOf = (kind, things, one, several) => {
    const at = things.map((thing) => thing.at - exchange.at);
    return { kind, at, text: t(at.length > 1 ? several : one, { n: at.length, time: duration(at[0]) }) };
  };
  const lanes = answersOf(deliveries).map((parts) => laneOf('api', parts, 'delivery', 'deliveries'));
  return taps.length ? [...lanes, laneOf('tap', taps, 'tap', 'taps')] : lanes;
}

// answersOf divides customer-service messages into answers: the parts of a long one come right
// behind each other.
export function answersOf(deliveries) {
  const answers = [];
  for (const d of deliveries) {
    if (d.at - answers.at(-1)?.at(-1).at < 1000) answers.at(-1).push(d);
    else answers.push([d]);
  }
  return answers;
}

// marks are a diamond for a message and a ring for each tap, with words beside them.
function marks({ kind, at, text }, y, x) {
  const middle = y + lane / 2 - 1;
  const behind = x(at.at(-1)) < 60;
  return [
    ...at.map((ms) => (kind === 'tap' ? svg('circle.end.tap', { cx: x(ms) + '%', cy: middle, r: 4.5 })
      : svg('svg.end', { x: x(ms) + '%', y: middle, overflow: 'visible' }, svg('path.diamond', { d: 'M0 -6l6 6-6 6-6-6z' })))),
    svg('text.label.aside', { x: x(behind ? at.at(-1) : at[0]) + '%', y: middle + 4, dx: behind ? 11 : -11, 'text-anchor': behind ? 'start' : 'end' }, text),
  ];
}

// describe is the drawing in words, for screen readers.
function describe(exchange, more, now) {
  const words = exchange.pushes.map((p) => t('push', { n: p.number }) + ' ' + labelOf(p, exchange, p.outcome === 'pending' ? Math.max(now - p.start, 0) : p.duration));
  return [...words, ...more.map((m) => m.text)].join('; ');
}
