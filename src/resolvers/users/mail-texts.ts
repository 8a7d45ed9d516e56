// What Naru writes to people. Nothing here is text that somebody chose (no name, no reason): otherwise a
// stranger could have Naru deliver words of theirs to any address.
import type { OneTimePurpose } from '#generated/prisma/enums.ts';
import type { Mail } from '#outbound/mail.ts';
import { ONE_TIME_MINUTES } from './one-time-token.ts';

/** Whom it goes to, and who caused it. */
export interface MailOccasion {
  readonly to: string;
  /** Where this Naru is found. */
  readonly publicUrl: string;
  /** Of whoever asked; null for the server itself and its command line. */
  readonly ipAddress: string | null;
}

/** An occasion that comes with something to do. */
export interface MailTask extends MailOccasion {
  /** Counts once. It stands behind the `#` of the link: browsers send that to no server, and no log has it. */
  readonly token: string;
}

const FRAGMENTS = {
  SIGN_UP: 'verify',
  VERIFY_EMAIL: 'verify',
  RESET_PASSWORD: 'reset',
} as const satisfies Partial<Record<OneTimePurpose, string>>;

/** To an address without an account, whose owner is to say that it is theirs. */
export function signUpMail(task: MailTask): Mail {
  return compose(task, 'Confirm your new account', [
    'Somebody, we hope you, wants an account with this address. To confirm it, open',
    ...linkLines(task, 'SIGN_UP'),
    'You will be asked for the password that you chose.',
    '',
    'Was it not you? Then do nothing: without this, there is no account.',
  ]);
}

/** Instead of `signUpMail`, to an address that has an account: the page says the same in both cases. */
export function alreadyRegisteredMail(on: MailOccasion): Mail {
  return compose(on, 'You already have an account', [
    'Somebody, we hope you, tried to make an account with this address. You already',
    'have one, and it was not changed. To sign in, or to reset your password, open',
    '',
    accountUrl(on),
    '',
    'Was it not you? Then do nothing: whoever it was has learned nothing.',
  ]);
}

/** Instead of `signUpMail`, to an address without an account, where the username belongs to another. */
export function usernameTakenMail(on: MailOccasion): Mail {
  return compose(on, 'Please choose another username', [
    'Somebody, we hope you, wants an account with this address. The username that was',
    'asked for is taken, so no account was made. To try again with another one, open',
    '',
    accountUrl(on),
    '',
    'Was it not you? Then do nothing: there is no account.',
  ]);
}

/** To the verified address of an account with or without a password. */
export function resetPasswordMail(task: MailTask): Mail {
  return compose(task, 'Reset your password', [
    'Somebody, we hope you, wants a new password for your account. To choose one, open',
    ...linkLines(task, 'RESET_PASSWORD'),
    'Was it not you? Then do nothing: your password stays as it is. Give the code to nobody.',
  ]);
}

/** Instead of `resetPasswordMail`: it takes the same steps, and helps who forgot which address they gave. */
export function noAccountMail(on: MailOccasion): Mail {
  return compose(on, 'There is no account with this address', [
    'Somebody, we hope you, wants to reset the password of an account with this',
    'address. There is none. Perhaps you gave another address:',
    '',
    accountUrl(on),
    '',
    'Was it not you? Then do nothing.',
  ]);
}

/** To a new address of an account. */
export function verifyEmailMail(task: MailTask): Mail {
  return compose(task, 'Confirm your e-mail address', [
    'This address was given for an account. To confirm that it is yours, open',
    ...linkLines(task, 'VERIFY_EMAIL'),
    'Was it not you? Then do nothing: the address is not used.',
  ]);
}

/** A notice, after the fact. */
export function passwordChangedMail(on: MailOccasion): Mail {
  return compose(on, 'Your password was changed', [
    'The password of your account was changed.',
    '',
    'Was it not you? Then somebody else has been in your account. Reset your password at',
    '',
    accountUrl(on),
    '',
    'and tell whoever runs this server.',
  ]);
}

/** A notice to the address that counted before; the new one is not told, for it may be a stranger's. */
export function emailChangedMail(on: MailOccasion): Mail {
  return compose(on, 'Your e-mail address was changed', [
    'Your account has another e-mail address from now on. This one no longer counts.',
    '',
    'Was it not you? Then somebody else has been in your account, and this address can',
    'no longer reset its password: tell whoever runs this server at once.',
  ]);
}

function compose(on: MailOccasion, subject: string, lines: readonly string[]): Mail {
  const from = on.ipAddress === null ? [] : [`Asked for from the network address ${on.ipAddress}.`];
  const text = [...lines, '', '-- ', ...from, `Sent by ${on.publicUrl}`, ''].join('\n');
  return { to: on.to, subject, text };
}

function linkLines(task: MailTask, purpose: keyof typeof FRAGMENTS): string[] {
  return [
    '',
    `${accountUrl(task)}#${FRAGMENTS[purpose]}=${task.token}`,
    '',
    `or enter this code: ${task.token}`,
    '',
    `Either works once, within ${formatMinutes(ONE_TIME_MINUTES[purpose])} of being asked for.`,
    '',
  ];
}

function accountUrl({ publicUrl }: MailOccasion): string {
  return `${publicUrl}/account`;
}

function formatMinutes(minutes: number): string {
  const [count, unit] = minutes % 60 === 0 ? [minutes / 60, 'hour'] : [minutes, 'minute'];
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
