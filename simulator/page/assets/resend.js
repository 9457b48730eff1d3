// Sending a message again with changes: its XML in clear, which is signed and
// sealed anew, or the bytes as they are, right or wrong.
import { el } from './dom.js';
import { t } from './i18n.js';
import { open } from './dialog.js';

export function resend(app, bytes) {
  if (!bytes) return;
  const first = bytes.pushes[0]?.request;
  open(t('again.changed'), (close) => {
    const problem = el('p.problem', { role: 'alert' });
    const send = async (body) => {
      try {
        await app.sendAgain(bytes.id, body);
        close();
      } catch (err) {
        problem.textContent = err.message;
      }
    };
    const xml = el('textarea.code', { id: 'edit-xml', rows: 12, spellcheck: 'false', value: bytes.document, 'aria-label': t('edit.xml') });
    const fresh = el('input', { type: 'checkbox', id: 'edit-fresh', checked: true });
    const url = el('input', { type: 'text', id: 'edit-url', spellcheck: 'false', value: first?.url ?? '', 'aria-label': 'URL' });
    const headers = el('textarea.code', { rows: 3, spellcheck: 'false', value: (first?.headers ?? []).map(([k, v]) => `${k}: ${v}`).join('\n'), 'aria-label': t('edit.headers') });
    const raw = el('textarea.code', { id: 'edit-raw', rows: 8, spellcheck: 'false', value: first?.body ?? '', 'aria-label': t('edit.raw') });
    const parts = {
      xml: el('div.part', {}, el('p.about', {}, t('edit.xml.about')), xml, el('label.check', {}, fresh, t('edit.fresh')),
        el('div.actions', {}, el('button.primary', { type: 'button', id: 'send-xml', onclick: () => send({ how: 'xml', document: xml.value, keep: !fresh.checked }) }, t('send')))),
      raw: el('div.part', { hidden: true }, el('p.about', {}, t('edit.raw.about')), el('label.field', {}, el('span', {}, 'URL'), url),
        el('label.field', {}, el('span', {}, t('edit.headers')), headers), el('label.field', {}, el('span', {}, t('edit.raw')), raw),
        el('div.actions', {}, el('button.primary', { type: 'button', id: 'send-raw', onclick: () => send({ how: 'raw', url: url.value, headers: pairs(headers.value), body: raw.value }) }, t('send')))),
    };
    const tabs = el('div.tabs', { role: 'group' }, Object.keys(parts).map((name) => el('button.tab', {
      type: 'button', 'aria-pressed': String(name === 'xml'), 'data-edit': name,
      onclick: (e) => {
        for (const [n, part] of Object.entries(parts)) part.hidden = n !== name;
        for (const tab of tabs.children) tab.setAttribute('aria-pressed', String(tab === e.currentTarget));
      },
    }, t('edit.tab.' + name))));
    return [tabs, ...Object.values(parts), problem];
  }, { kind: 'wide' });
}

function pairs(text) {
  return text.split('\n').filter((line) => line.includes(':')).map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
}
