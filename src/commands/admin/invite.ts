import { recordAudit, SYSTEM_ACTOR } from '#resolvers/users/audit.ts';
import { createOneTimeToken } from '#resolvers/users/one-time-token.ts';
import { type Prepare, readOptions } from './work.ts';

export const prepareInvite: Prepare = async (given) => {
  readOptions(given, {});
  return async (database) => {
    const code = await database.transaction(async (sql) => {
      const { id, token } = await createOneTimeToken(sql, {
        purpose: 'INVITATION',
        userId: null,
        payload: {},
      });
      await recordAudit(sql, SYSTEM_ACTOR, {
        action: 'INVITATION_CREATED',
        subject: { type: 'Invitation', id },
      });
      return token;
    });
    return { lines: [code] };
  };
};
