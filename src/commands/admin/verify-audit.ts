import { UsageError } from '#commands/usage-error.ts';
import { verifyAuditChain } from '#resolvers/users/audit-chain.ts';
import { type Prepare, readOptions } from './work.ts';

export const prepareVerifyAudit: Prepare = async (given) => {
  const { head: expectedHead = null } = readOptions(given, { head: { type: 'string' } });
  if (expectedHead !== null && !/^[0-9a-f]{64}$/i.test(expectedHead)) {
    throw new UsageError('--head takes the 64 hexadecimal digits that were printed as head');
  }
  return async (database) => {
    const { sealed, unsealed, head, fault } = await verifyAuditChain(database, { expectedHead });
    const lines = [`sealed ${sealed}`, `unsealed ${unsealed}`, `head ${head ?? 'none'}`];
    if (fault === null) return { lines };
    const where = fault.position === null ? '' : `Entry ${fault.position}: `;
    return { lines, fault: where + fault.reason };
  };
};
