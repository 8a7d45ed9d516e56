import { builder } from '#schema/builder.ts';

export const InboxState = builder.enumType('InboxState', {
  description: 'How a message stands in the viewer’s own inbox.',
  values: {
    PENDING: { description: 'To be pulled: never handed out, handed back, or its lease ran out.' },
    LEASED: { description: 'Handed out and held.' },
    ACKNOWLEDGED: { description: 'Done with.' },
    DEAD: { description: 'Handed out too often in vain; only a retry makes it pending.' },
    DISCARDED: { description: 'A dead letter that was given up, with a reason.' },
  } as const,
});
