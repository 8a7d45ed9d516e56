// What the forms and buttons do.
import { ask, mutate } from './api.js';
import {
  all,
  byId,
  clearFaults,
  formOf,
  leave,
  note,
  openPanel,
  reveal,
  showAccount,
  showFault,
  state,
  whileBusy,
} from './view.js';
import { count, endSentence } from './words.js';

const VIEWER = `{ viewer { username displayName email emailVerified roles
  githubAccount { login state }
  sessions(first: 100) { edges { node { id device ipAddress lastSeenAt isCurrent } } } } }`;

/** Reads who is signed in, and shows it. */
async function load() {
  state.viewer = (await ask(VIEWER)).viewer;
  if (state.viewer !== null) showAccount();
}

/** The code of a mail that waits for its account to sign in. */
let unconfirmed = '';

const actions = {
  async signIn(values) {
    await mutate('signIn', '', { ...values, transport: 'COOKIE' });
    await load();
    // Whoever had to sign in for it goes on with confirming.
    openPanel(unconfirmed === '' ? 'home' : 'verify');
    formOf('verifyEmail').elements.token.value = unconfirmed;
    unconfirmed = '';
  },
  async signUp(values) {
    const wanted = { ...values, invitation: values.invitation || null };
    const { nextStep } = await mutate('signUp', '... on SignUpAccepted { nextStep }', wanted);
    if (nextStep === 'VERIFY_EMAIL') {
      openPanel('verify');
      note('A mail is on its way. Open its link, or enter its code here.');
    } else {
      await signInAs(values.username, values.password);
      note('Your account is ready.');
    }
  },
  async requestPasswordReset(values) {
    await mutate('requestPasswordReset', '', values);
    openPanel('reset');
    note('A mail is on its way, if it can be. Open its link, or enter its code here.');
  },
  async resetPassword(values) {
    await mutate('resetPassword', '', values);
    state.viewer = null;
    openPanel('sign-in');
    note('Your new password counts. Sign in with it.');
  },
  async verifyEmail({ token, password }) {
    const isGuest = state.viewer === null;
    try {
      const selection = '... on EmailVerified { user { username } }';
      const input = { token, password: password || null };
      const { user } = await mutate('verifyEmail', selection, input);
      if (isGuest) await signInAs(user.username, password);
      else await load();
      openPanel('home');
      note('Your e-mail address is confirmed.');
    } catch (refusal) {
      if (!isGuest || refusal.code !== 'UNAUTHENTICATED') throw refusal;
      unconfirmed = token;
      openPanel('sign-in');
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

/** Right after it has been proven; where that does not work, the form is there. */
async function signInAs(login, password) {
  await actions.signIn({ login, password }).catch(() => openPanel('sign-in'));
}

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
  if (action === 'changePassword') delete values.username;
  await whileBusy(form, async () => {
    try {
      await actions[action](values);
      form.reset();
      for (const input of all('[data-reveal]', form)) reveal(input);
    } catch (refusal) {
      const isWrong = refusal.code === 'INVALID_CREDENTIALS';
      const field = refusal.field ?? (isWrong ? CREDENTIAL_FIELDS[action] : undefined);
      showFault(form, refusal, form.elements[field]);
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
      showFault(section, refusal);
    }
  });
}

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
  openPanel(name ?? 'home');
  if (error !== null) note(GITHUB_REFUSALS[error] ?? 'The sign-in with GitHub did not succeed.');
}

document.addEventListener('submit', (event) => {
  event.preventDefault();
  void submit(event.target);
});
document.addEventListener('click', ({ target }) => {
  const button = target.closest('button');
  if (button?.dataset.open !== undefined) openPanel(button.dataset.open);
  if (button?.dataset.do !== undefined) void run(button);
});
document.addEventListener('change', ({ target }) => {
  if (target.matches('[data-reveal]')) reveal(target);
});
void load()
  .catch((refusal) => refusal)
  .then((refusal) => {
    readAddress();
    // From now on: what changed until here has just been read, and would be closed again.
    window.addEventListener('hashchange', readAddress);
    if (refusal) note(endSentence(refusal.message));
  });
