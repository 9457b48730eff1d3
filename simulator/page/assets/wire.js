// The wire: a row for every message, newest first, and what is inside one.
import { el, iconButton, replace, clock, duration } from './dom.js';
import { t, has, problem, errcode } from './i18n.js';
import { axis, answersOf } from './axis.js';
import { reads } from './bubble.js';
import { Detail, CallDetail } from './detail.js';

const tick = 100; // ms between two drawings of what is under way

export class Wire {
  constructor(root, app) {
    this.root = root;
    this.app = app;
    this.rows = new Map(); // by exchange/12 or call/3
    this.detail = null;
    setInterval(() => this.grow(), tick);
  }

  // draw draws everything: at the beginning, and in another language.
  draw() {
    this.rows.clear();
    const things = [...this.app.exchanges(), ...this.app.calls()].sort((a, b) => b.at - a.at);
    this.list = el('ol.rows', { 'aria-label': t('wire') }, things.map((x) => (x.pushes ? this.row(x) : this.callRow(x))));
    replace(this.root,
      el('div.wire-list', {},
        el('div.wire-top', {}, el('h2', {}, t('wire')), el('p', {}, t('wire.about', { pushes: this.app.account()?.rules.pushes ?? 3, seconds: (this.app.account()?.rules.timeout ?? 5000) / 1000 })),
          iconButton('save', t('recording.all'), () => this.app.download('/api/recording', 'echostr-recording.json'), { id: 'save-all' })),
        things.length ? null : this.hint(),
        this.list),
      this.pane = el('div.wire-detail', { hidden: true }));
    this.show(this.app.shown());
  }

  hint() {
    return el('div.hint', {}, el('p', {}, t('wire.empty')), el('ul', {}, ['你好', '慢 8', '慢 40', '长 3000', '帮助'].map((text) => el('li', {},
      el('button.try', { type: 'button', onclick: () => this.app.act({ action: 'text', text }) }, text), el('span', {}, t('try.' + text))))));
  }

  // update takes in an exchange that is new or has changed.
  update(x) {
    const key = 'exchange/' + x.id;
    this.put(key, () => this.row(x));
    if (this.detail?.key === key) this.detail.update(x);
    else if (this.app.shown() === key) this.show(key); // its address was there before it was
  }

  updateCall(call) {
    this.put('call/' + call.id, () => this.callRow(call));
  }

  put(key, make) {
    if (!this.list) return;
    const old = this.rows.get(key)?.node;
    if (old) {
      old.replaceWith(make());
    } else {
      this.root.querySelector('.hint')?.remove();
      this.list.prepend(make());
    }
  }

  drop(key) {
    this.rows.get(key)?.node.remove();
    this.rows.delete(key);
  }

  row(x) {
    const key = 'exchange/' + x.id;
    const focused = this.rows.get(key)?.node.contains(document.activeElement);
    const later = this.app.later(x);
    const drawing = axis(x, later, this.app.now());
    const button = el('button.head', { type: 'button', onclick: () => this.app.show(key) },
      el('span.when', {}, clock(x.at, true)),
      el('span.what', {}, el('span.by', {}, x.nickname), el('span.kind', {}, kindOf(x)), el('span.words', {}, x.text)),
      chip(x, later));
    const node = el('li.row.' + mood(x, later), { 'data-exchange': x.id, 'data-mood': mood(x, later) }, button, drawing, outcome(x, this.app, later));
    this.rows.set(key, { node, x, drawing });
    if (focused) queueMicrotask(() => button.focus());
    return node;
  }

  // callRow is one line: what the server asked of WeChat's API, for whom, and the errcode.
  callRow(call) {
    const key = 'call/' + call.id;
    const to = call.to && (this.app.state.users.find((u) => u.openID === call.to)?.nickname ?? call.to);
    const node = el('li.row.call', { 'data-call': call.id }, el('button.head', { type: 'button', onclick: () => this.app.show(key) },
      el('span.when', {}, clock(call.at, true)),
      el('span.what', {}, to ? el('span.by', {}, to) : null, el('span.kind', {}, t('call')), el('span.words', {}, call.path.replace('/cgi-bin/', ''), call.text ? ' ' + call.text : '')),
      el('span.when', {}, duration(call.duration)), callChip(call)), callOutcome(call));
    this.rows.set(key, { node });
    return node;
  }

  // grow draws what is under way as long as it is.
  grow() {
    for (const entry of this.rows.values()) {
      if (!entry.x || entry.x.done) continue;
      const next = axis(entry.x, this.app.later(entry.x), this.app.now());
      entry.drawing.replaceWith(next);
      entry.drawing = next;
    }
    this.detail?.grow();
  }

  // show opens an exchange or a call, or the list if key is null.
  show(key) {
    if (!this.pane) return;
    const [kind, id] = (key ?? '').split('/');
    const thing = { exchange: this.app.state.exchanges, call: this.app.state.calls }[kind]?.get(Number(id));
    this.pane.hidden = !thing;
    this.root.querySelector('.wire-list').hidden = Boolean(thing);
    this.detail = !thing ? null : kind === 'call' ? new CallDetail(this.pane, this.app, thing) : new Detail(this.pane, this.app, thing);
  }
}

// kindOf is what sort of message it is, in words if there are any.
export function kindOf(x) {
  if (x.menuID !== null) return t('message.tap');
  return has('message.' + x.kind) ? t('message.' + x.kind) : x.kind.replace('event.', '');
}

export function callChip(call) {
  const bad = call.errcode || call.status !== 200;
  return el(bad ? 'span.chip.bad' : 'span.chip.good', {}, call.errcode ? 'errcode ' + call.errcode : call.status ? (call.status === 200 ? 'ok' : String(call.status)) : t('call.lost'));
}

// callOutcome says in words what went wrong with a call. Null if nothing did.
export function callOutcome(call) {
  const fault = call.fault ? t('call.fault', { fault: call.fault }) : '';
  const words = errcode(call.errcode);
  if (!call.errcode || !words) return fault ? el('p.outcome', {}, fault) : null;
  return el('p.outcome.bad', {}, el('b', {}, call.errcode + ' ' + words), fault);
}

// replays are the moods of what can come of a replay.
const replays = { same: 'good', silent: 'good', refused: 'good', anew: 'quiet', unclear: 'quiet', taken: 'quiet', early: 'bad', twice: 'bad' };

// ofReplay is what the replay x has shown about the server: a name in replays, empty if x is
// none, is under way or has a problem that says everything.
export const ofReplay = (x) => x.replay?.result ?? '';

// wrong is what is wrong and what to do, if anything is.
export const wrong = (x) => (x.done && x.verdict.problem ? problem(x.verdict.problem, { status: x.pushes.at(-1)?.status }) : null);

// mood is how a message ended: running, good, quiet (nothing to see) or bad. later is what came
// after its pushes.
export function mood(x, later) {
  if (!x.done) return 'running';
  if (ofReplay(x)) return x.replay.result === 'refused' && !x.replay.of ? 'quiet' : replays[x.replay.result];
  if (x.verdict.problem) return x.verdict.problem === 'stopped' ? 'quiet' : 'bad';
  return x.verdict.sees === 'reply' || later.deliveries.length ? 'good' : 'quiet';
}

// chip says in a word or two how it ended.
export function chip(x, later) {
  const m = mood(x, later);
  if (m === 'running') return el('span.chip.running', {}, t('chip.running', { n: Math.max(x.pushes.length, 1) }));
  if (ofReplay(x)) return el('span.chip.' + m, {}, t('chip.' + x.replay.result));
  if (m === 'bad') return el('span.chip.bad', {}, t('chip.bad'));
  if (m === 'quiet') return el('span.chip.quiet', {}, t(x.verdict.problem ? 'chip.stopped' : 'chip.nothing'));
  if (x.verdict.sees !== 'reply') return el('span.chip.good', {}, t('way.api'));
  return el('span.chip.good', {}, t('chip.push', { n: x.pushes.length }));
}

// outcome is what came of it, in a line: the answer, or what is wrong and what to do.
function outcome(x, app, later) {
  if (!x.done) return null;
  if (ofReplay(x)) return el('p.outcome.' + mood(x, later), {}, replayWords(x).what);
  const p = wrong(x);
  if (p && mood(x, later) === 'bad') return el('p.outcome.bad', {}, el('b', {}, p.what), p.todo);
  const b = app.reply(x) ?? answersOf(later.deliveries).at(-1)?.[0]; // reads better than what the wire has
  const type = x.verdict.reply?.type ?? b?.kind;
  if (!type) return null;
  return el('p.outcome', {}, el('span.arrow', { 'aria-hidden': 'true' }, '↩ '), (b && reads(b)) || x.verdict.reply?.text || (has('message.' + type) ? t('message.' + type) : type));
}

// replayWords say what a replay has shown, and what to do.
export function replayWords(x) {
  const name = x.replay.result + (x.replay.result === 'refused' && !x.replay.of ? '.raw' : '');
  return { what: t('replay.' + name, { status: x.pushes.at(-1)?.status }), todo: t('replay.' + name + '.todo') };
}
