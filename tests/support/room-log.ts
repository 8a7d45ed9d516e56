// Compares what one client of a stream wrote down with what the database says that it may see. Pure, so that it can
// be shown to find what it is there for.

/** An event as the database has it, or as a client was told of it. */
export interface LoggedEvent {
  /** In the followed feed. */
  readonly position: bigint;
  /** What happened to what, e.g. `MESSAGE_SENT <message id>`. */
  readonly what: string;
}

export interface ReceivedEvent extends LoggedEvent {
  /** By the proof's own clock. */
  readonly atMs: number;
}

/** A time in which the client was not in the room. */
export interface Absence {
  /** When its removal was first asked for: nothing that it was told before that can have been withheld for it. */
  readonly askedAtMs: number;
  /** Of the event by which it was removed, the last that it may be told of. */
  readonly leftPosition: bigint;
  /** Null where it never came back. */
  readonly back: {
    /** Of the event by which it came back. */
    readonly position: bigint;
    /** No answer and no event of being back can be older. */
    readonly askedAtMs: number;
  } | null;
}

export interface RoomLogEvidence {
  readonly client: string;
  /** All that happened since the client began to follow and that it may see when all is over, in the feed's order. */
  readonly log: readonly LoggedEvent[];
  readonly received: readonly ReceivedEvent[];
  readonly absences?: readonly Absence[];
  /** Who left may still read what was there until then. */
  readonly keepsHistory?: boolean;
}

/** A sentence for each fault; empty where the client saw all that it may see, once, in order, and nothing else. */
export function judgeRoomLog(evidence: RoomLogEvidence): string[] {
  const { client, log, received, absences = [], keepsHistory = false } = evidence;
  const faults: string[] = [];
  const say = (fault: string) => void faults.push(`${client}: ${fault}`);
  const indexOf = new Map(log.map(({ position }, index) => [position, index]));
  const seen = new Set<bigint>();
  let latest: bigint | null = null;
  for (const event of received) {
    const { position, what } = event;
    for (const { leftPosition, back } of absences) {
      const isPast = position > leftPosition && (back === null || position < back.position);
      if (isPast && (back === null || event.atMs < back.askedAtMs)) {
        say(`${position} came though it was removed at ${leftPosition}`);
      }
    }
    if (seen.has(position)) say(`${position} came twice`);
    else if (latest !== null && position < latest) say(`${position} came after ${latest}`);
    seen.add(position);
    latest = latest === null || position > latest ? position : latest;
    const index = indexOf.get(position);
    if (index === undefined) say(`${position} (${what}) is nothing that it may see`);
    else if (log[index]?.what !== what)
      say(`${position} was ${log[index]?.what} and came as ${what}`);
  }
  const out = absences.find(({ back }) => back === null);
  for (const { position, what } of log) {
    if (seen.has(position)) continue;
    if (out !== undefined && position > out.leftPosition) break;
    // Whatever had not come when it was removed was not for it any more, also where it came back since.
    const next = received.find((event) => event.position > position);
    const isWithheld = absences.some(
      ({ leftPosition, askedAtMs }) =>
        position <= leftPosition && (next === undefined || next.atMs >= askedAtMs),
    );
    if (keepsHistory || !isWithheld) say(`${position} (${what}) is missing`);
  }
  return faults;
}

export interface AcknowledgedMessage {
  readonly clientMessageId: string;
  readonly messageId: string;
}

/** Every message whose sender was answered is in the log once, under the id that the sender was told. */
export function judgeAcknowledged(
  acknowledged: readonly AcknowledgedMessage[],
  stored: readonly AcknowledgedMessage[],
  /** Message ids of the log's MESSAGE_SENT. */
  sent: readonly string[],
): string[] {
  const faults: string[] = [];
  const byClientId = Map.groupBy(stored, ({ clientMessageId }) => clientMessageId);
  const sentTimes = new Map<string, number>();
  for (const id of sent) sentTimes.set(id, (sentTimes.get(id) ?? 0) + 1);
  for (const { clientMessageId, messageId } of acknowledged) {
    const found = byClientId.get(clientMessageId) ?? [];
    if (found.length === 0) faults.push(`${clientMessageId} was acknowledged and is missing`);
    if (found.some((one) => one.messageId !== messageId)) {
      faults.push(`${clientMessageId} has another id than its sender was told`);
    }
  }
  for (const [clientMessageId, found] of byClientId) {
    if (found.length > 1) faults.push(`${clientMessageId} is stored ${found.length} times`);
  }
  for (const { clientMessageId, messageId } of stored) {
    const times = sentTimes.get(messageId) ?? 0;
    if (times !== 1) faults.push(`${clientMessageId} is ${times} times in the log`);
  }
  return faults;
}
