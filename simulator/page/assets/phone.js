// The phone: one user's chat with one account.
import { el, icon, iconButton, replace, avatar, clock } from './dom.js';
import { t } from './i18n.js';
import { bubble } from './bubble.js';
import { actions } from './actions.js';
import { leave } from './dialog.js';

const gap = 5 * 60 * 1000; // a time stamp stands before a bubble that comes this long after the last

const isAtEnd = (scroll) => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;

// Phone draws itself into root. app has the state and does the work:
// app.state, app.user(), app.account(), app.chat(), app.act(action), app.select(user).
export class Phone {
  constructor(root, app) {
    this.root = root;
    this.app = app;
    this.drafts = new Map(); // what each user has begun to write
    this.bar = new Map(); // keyboard or menu, by account
    this.more = false; // the panel behind the plus
    this.profile = false;
    this.drawn = '';
    this.atEnd = true; // of the chat
    this.resized = new ResizeObserver(() => { if (this.atEnd && this.list?.isConnected) this.toEnd(); });
  }

  // draw brings the phone up to date. What looks the same is left alone, so
  // that a change elsewhere does not take the focus away.
  draw() {
    const user = this.app.user();
    const account = this.app.account();
    const looks = JSON.stringify([document.documentElement.lang, this.app.state.users.map((u) => [u.openID, u.nickname, u.following, u.account]),
      user?.openID, account?.appID, account?.name, account?.menu, this.bar.get(account?.appID), this.more, this.profile, [...this.app.unread()], user?.typing]);
    if (looks === this.drawn) return;
    this.drawn = looks;
    const writing = document.activeElement?.id === 'say';
    replace(this.root, this.people(user, account), el('div.device', {},
      el('div.status', { 'aria-hidden': 'true' }, el('span', {}, clock(this.app.now())), el('span.battery')),
      user && account ? (!user.following || this.profile ? this.profileOf(user, account) : this.chatOf(user, account)) : el('p.empty', {}, t('users.none'))));
    this.fill();
    if (writing) this.root.querySelector('#say')?.focus();
  }

  // people are the users to be, one at a time.
  people(user, account) {
    const unread = this.app.unread();
    return el('div.people', { role: 'group', 'aria-label': t('users') },
      this.app.state.users.filter((u) => u.account === account?.appID).map((u) => el('button.person', {
        type: 'button', 'aria-pressed': String(u === user), 'data-user': u.openID, title: u.openID,
        onclick: () => { this.leave(); this.app.select(u.openID); },
      }, avatar(u.nickname), el('span', {}, u.nickname), unread.has(u.openID) ? el('span.unread', {}, el('span.reader-only', {}, t('users.unread'))) : null)),
      el('button.person.add', { type: 'button', id: 'add-user', onclick: () => actions.addUser(this.app) }, icon('plus'), el('span', {}, t('users.add'))));
  }

  // leave closes what is open, before another account is shown.
  leave() {
    this.profile = this.more = false;
  }

  titleBar(text, left, right) {
    return el('div.titlebar', {}, left ?? el('span'), el('h1', {}, text), right ?? el('span'));
  }

  chatOf(user, account) {
    this.list = el('ol.chat', { 'aria-label': t('chat'), tabindex: '0' });
    const scroll = el('div.scroll', { 'aria-live': 'polite', onscroll: () => { this.atEnd = isAtEnd(scroll); } }, this.list);
    this.resized.disconnect();
    this.resized.observe(scroll); // whoever reads the end goes on reading the end
    return [
      this.titleBar(user.typing ? t('typing') : account.name, null, iconButton('person', t('profile'), () => { this.profile = true; this.draw(); }, { id: 'profile' })),
      scroll,
      this.bottom(user, account),
      this.more ? this.panel() : null,
    ];
  }

  // fill puts the bubbles in.
  fill() {
    if (!this.list?.isConnected) return;
    this.last = 0;
    replace(this.list, this.app.chat().map((b) => this.entry(b)));
    this.toEnd();
  }

  // add is for one new bubble, or one that has changed, of the user shown.
  add(b) {
    if (!this.list?.isConnected) return;
    const old = this.list.querySelector(`[data-bubble="${CSS.escape(String(b.id))}"]`);
    if (old) {
      old.replaceWith(bubble(b, this.context()));
      return;
    }
    const atEnd = isAtEnd(this.list.parentElement);
    this.list.append(...this.entry(b));
    if (atEnd || b.from === 'user') this.toEnd();
  }

  // answered draws the bubbles of an exchange anew, when it has ended.
  answered(x) {
    if (!x.done || x.user !== this.app.user()?.openID) return;
    for (const b of this.app.chat()) if (b.exchange === x.id && b.from !== 'user') this.add(b);
  }

  entry(b) {
    const stamp = b.at - (this.last ?? 0) > gap ? el('li.time', {}, clock(b.at)) : null;
    this.last = b.at;
    return [stamp, bubble(b, this.context())].filter(Boolean);
  }

  toEnd() {
    const scroll = this.list.parentElement;
    scroll.scrollTop = scroll.scrollHeight;
    this.atEnd = true;
  }

  context() {
    return {
      user: this.app.user().nickname,
      account: this.app.account().name,
      appID: this.app.account().appID,
      answers: (b) => this.app.answered(b),
      wire: (id) => this.app.show('exchange/' + id),
      follow: (span) => this.follow(span),
      choose: (entry) => this.app.act({ action: 'choose', entry: entry.content }),
    };
  }

  // follow taps a link. One of a menu is said, as WeChat does; any other leads
  // away from here, so its address is shown first.
  follow(span) {
    if (span.kind === 'menu') this.app.act({ action: 'tap', url: span.url });
    else leave(span.kind === 'miniprogram' ? `${span.app_id} ${span.page_path ?? ''}` : span.url ?? span.text);
  }

  // bottom is the bar with the keyboard or the account's menu.
  bottom(user, account) {
    const buttons = account.menu ?? [];
    const mode = buttons.length ? this.bar.get(account.appID) ?? 'menu' : 'keyboard';
    const change = buttons.length ? iconButton(mode === 'menu' ? 'keyboard' : 'menu', t(mode === 'menu' ? 'bar.keyboard' : 'bar.menu'), () => {
      this.bar.set(account.appID, mode === 'menu' ? 'keyboard' : 'menu');
      this.more = false;
      this.draw();
      this.root.querySelector('#say')?.focus();
    }, { id: 'bar-switch' }) : null;
    if (mode === 'menu') return el('div.bottom', {}, change, el('div.menu', {}, buttons.map((b, i) => this.menuButton(b, [i]))));

    const draft = this.drafts.get(user.openID) ?? '';
    const say = el('textarea', {
      id: 'say', rows: 1, value: draft, 'aria-label': t('say'), placeholder: t('say.placeholder'), enterkeyhint: 'send', maxlength: 10000,
      oninput: () => { this.drafts.set(user.openID, say.value); this.grow(say); },
      // Enter chooses a word while an input method is at work; 229 is how Safari says so.
      onkeydown: (e) => {
        if (e.key === 'Enter' && !e.shiftKey && !e.isComposing && e.keyCode !== 229) {
          e.preventDefault();
          send();
        }
      },
    });
    const send = () => {
      const text = say.value;
      if (!text.trim()) return;
      say.value = '';
      this.drafts.delete(user.openID);
      this.grow(say);
      this.app.act({ action: 'text', text }, () => { // it was refused: nothing is lost
        this.drafts.set(user.openID, text);
        const input = this.root.querySelector('#say');
        if (input && !input.value) input.value = text;
      });
    };
    return el('div.bottom', {}, change, say,
      el('button.send', { type: 'button', id: 'send', onclick: () => { send(); say.focus(); } }, t('send')),
      iconButton('plus', t('more'), () => { this.more = !this.more; this.draw(); }, { id: 'plus', 'aria-expanded': String(this.more) }));
  }

  grow(say) {
    say.style.height = 'auto';
    say.style.height = Math.min(say.scrollHeight, 110) + 'px';
  }

  menuButton(b, path) {
    if (!b.sub_button?.length) return el('button', { type: 'button', 'data-menu': path.join('.'), title: t('menu.' + b.type), onclick: () => actions.click(this.app, b, path) }, b.name);
    const list = el('div.sub', { hidden: true, role: 'group', 'aria-label': b.name }, b.sub_button.map((s, i) => this.menuButton(s, [...path, i])));
    const main = el('button.has-sub', { type: 'button', 'data-menu': path.join('.'), 'aria-expanded': 'false',
      onclick: () => {
        const show = list.hidden;
        this.root.querySelectorAll('.sub').forEach((other) => { other.hidden = true; });
        this.root.querySelectorAll('.has-sub').forEach((other) => other.setAttribute('aria-expanded', 'false'));
        list.hidden = !show;
        main.setAttribute('aria-expanded', String(show));
      } }, icon('menu'), b.name);
    list.addEventListener('click', () => { list.hidden = true; main.setAttribute('aria-expanded', 'false'); });
    return el('div.group', { onkeydown: (e) => { if (e.key === 'Escape') { list.hidden = true; main.focus(); } } }, main, list);
  }

  panel() {
    const items = ['picture', 'voice', 'video', 'location', 'link', 'file', 'scan', 'report'];
    return el('div.panel', { role: 'group', 'aria-label': t('more') }, items.map((name) => el('button.item', {
      type: 'button', 'data-action': name, onclick: () => actions[name](this.app),
    }, el('span.square', {}, icon(name)), el('span', {}, t('panel.' + name)))));
  }

  // profileOf is the account's own page, where one follows it.
  profileOf(user, account) {
    return [
      this.titleBar('', user.following ? iconButton('back', t('back'), () => { this.profile = false; this.draw(); }) : null),
      el('div.scroll.profile', {},
        el('div.who', {}, avatar(account.name, 'account'), el('div', {}, el('h2', {}, account.name), el('p', {}, t('account.' + account.kind) + (account.verified ? ' · ' + t('verified') : '')))),
        el('p.about', {}, t(user.following ? 'profile.following' : 'profile.not', { name: user.nickname })),
        user.following
          ? [el('button.big.primary', { type: 'button', onclick: () => { this.profile = false; this.draw(); } }, t('profile.enter')),
            el('button.big', { type: 'button', 'data-action': 'scan', onclick: () => actions.scan(this.app) }, t('panel.scan')),
            el('button.big.danger', { type: 'button', id: 'unfollow', onclick: () => { this.profile = false; this.app.act({ action: 'unfollow' }); } }, t('unfollow'))]
          : [el('button.big.primary', { type: 'button', id: 'follow', onclick: () => this.app.act({ action: 'follow' }) }, t('follow')),
            el('button.big', { type: 'button', id: 'follow-scan', onclick: () => actions.scan(this.app) }, t('follow.scan'))]),
    ];
  }
}
