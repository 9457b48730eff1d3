// What a user does beside writing: each asks for what is needed, then acts.
import { t } from './i18n.js';
import { ask, leave } from './dialog.js';

const maxPicture = 2 << 20; // bytes

export const actions = {
  addUser: (app) => ask(t('users.add'), [{ name: 'nickname', label: t('users.nickname'), value: app.freshName() }], t('users.add'), (v) => app.addUser(v.nickname)),

  picture: (app) => ask(t('panel.picture'), [{ name: 'file', label: t('picture.file'), type: 'file', accept: 'image/png,image/jpeg,image/gif', hint: t('picture.hint') }],
    t('send'), async (v) => app.act({ action: 'picture', data: v.file ? await base64(v.file) : null })),

  voice: (app) => ask(t('panel.voice'), [
    { name: 'recognition', label: t('voice.text'), value: t('voice.sample'), hint: t(app.account().recognition ? 'voice.on' : 'voice.off') },
  ], t('send'), (v) => app.act({ action: 'voice', text: v.recognition })),

  video: (app) => ask(t('panel.video'), [{ name: 'kind', label: t('video.kind'), value: 'video', options: [['video', t('message.video')], ['shortvideo', t('message.shortvideo')]] }],
    t('send'), (v) => app.act({ action: v.kind })),

  location: (app) => place(app, t('panel.location'), 'location'),
  report: (app) => place(app, t('panel.report'), 'report'),

  link: (app) => ask(t('panel.link'), [
    { name: 'title', label: t('field.title'), value: t('link.sample') },
    { name: 'description', label: t('field.description'), value: '' },
    { name: 'url', label: 'URL', value: 'https://github.com/echostr/echostr' },
  ], t('send'), (v) => app.act({ action: 'link', title: v.title, description: v.description, url: v.url })),

  file: (app) => ask(t('panel.file'), [
    { name: 'title', label: t('file.name'), value: t('file.sample') },
    { name: 'size', label: t('file.size'), type: 'number', value: '20480' },
  ], t('send'), (v) => app.act({ action: 'file', title: v.title, size: v.size })),

  // scan reads a QR code: one that the server has made by WeChat's API, or any scene.
  scan: (app) => {
    const codes = app.account().codes ?? [];
    return ask(t('panel.scan'), [
      codes.length ? { name: 'ticket', label: t('scan.code'), options: [['', t('scan.other')], ...codes.map((c) => [c.ticket, c.scene])], value: codes[0].ticket } : null,
      { name: 'scene', label: t('scan.scene'), value: codes.length ? '' : '123123', hint: t('scan.hint') },
    ].filter(Boolean), t('scan.do'), (v) => app.act({ action: 'scan', code: v.ticket || v.scene }));
  },

  // click taps a button of the menu. Some want something of the user first.
  click: (app, button, path) => {
    const act = (more) => app.act({ action: 'click', button: position(path), ...more });
    switch (button.type) {
      case 'scancode_push':
      case 'scancode_waitmsg':
        return ask(button.name, [{ name: 'result', label: t('menu.result'), value: 'https://github.com/echostr/echostr' }], t('scan.do'), (v) => act({ text: v.result }));
      case 'location_select':
        return place(app, button.name, 'click', path);
      case 'view':
        act();
        return leave(button.url);
      default:
        return act();
    }
  },
};

function place(app, title, action, path) {
  return ask(title, [
    { name: 'label', label: t('place.label'), value: t('place.sample') },
    { name: 'latitude', label: t('place.latitude'), type: 'number', value: '23.106574' },
    { name: 'longitude', label: t('place.longitude'), type: 'number', value: '113.324587' },
  ], t('send'), (v) => app.act({ action, button: path ? position(path) : '', label: v.label, latitude: v.latitude, longitude: v.longitude }));
}

// position names a button of the menu by its place: #2.1 is the first below the second.
const position = (path) => '#' + path.map((i) => i + 1).join('.');

async function base64(file) {
  if (file.size > maxPicture) throw new Error(t('picture.large', { max: '2 MB' }));
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = '';
  for (const b of bytes) text += String.fromCharCode(b);
  return btoa(text);
}
