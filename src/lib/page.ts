import { InvalidInputError } from './errors.ts';

export const PAGE_SIZE_DEFAULT = 20;
export const PAGE_SIZE_MAX = 100;

export interface PageArguments {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly last?: number | null | undefined;
  readonly before?: string | null | undefined;
}

export interface PageWindow {
  readonly size: number;
  /** `forward` reads up from `after`, `backward` down from `before`; both answer in ascending order. */
  readonly direction: 'forward' | 'backward';
}

/**
 * How much of a connection to read, and from which end. Without bounds a feed shows its newest page
 * (`backward`), other connections their first. Throws `InvalidInputError` that names the argument.
 */
export function parsePage(page: PageArguments, unbounded: PageWindow['direction']): PageWindow {
  const { first, last } = page;
  if (first != null && last != null) {
    throw new InvalidInputError('Ask for `first` or for `last`, not for both', 'last');
  }
  if (first != null) return { size: checkedSize(first, 'first'), direction: 'forward' };
  if (last != null) return { size: checkedSize(last, 'last'), direction: 'backward' };
  const direction = page.after != null && page.before == null ? 'forward' : unbounded;
  return { size: PAGE_SIZE_DEFAULT, direction };
}

function checkedSize(size: number, field: string): number {
  if (size >= 1 && size <= PAGE_SIZE_MAX) return size;
  throw new InvalidInputError(`A page has 1 to ${PAGE_SIZE_MAX} items`, field);
}
