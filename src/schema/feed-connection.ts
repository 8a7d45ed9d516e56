/** What a page of a feed says, whatever its items are. */
interface FeedPage {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  /** Where the page begins and ends, where that is not at its first and last item. */
  readonly bounds?: { readonly start: bigint; readonly end: bigint } | null;
  readonly cursorAt: (position: bigint) => string;
}

interface Placed {
  readonly position: bigint;
}

export interface FeedEdge<Item> {
  readonly node: Item;
  readonly cursor: string;
}

interface FeedPageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor: string | null;
  readonly endCursor: string | null;
}

interface EdgeFields {
  readonly node: Placed;
  readonly page: FeedPage;
}

interface PageInfoFields {
  readonly items: readonly Placed[];
  readonly page: FeedPage;
}

// A cursor is signed only when it is asked for. Made once, since an accessor in a literal keeps what it
// closes over until the next full collection.
const EDGE = {
  get cursor(): string {
    const { node, page } = this as unknown as EdgeFields;
    return page.cursorAt(node.position);
  },
};
const PAGE_INFO = {
  get startCursor(): string | null {
    const { items, page } = this as unknown as PageInfoFields;
    return cursorOf(page, page.bounds?.start ?? items[0]?.position);
  },
  get endCursor(): string | null {
    const { items, page } = this as unknown as PageInfoFields;
    return cursorOf(page, page.bounds?.end ?? items.at(-1)?.position);
  },
};

function cursorOf({ cursorAt }: FeedPage, position: bigint | undefined): string | null {
  return position === undefined ? null : cursorAt(position);
}

/** What a connection over a feed resolves to: the page, with its edges and what is before and after it. */
export function feedConnectionOf<Item extends Placed, Page extends FeedPage>(
  items: readonly Item[],
  page: Page,
): Page & { readonly edges: FeedEdge<Item>[]; readonly pageInfo: FeedPageInfo } {
  const { hasNextPage, hasPreviousPage } = page;
  const edges = items.map(
    (node): FeedEdge<Item> => Object.assign(Object.create(EDGE), { node, page }),
  );
  const pageInfo: FeedPageInfo = Object.assign(Object.create(PAGE_INFO), {
    items,
    page,
    hasNextPage,
    hasPreviousPage,
  });
  return { ...page, edges, pageInfo };
}
