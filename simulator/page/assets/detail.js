// Everything about one message: the verdict in words, and every push with its
// bytes.
import { el, icon, iconButton, replace, clock, duration } from './dom.js';
import { t } from './i18n.js';
import { axis, ending } from './axis.js';
import { chip, mood, kindOf, callChip, callOutcome, ofReplay, replayWords, wrong } from './wire.js';
import { reads } from './bubble.js';
import { ask as fetchJSON } from './api.js';
import { resend } from './resend.js';

// drawn are the problems of which the axis and the pushes show everything there is to know.
const drawn = new Set(['status', 'timeout', 'refused', 'reset']);

export class Detail {
  constructor(root, app, x) {
    this.root = root;
    this.app = app;
    this.id = x.id;
    this.key = 'exchange/' + x.id;
    this.x = x;
    this.push = null; // the number of the push shown; null: the last one
    this.views = { request: 'clear', response: 'clear' };
    this.bytes = null;
    this.draw();
    this.load();
    this.root.querySelector('.icon-button')?.focus();
  }

  update(x) {
    this.x = x;
    this.load();
  }

  // load gets the bytes, which the list has not.
  async load() {
    try {
      this.bytes = await fetchJSON('GET', '/api/exchanges/' + this.id);
    } catch (err) {
      this.app.toast(err.message);
    }
    if (this.app.shown() === this.key) this.draw();
  }

  grow() {
    if (this.x.done || !this.drawing) return;
    const next = axis(this.x, this.app.later(this.x), this.app.now());
    this.drawing.replaceWith(next);
    this.drawing = next;
  }

  draw() {
    const x = this.x;
    const again = (how) => this.app.again(x.id, how);
    const focused = document.activeElement?.dataset?.keep;
    const later = this.app.later(x);
    this.drawing = axis(x, later, this.app.now());
    replace(this.root,
      el('div.detail-top', {}, iconButton('back', t('back'), () => this.app.show(null), { 'data-keep': 'back' }),
        el('h2', {}, `#${x.id} `, kindOf(x), ' ', el('span.words', {}, x.text)), chip(x, later)),
      el('div.facts', {}, clock(x.at, true), ' · ', x.nickname, x.msgID ? ' · MsgId ' + x.msgID : '', x.replay ? ' · ' + (x.replay.of ? t('replay.of', { n: x.replay.of }) : t('replay.raw')) : ''),
      this.drawing,
      this.verdict(x, later),
      this.laterList(x, later),
      el('div.tools', {},
        tool('again', t('again.new'), () => again('new'), t('again.new.hint')),
        tool('again', t('again.repeat'), () => again('repeat'), t('again.repeat.hint')),
        tool('again', t('again.replay'), () => again('replay'), t('again.replay.hint'), 'replay'),
        tool('edit', t('again.changed'), () => resend(this.app, this.bytes), t('again.changed.hint')),
        tool('save', t('recording.one'), () => this.app.download(`/api/recording?exchange=${x.id}`, `echostr-${x.id}.json`), t('recording.hint'))),
      this.pushes());
    if (focused) this.root.querySelector(`[data-keep="${CSS.escape(focused)}"]`)?.focus();
  }

  // verdict says what came of it; if it is wrong, what to do.
  verdict(x, later) {
    if (!x.done) return el('p.verdict.running', {}, t('verdict.running'));
    if (ofReplay(x)) return this.replay(x, later);
    const v = x.verdict;
    const p = wrong(x);
    const seen = x.replay ? t('replay.unseen') : t('sees.' + (v.sees || 'nothing'));
    if (!v.problem) {
      const b = this.app.reply(x);
      const what = v.sees !== 'nothing' ? seen : v.reply ? t('verdict.dropped') : later.deliveries.length ? t('verdict.later') : seen;
      return el('div.verdict.' + mood(x, later), {}, el('p', {}, what),
        v.reply ? el('span.words', {}, (b && reads(b)) || v.reply.text) : null);
    }
    return el('div.verdict.bad', { role: 'note', 'data-problem': v.problem },
      el('h3', {}, icon('warning'), p?.what ?? v.problem),
      p ? el('p', {}, p.todo) : null,
      el('p', {}, seen),
      p && drawn.has(v.problem) ? null : el('p.why', { lang: 'en' }, v.why));
  }

  // laterList is what came of it after its pushes, and what it came of itself if it is a tap.
  laterList(x, { deliveries, taps }) {
    const after = (at) => el('span.when', {}, '+' + duration(at - x.at));
    const to = (id) => el('button.link', { type: 'button', onclick: () => this.app.show('exchange/' + id), 'data-keep': 'to' + id }, '#' + id);
    const list = [
      ...deliveries.map((b) => [b.at, after(b.at), t('way.api'), el('span.words', {}, reads(b) || kindOf({ kind: b.kind, menuID: null }))]),
      ...taps.map((other) => [other.at, after(other.at), t('message.tap'), to(other.id)]),
    ].sort((a, b) => a[0] - b[0]);
    return [
      x.from ? el('p.facts', {}, t('tap.of'), ' ', to(x.from)) : null,
      list.length ? el('ul.later', { 'aria-label': t('later') }, list.map(([, ...parts]) => el('li', {}, parts))) : null,
    ];
  }

  // replay compares the answer with the first one, which is what a replay is for.
  replay(x, later) {
    const words = replayWords(x);
    const first = this.app.state.exchanges.get(x.replay.of);
    const said = (v) => (v.reply ? v.reply.text || v.reply.type : t('replay.nothing'));
    const both = first?.verdict && !['refused', 'early', 'unclear'].includes(x.replay.result);
    return el('div.verdict.' + mood(x, later), { role: 'note', 'data-replay': x.replay.result },
      el('p', {}, el('b', {}, words.what)), el('p', {}, words.todo),
      both ? el('ul', {}, el('li', {}, t('replay.before', { reply: said(first.verdict) })), el('li', {}, t('replay.now', { reply: said(x.verdict) }))) : null,
      el('p.about', {}, t('replay.unseen')));
  }

  pushes() {
    const pushes = this.bytes?.pushes ?? [];
    if (!pushes.length) return null;
    const shown = pushes.find((p) => p.number === this.push) ?? pushes[pushes.length - 1];
    const tabs = el('div.tabs', { role: 'tablist', 'aria-label': t('pushes') }, pushes.map((p) => el('button.tab.' + ending(p, this.x), {
      type: 'button', role: 'tab', 'aria-selected': String(p === shown), tabindex: p === shown ? 0 : -1, 'data-keep': 'push' + p.number, 'data-push-tab': p.number,
      onclick: () => { this.push = p.number; this.draw(); },
      onkeydown: (e) => this.arrow(e, pushes, p),
    }, t('push', { n: p.number }), el('small', {}, ' ' + (p.outcome === 'answered' ? p.status : t('push.short.' + p.outcome))))));
    return el('div.push', {}, tabs,
      el('p.facts', {}, t(shown === pushes[0] ? 'push.facts' : 'push.facts.later', { at: clock(shown.start, true), offset: duration(shown.start - this.x.at), took: shown.outcome === 'pending' ? '…' : duration(shown.duration) }),
        shown.lost ? ' · ' + t('push.lost') : '', shown.error ? ' · ' + shown.error : ''),
      this.half('request', shown),
      this.half('response', shown));
  }

  arrow(e, pushes, p) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    const next = by && pushes[pushes.indexOf(p) + by];
    if (!next) return;
    this.push = next.number;
    this.draw();
    this.root.querySelector(`[data-push-tab="${next.number}"]`)?.focus();
  }

  // half is the request or the response: head, and body in clear or as it was sent.
  half(name, push) {
    const message = push[name];
    const copy = name === 'request' ? tool('copy', t('copy.curl'), () => this.copy(curl(message)), null, 'curl') : null;
    const head = el('header', {}, el('h3', {}, t(name)), el('span.spacer'), copy);
    if (!message) {
      return el('section.half', { 'data-half': name }, head, el('p.none', {}, t(push.outcome === 'pending' ? 'response.pending' : 'response.none')));
    }
    const sealed = message.clear !== undefined && message.clear !== null;
    const view = sealed ? this.views[name] : 'raw';
    if (sealed) {
      head.insertBefore(el('span.switch', { role: 'group', 'aria-label': t('view') }, ['clear', 'raw'].map((v) => el('button', {
        type: 'button', 'aria-pressed': String(view === v), 'data-keep': name + v, 'data-view': v, onclick: () => { this.views[name] = v; this.draw(); },
      }, t('view.' + v)))), copy);
    }
    const body = view === 'clear' ? message.clear : message.body;
    return el('section.half', { 'data-half': name }, head,
      el('pre.http', { tabindex: '0', 'aria-label': t(name) },
        el('span.start', {}, message.start + '\n'),
        message.headers.map(([k, v]) => [el('span.header', {}, k + ': '), v + '\n']),
        '\n', el('span.content', {}, body || t('body.empty'))),
      message.binary ? el('p.none', {}, t('body.binary')) : null,
      message.cut ? el('p.none', {}, t('body.cut')) : null);
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.app.toast(t('copied'));
    } catch { // without permission the text can still be taken by hand
      prompt(t('copy.curl'), text);
    }
  }
}

// CallDetail is a call of WeChat's API by the server under test.
export class CallDetail {
  constructor(root, app, call) {
    this.key = 'call/' + call.id;
    replace(root, el('div.detail-top', {}, iconButton('back', t('back'), () => app.show(null)), el('h2', {}, call.method + ' ' + call.path), callChip(call)));
    fetchJSON('GET', '/api/calls/' + call.id).then((c) => root.append(
      el('p.facts', {}, clock(c.at, true), ' · ', duration(c.duration)),
      el('div.call-outcome', {}, callOutcome(c)),
      part(t('request'), `${c.method} ${c.path}${c.query ? '?' + c.query : ''}`, c.request),
      part(t('response'), String(c.status || t('call.lost')), c.answer),
    ), (err) => app.toast(err.message));
    root.querySelector('.icon-button').focus();
  }

  grow() {}
}

function part(title, start, body) {
  return el('section.half', {}, el('header', {}, el('h3', {}, title)), el('pre.http', { tabindex: '0' }, el('span.start', {}, start + '\n\n'), body || t('body.empty')));
}

function tool(name, text, onclick, hint, id) {
  return el('button.tool', { type: 'button', onclick, title: hint, 'data-tool': id ?? name, 'data-keep': 'tool' + text }, icon(name), text);
}

// curl writes a request as a command for a POSIX shell. $'…' is not POSIX, so a
// quotation mark in the text ends the quotation and begins another. --data-raw,
// since a body that begins with @ would otherwise name a file; -g for brackets in the URL.
export function curl(request) {
  const quote = (text) => "'" + text.replaceAll("'", `'\\''`) + "'";
  const parts = ['curl -ig', '-X ' + request.method, quote(request.url)];
  for (const [k, v] of request.headers) parts.push('-H ' + quote(k + ': ' + v));
  if (request.body) parts.push('--data-raw ' + quote(request.body));
  return parts.join(' \\\n  ');
}
