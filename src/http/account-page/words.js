// What is said, and the elements that say it. Everything is put in as text: nothing is ever taken for HTML.

export function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function pair(name, ...values) {
  return [
    make('dt', {}, name),
    make('dd', {}, ...values.filter(Boolean).flatMap((value) => [value, ' '])),
  ];
}

export function badge(text) {
  return make('span', { className: 'badge' }, text);
}

export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

export function endSentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

export function fromNow(seconds) {
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
export function deviceName(userAgent) {
  if (userAgent === null) return 'Unknown device';
  const find = (names, end) =>
    Object.entries(names).find(([sign]) => new RegExp(`(${sign})${end}`).test(userAgent))?.[1];
  const [browser, system] = [find(BROWSERS, '/'), find(SYSTEMS, '')];
  return browser && system ? `${browser} on ${system}` : userAgent.slice(0, 60);
}
