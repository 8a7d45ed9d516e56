// The account page: a small client of the GraphQL API like any other. Nothing from a server or an
// address bar is ever put in as HTML: only as text.

const root = document.documentElement;
const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const formOf = (action) => document.querySelector(`form[data-action="${action}"]`);

/** What is signed in; null for a guest. */
let viewer = null;

// ---- The API

class Refusal extends Error {
  constructor(code, message, field) {
    super(message);
    this.code = code;
    this.field = field;
  }
}

async function ask(query, variables) {
  let answer;
  try {
    const response = await fetch('/graphql', {
      method: 'POST',
      // The header is one that no other site can have a browser send.
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'x-naru-csrf': '1',
      },
      body: JSON.stringify({ query, variables }),
    });
    answer = await response.json();
  } catch {
    throw new Refusal('UNREACHABLE', 'Naru cannot be reached. Try again in a moment.', null);
  }
  const [error] = answer.errors ?? [];
  if (error === undefined) return answer.data;
  // A value that is none of its type, such as an e-mail address, is refused before anything runs.
  const [, field] = /"input\.(\w+)"/.exec(error.message) ?? [];
  const message = field === undefined ? error.message : 'This is not as it should be.';
  throw new Refusal(error.extensions?.code, message, field ?? null);
}

async function mutate(name, selection, input) {
  const type = `${name[0].toUpperCase()}${name.slice(1)}Input`;
  const [declared, given] = input ? [`($input: ${type}!)`, '(input: $input)'] : ['', ''];
  const data = await ask(
    `mutation ${declared} { ${name}${given} { __typename ${selection} ... on Error { code message
       ... on InvalidInputError { field } ... on RateLimitedError { retryAfterSeconds } } } }`,
    { input },
  );
  const result = data[name];
  if (result.code === undefined) return result;
  const wait = result.retryAfterSeconds ? ` Try again ${fromNow(result.retryAfterSeconds)}.` : '';
  const field = result.field?.split('.').at(-1) ?? null;
  throw new Refusal(result.code, endSentence(result.message) + wait, field);
}

const VIEWER = `{ viewer { username displayName email emailVerified roles
  githubAccount { login state }
  sessions(first: 100) { edges { node { id device ipAddress lastSeenAt isCurrent } } } } }`;

/** Reads who is signed in, and shows it. */
async function load() {
  viewer = (await ask(VIEWER)).viewer;
  if (viewer !== null) showAccount();
}

// ---- What each form does

const actions = {
  async signIn(values) {
    await mutate('signIn', '', { ...values, transport: 'COOKIE' });
    await load();
    // Whoever had to sign in for it goes on with confirming.
    open(formOf('verifyEmail').elements.token.value === '' ? 'home' : 'verify');
    note('');
  },
  async signUp(values) {
    const wanted = { ...values, invitation: values.invitation || null };
    const { nextStep } = await mutate('signUp', '... on SignUpAccepted { nextStep }', wanted);
    if (nextStep === 'VERIFY_EMAIL') {
      open('verify');
      note('A mail is on its way. Open its link, or enter its code here.');
    } else {
      await actions.signIn({ login: values.username, password: values.password });
      note('Welcome. Your account is ready.');
    }
  },
  async requestPasswordReset(values) {
    await mutate('requestPasswordReset', '', values);
    open('reset');
    note('A mail is on its way, if it can be. Open its link, or enter its code here.');
  },
  async resetPassword(values) {
    await mutate('resetPassword', '', values);
    viewer = null;
    open('sign-in');
    note('Your new password counts. Sign in with it.');
  },
  async verifyEmail({ token, password }) {
    const selection = '... on EmailVerified { user { username } }';
    try {
      const { user } = await mutate('verifyEmail', selection, {
        token,
        password: password || null,
      });
      formOf('verifyEmail').reset();
      if (viewer === null) await actions.signIn({ login: user.username, password });
      else await load();
      open('home');
      note('Your e-mail address is confirmed.');
    } catch (refusal) {
      if (viewer !== null || refusal.code !== 'UNAUTHENTICATED') throw refusal;
      open('sign-in');
      note('Sign in to the account that gets this address. Then you can confirm it.');
    }
  },
  async changePassword({ currentPassword, newPassword }) {
    const { endedSessions } = await mutate(
      'changePassword',
      '... on PasswordChanged { endedSessions }',
      { currentPassword: currentPassword || null, newPassword },
    );
    await load();
    note(`Your password is changed. ${count(endedSessions, 'other session')} ended.`);
  },
};

const commands = {
  async signOut() {
    await mutate('signOut', '', { everywhere: false });
    leave('You are signed out.');
  },
  async signOutEverywhere() {
    await mutate('signOut', '', { everywhere: true });
    leave('You are signed out everywhere.');
  },
  async revokeSession({ id }) {
    await mutate('revokeSession', '', { id });
    await load();
    byId('sessions-title').focus();
    note('That session has ended.');
  },
  async unlinkGitHub() {
    await mutate('unlinkGitHub', '');
    await load();
    note('GitHub is unlinked.');
  },
};

/** Where a refusal of credentials belongs, in forms where that is plain. */
const CREDENTIAL_FIELDS = { changePassword: 'currentPassword', resetPassword: 'token' };

async function submit(form) {
  const { action } = form.dataset;
  clearFaults(form);
  const values = Object.fromEntries(new FormData(form));
  delete values[''];
  if (action === 'changePassword') delete values.username;
  await whileBusy(form, async () => {
    try {
      await actions[action](values);
      form.reset();
      for (const input of all('[data-reveal]', form)) reveal(input);
    } catch (refusal) {
      const isWrong = refusal.code === 'INVALID_CREDENTIALS';
      const field = refusal.field ?? (isWrong ? CREDENTIAL_FIELDS[action] : undefined);
      await showFault(form, refusal, form.elements[field]);
    }
  });
}

async function run(button) {
  const section = button.closest('section');
  clearFaults(section);
  await whileBusy(section, async () => {
    try {
      await commands[button.dataset.do](button.dataset);
    } catch (refusal) {
      await showFault(section, refusal);
    }
  });
}

// ---- What is shown

function open(name) {
  const wanted = name === 'home' ? (viewer === null ? 'sign-in' : 'account') : name;
  for (const panel of all('[data-panel]')) panel.hidden = panel.dataset.panel !== wanted;
  root.classList.toggle('is-signed-in', wanted === 'account');
  const panel = document.querySelector(`[data-panel="${wanted}"]`);
  for (const form of all('form', panel)) clearFaults(form);
  note('');
  const empty = all('form input', panel).find(({ value, hidden }) => value === '' && !hidden);
  (wanted === 'account' ? byId('account-title') : (empty ?? panel.querySelector('h1'))).focus();
}

function leave(message) {
  viewer = null;
  byId('profile').replaceChildren();
  byId('sessions').replaceChildren();
  open('sign-in');
  note(message);
}

function note(text) {
  byId('note').textContent = text;
}

function showAccount() {
  const { displayName, username, email, emailVerified, roles, githubAccount, sessions } = viewer;
  byId('account-title').textContent = displayName;
  byId('profile').replaceChildren(
    ...pair('Username', username),
    ...pair('E-mail', email ?? 'none', email && badge(emailVerified ? 'verified' : 'not verified')),
    ...pair('Roles', roles.join(', ')),
  );
  formOf('changePassword').elements.username.value = username;
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
    make('p', { title: device ?? '' }, name, isCurrent ? badge('this one') : ''),
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

async function showFault(place, refusal, input) {
  if (viewer !== null && refusal.code === 'UNAUTHENTICATED') {
    leave('Your session has ended. Sign in again.');
    return;
  }
  const message = endSentence(refusal.message);
  if (input === undefined) {
    all('.fault', place).at(-1).textContent = message;
    return;
  }
  const fault = make('span', { className: 'fault', id: `fault-${input.name}` }, message);
  fault.setAttribute('role', 'alert');
  input.after(fault);
  input.setAttribute('aria-invalid', 'true');
  input.dataset.rule = input.getAttribute('aria-describedby') ?? '';
  input.setAttribute('aria-describedby', `${fault.id} ${input.dataset.rule}`.trim());
  input.focus();
}

function clearFaults(place) {
  for (const fault of all('label .fault', place)) fault.remove();
  for (const fault of all('.fault', place)) fault.textContent = '';
  for (const input of all('[aria-invalid]', place)) {
    input.removeAttribute('aria-invalid');
    if (input.dataset.rule === '') input.removeAttribute('aria-describedby');
    else input.setAttribute('aria-describedby', input.dataset.rule);
  }
}

async function whileBusy(place, work) {
  const buttons = all('button', place);
  for (const button of buttons) button.disabled = true;
  await work();
  for (const button of buttons) button.disabled = false;
}

function reveal({ form, checked }) {
  for (const input of all('[autocomplete$="-password"]', form)) {
    input.type = checked ? 'text' : 'password';
  }
}

// ---- Words

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function pair(name, ...values) {
  return [make('dt', {}, name), make('dd', {}, ...values.filter(Boolean))];
}

function badge(text) {
  return make('span', { className: 'badge' }, text);
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function endSentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function fromNow(seconds) {
  const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  const steps = [
    [86_400, 'day'],
    [3_600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const [size, unit] = steps.find(([step]) => Math.abs(seconds) >= step) ?? [1, 'second'];
  return words.format(Math.round(seconds / size), unit);
}

const BROWSERS = {
  Edg: 'Edge',
  OPR: 'Opera',
  Firefox: 'Firefox',
  Chrome: 'Chrome',
  Safari: 'Safari',
};
const SYSTEMS = {
  Android: 'Android',
  'iPhone|iPad': 'iOS',
  'Mac OS': 'macOS',
  Windows: 'Windows',
  Linux: 'Linux',
};

/** Programs call themselves what they like: only what browsers say is put shorter. */
function deviceName(userAgent) {
  if (userAgent === null) return 'Unknown device';
  const find = (names, end) =>
    Object.entries(names).find(([sign]) => new RegExp(`(${sign})${end}`).test(userAgent))?.[1];
  const [browser, system] = [find(BROWSERS, '/'), find(SYSTEMS, '')];
  return browser && system ? `${browser} on ${system}` : userAgent.slice(0, 60);
}

// ---- The address bar

const GITHUB_REFUSALS = {
  access_denied: 'GitHub was told not to sign you in.',
  github_refused: 'GitHub did not take the sign-in. Try again.',
  signup_closed: 'No account here is linked to that GitHub account, and none is made by it.',
  account_disabled: 'This account is disabled.',
  session_ended: 'Your session ended meanwhile. Sign in, and link GitHub again.',
  already_linked: 'That GitHub account is linked to another account.',
  unlink_first: 'Another GitHub account is linked already. Unlink it first.',
};

/** What a mail or GitHub sent along, which nobody is to read over a shoulder or find in the history. */
function readAddress() {
  const [, name, token] = /^#(verify|reset)=([\w-]+)$/.exec(location.hash) ?? [];
  const error = new URLSearchParams(location.search).get('error');
  if (location.hash !== '' || location.search !== '') {
    history.replaceState(null, '', location.pathname);
  }
  if (name !== undefined) {
    formOf(name === 'verify' ? 'verifyEmail' : 'resetPassword').elements.token.value = token;
  }
  open(name ?? 'home');
  if (error !== null) note(GITHUB_REFUSALS[error] ?? 'The sign-in with GitHub did not succeed.');
}

document.addEventListener('submit', (event) => {
  event.preventDefault();
  void submit(event.target);
});
document.addEventListener('click', ({ target }) => {
  const button = target.closest('button');
  if (button?.dataset.open !== undefined) open(button.dataset.open);
  if (button?.dataset.do !== undefined) void run(button);
});
document.addEventListener('change', ({ target }) => {
  if (target.matches('[data-reveal]')) reveal(target);
});
window.addEventListener('hashchange', readAddress);
load()
  .catch((refusal) => refusal)
  .then((refusal) => {
    readAddress();
    if (refusal) note(endSentence(refusal.message));
  });
