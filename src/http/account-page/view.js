// What is shown: one panel at a time, and at each field what is wrong with it.
import { badge, deviceName, endSentence, fromNow, make, pair } from './words.js';

const root = document.documentElement;
export const byId = (id) => document.getElementById(id);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];
export const formOf = (action) => document.querySelector(`form[data-action="${action}"]`);

/** Who is signed in; null for a guest. */
export const state = { viewer: null };

export function openPanel(name) {
  const wanted = name === 'home' ? (state.viewer === null ? 'sign-in' : 'account') : name;
  for (const panel of all('[data-panel]')) panel.hidden = panel.dataset.panel !== wanted;
  root.classList.toggle('is-signed-in', wanted === 'account');
  const panel = document.querySelector(`[data-panel="${wanted}"]`);
  for (const form of all('form', panel)) clearFaults(form);
  note('');
  const empty = all('form input', panel).find(({ value, hidden }) => value === '' && !hidden);
  (wanted === 'account' ? byId('account-title') : (empty ?? panel.querySelector('h1'))).focus();
}

export function leave(message) {
  state.viewer = null;
  byId('profile').replaceChildren();
  byId('sessions').replaceChildren();
  openPanel('sign-in');
  note(message);
}

export function note(text) {
  byId('note').textContent = text;
}

export function showAccount() {
  const { displayName, username, email, emailVerified, roles, githubAccount, sessions } =
    state.viewer;
  byId('account-title').textContent = displayName;
  byId('profile').replaceChildren(
    ...pair('Username', username),
    ...pair('E-mail', email ?? 'none', email && badge(emailVerified ? 'verified' : 'not verified')),
    ...pair('Roles', roles.join(', ')),
  );
  formOf('changePassword').elements.username.defaultValue = username;
  byId('sessions').replaceChildren(
    ...sessions.edges.map(({ node }) => sessionItem(node)).reverse(),
  );
  byId('github').replaceChildren(...(githubAccount ? githubLinked(githubAccount) : [githubLink()]));
}

function sessionItem({ id, device, ipAddress, lastSeenAt, isCurrent }) {
  const name = deviceName(device);
  const seconds = (Date.parse(lastSeenAt) - Date.now()) / 1000;
  const seen = make('time', { dateTime: lastSeenAt, title: new Date(lastSeenAt).toLocaleString() });
  seen.textContent = seconds > -90 ? 'just now' : fromNow(seconds);
  const about = make(
    'div',
    {},
    make('p', { title: device ?? '' }, name, ' ', isCurrent ? badge('this one') : ''),
    make('p', { className: 'quiet' }, `${ipAddress ?? 'unknown address'}, `, seen),
  );
  const button = make('button', { type: 'button' }, 'Sign out');
  Object.assign(button.dataset, { do: isCurrent ? 'signOut' : 'revokeSession', id });
  button.setAttribute('aria-label', `Sign out ${name}, ${seen.textContent}`);
  return make('li', {}, about, isCurrent ? '' : button);
}

function githubLinked({ login, state }) {
  const button = make('button', { type: 'button' }, 'Unlink');
  button.dataset.do = 'unlinkGitHub';
  return [`Linked to ${login}${state === 'BROKEN' ? ', who has to link it again' : ''}. `, button];
}

function githubLink() {
  const href = '/auth/github?link=1&returnTo=/account';
  return make('a', { className: 'button', href }, 'Link GitHub');
}

export function showFault(place, refusal, input) {
  if (state.viewer !== null && refusal.code === 'UNAUTHENTICATED') {
    leave('Your session has ended. Sign in again.');
    return;
  }
  const message = endSentence(refusal.message);
  if (input === undefined) {
    all('.fault', place).at(-1).textContent = message;
    return;
  }
  const id = `fault-${place.dataset.action}-${input.name}`;
  const fault = make('p', { className: 'fault', id }, message);
  fault.setAttribute('role', 'alert');
  // Beside the label: what stands in it becomes part of the field's name.
  input.closest('label').after(fault);
  input.setAttribute('aria-invalid', 'true');
  input.dataset.rule = input.getAttribute('aria-describedby') ?? '';
  input.setAttribute('aria-describedby', `${id} ${input.dataset.rule}`.trim());
  input.focus();
}

export function clearFaults(place) {
  for (const fault of all('.fault[id]', place)) fault.remove();
  for (const fault of all('.fault', place)) fault.textContent = '';
  for (const input of all('[aria-invalid]', place)) {
    input.removeAttribute('aria-invalid');
    if (input.dataset.rule === '') input.removeAttribute('aria-describedby');
    else input.setAttribute('aria-describedby', input.dataset.rule);
  }
}

export async function whileBusy(place, work) {
  const focused = document.activeElement;
  const buttons = all('button', place);
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } finally {
    for (const button of buttons) button.disabled = false;
    // A button that is disabled loses the focus.
    if (document.activeElement === document.body) focused.focus();
  }
}

export function reveal({ form, checked }) {
  for (const input of all('[autocomplete$="-password"]', form)) {
    input.type = checked ? 'text' : 'password';
  }
}
