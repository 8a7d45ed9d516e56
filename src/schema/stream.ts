import { builder } from './builder.ts';

/** What every stream's items share. */
export interface StreamItemShape {
  readonly cursor: string;
}

export const StreamItem = builder.interfaceRef<StreamItemShape>('StreamItem').implement({
  description:
    'One item of a live stream. Resume after its cursor and nothing is missed or repeated.',
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'Pass it as `after` to go on behind this item.',
    }),
  }),
});

export const StreamCheckpoint = builder.objectRef<StreamItemShape>('StreamCheckpoint').implement({
  description:
    'Nothing happened, but time passed: the first item of every stream, and another at least every ' +
    '30 seconds without one, so that a quiet stream has a cursor that stays fresh.',
  interfaces: [StreamItem],
});
