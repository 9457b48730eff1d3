// Dialogs are the browser's own: they keep the focus, close by Escape, and
// screen readers know them.
import { el, iconButton } from './dom.js';
import { t } from './i18n.js';

// open shows a dialog with a title and returns a function that closes it.
export function open(title, content, { kind = 'sheet' } = {}) {
  const dialog = el('dialog.' + kind, { 'aria-label': title });
  const close = () => dialog.close();
  dialog.append(el('header', {}, el('h2', {}, title), iconButton('close', t('close'), close)), ...content(close));
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (e) => { if (e.target === dialog) close(); }); // beside it
  document.body.append(dialog);
  dialog.showModal();
  return close;
}

// ask shows a form. fields are [{name, label, value, type, options, rows, hint}];
// submit gets their values, and what it throws is shown in the form.
export function ask(title, fields, done, submit) {
  return open(title, (close) => {
    const problem = el('p.problem', { role: 'alert' });
    const inputs = fields.map((f) => [f, input(f)]);
    const form = el('form', {
      onsubmit: async (e) => {
        e.preventDefault();
        const values = {};
        for (const [f, node] of inputs) values[f.name] = f.type === 'file' ? node.files[0] ?? null : f.type === 'number' ? Number(node.value) : node.value;
        try {
          await submit(values);
          close();
        } catch (err) {
          problem.textContent = err.message;
        }
      },
    }, inputs.map(([f, node]) => el('label.field', {}, el('span', {}, f.label), node, f.hint ? el('small', {}, f.hint) : null)),
    problem, el('div.actions', {}, el('button.quiet', { type: 'button', onclick: close }, t('cancel')), el('button.primary', { type: 'submit' }, done)));
    return [form];
  });
}

function input(f) {
  if (f.options) {
    return el('select', { name: f.name }, f.options.map(([value, text]) => el('option', { value, selected: value === f.value }, text)));
  }
  if (f.rows) return el('textarea', { name: f.name, rows: f.rows, spellcheck: 'false', value: f.value ?? '' });
  return el('input', {
    name: f.name, type: f.type ?? 'text', step: f.type === 'number' ? 'any' : null, accept: f.accept, autocomplete: 'off',
    placeholder: f.placeholder, value: f.type === 'file' ? null : f.value ?? '',
  });
}

// leave shows where a link leads before anybody goes there.
export function leave(address) {
  const safe = /^https?:\/\//i.test(address);
  open(t('link.title'), (close) => [
    el('p.address', {}, address || t('link.none')),
    el('div.actions', {}, el('button.quiet', { type: 'button', onclick: close }, t('close')),
      safe ? el('a.button.primary', { href: address, target: '_blank', rel: 'noopener noreferrer', onclick: close }, t('link.open')) : null),
  ]);
}
