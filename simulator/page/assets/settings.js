// The drawer: how WeChat behaves here, whether the server is connected, and
// what its API should do wrong.
import { el, iconButton, replace, clock, moment, icon } from './dom.js';
import { t, problem, errcode } from './i18n.js';

export class Settings {
  constructor(app) {
    this.app = app;
    this.dialog = null;
    this.token = null; // shown on demand
  }

  open() {
    if (this.dialog?.open) return;
    this.dialog?.remove(); // closed just now, and the browser has not said so yet
    this.token = null;
    const dialog = this.dialog = el('dialog.drawer', { id: 'settings', 'aria-label': t('settings') });
    dialog.addEventListener('close', () => { dialog.remove(); if (this.dialog === dialog) this.dialog = null; });
    dialog.addEventListener('click', (e) => { if (e.target === dialog) dialog.close(); });
    document.body.append(dialog);
    this.draw();
    dialog.showModal();
  }

  draw() {
    const account = this.app.account();
    if (!this.dialog || !account) return;
    const focused = document.activeElement?.id;
    const scroll = this.dialog.scrollTop;
    replace(this.dialog,
      el('header', {}, el('h2', {}, t('settings')), iconButton('close', t('close'), () => this.dialog.close())),
      this.connection(account), this.rules(account), this.windows(), this.faults(account));
    if (focused) document.getElementById(focused)?.focus();
    this.dialog.scrollTop = scroll;
  }

  connection(account) {
    const c = account.check;
    const state = !c || c.problem === 'pending' ? el('p.check.quiet', {}, t('check.none')) : c.problem ? this.failed(c) : el('p.check.good', {}, icon('check'), t('check.ok', { time: clock(c.at, true) }));
    const fact = (name, value) => [el('dt', {}, name), el('dd', {}, value)];
    return el('section', {}, el('h3', {}, t('connection')), state,
      el('div.actions', {}, el('button.primary', { type: 'button', id: 'verify', onclick: () => this.app.verify() }, t('check.again'))),
      el('dl', {},
        fact('URL', account.url),
        fact('Token', this.token ?? el('button.link', { type: 'button', id: 'show-token', onclick: async () => { this.token = await this.app.token(); this.draw(); } }, t('token.show'))),
        fact(t('mode'), t('mode.' + account.mode)),
        fact('AppID', account.appID),
        fact(t('original.id'), account.originalID),
        fact(t('kind'), t('account.' + account.kind) + ' · ' + t(account.verified ? 'verified' : 'unverified'))));
  }

  // failed says why WeChat would not take the address, and what to do. The simulator's own
  // sentence is English, and shown only if the page has none.
  failed(c) {
    const p = problem(c.problem, { status: c.status, check: true });
    return el('div.check.bad', { role: 'note', 'data-problem': c.problem }, el('h4', {}, icon('warning'), t('check.failed')),
      p ? [el('p', {}, el('b', {}, p.what)), el('p', {}, p.todo)] : el('p.why', { lang: 'en' }, c.why),
      c.want ? el('p.why', {}, t('check.echostr', { want: c.want, got: c.got })) : null,
      c.error ? el('p.why', {}, t('check.error', { error: c.error })) : null);
  }

  rules(account) {
    const r = account.rules;
    const change = (patch, recognition = account.recognition) => this.app.setRules({ ...r, ...patch }, recognition);
    const choice = (name, values, words) => el('label.field', {}, el('span', {}, t('rule.' + name)),
      el('select', { id: 'rule-' + name, onchange: (e) => change({ [name]: Number(e.target.value) }) },
        [...new Set([...values, r[name]])].sort((a, b) => a - b).map((v) => el('option', { value: v, selected: v === r[name] }, words(v)))),
      el('small', {}, t('rule.' + name + '.hint')));
    const toggle = (name, on, onchange) => el('label.check', {},
      el('input', { type: 'checkbox', role: 'switch', id: 'rule-' + name, checked: on, onchange: (e) => onchange(e.target.checked) }),
      el('span', {}, t('rule.' + name), el('small', {}, t('rule.' + name + '.hint'))));
    return el('section', {}, el('h3', {}, t('rules')), el('p.about', {}, t('rules.about')),
      choice('pushes', [3, 4], String),
      choice('timeout', [500, 1000, 5000], (v) => v / 1000 + ' s'),
      ['freshRetries', 'waitAfterFailure', 'eventFaultNotice'].map((name) => toggle(name, r[name], (on) => change({ [name]: on }))),
      toggle('recognition', account.recognition, (on) => change({}, on)),
      toggle('omitRecognition', r.omitRecognition, (on) => change({ omitRecognition: on })),
      choice('markFail', [0, 3, 5, 10], (v) => (v ? String(v) : t('never'))),
      choice('loseFirst', [0, 1, 2], (v) => (v ? String(v) : t('none'))),
      toggle('loseSilently', r.loseSilently, (on) => change({ loseSilently: on })));
  }

  // faults are those of the API that are in force, and one more to add.
  faults(account) {
    const list = account.faults;
    const path = el('select', { id: 'fault-path', 'aria-label': t('fault.path') }, ['*', 'token', 'custom/send', 'custom/typing', 'media/upload', 'menu/create', 'qrcode/create', 'user/info'].map((p) =>
      el('option', { value: p }, p === '*' ? t('fault.all') : p)));
    const what = el('select', { id: 'fault-what', 'aria-label': t('fault.what') }, ['-1', '40001', '42001', '45009', '45015', '45047', '48001', '3s', 'lose', 'html'].map((w) =>
      el('option', { value: w }, errcode(w) ? w + ' ' + errcode(w) : t('fault.' + w))));
    const times = el('select', { id: 'fault-times', 'aria-label': t('fault.times') }, [['', t('fault.always')], ['*1', t('fault.once')], ['*3', t('fault.thrice')]].map(([value, text]) => el('option', { value }, text)));
    return el('section', {}, el('h3', {}, t('faults')), el('p.about', {}, t('faults.about')),
      el('ul.faults', {}, list.map((f, i) => el('li', {}, el('code', {}, f), iconButton('close', t('fault.remove', { fault: f }), () => this.app.setFaults(list.toSpliced(i, 1)))))),
      el('div.new-fault', {}, path, times, what),
      el('div.actions', {}, el('button.quiet', { type: 'button', id: 'add-fault', onclick: () => this.app.setFaults([...list, path.value + '=' + what.value + times.value]) }, t('fault.add'))));
  }

  // windows are what the account may still send to the user that is shown.
  windows() {
    const user = this.app.user();
    if (!user) return null;
    const title = el('h3', {}, t('windows', { name: user.nickname }));
    if (!this.app.account().verified) return el('section', {}, title, el('p', { id: 'windows' }, t('windows.unauthorized'))); // R-API-GRANT
    return el('section', {}, title, el('p.about', {}, t('windows.about')),
      user.windows.length ? el('dl', { id: 'windows' }, user.windows.map((w) => [el('dt', {}, t('window.' + w.trigger)), el('dd', {}, t('window.left', { n: w.left, until: moment(w.until, this.app.now()) }))])) : el('p', { id: 'windows' }, t('windows.none')));
  }
}
