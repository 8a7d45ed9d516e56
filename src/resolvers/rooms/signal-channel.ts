// The followers of one channel on this node, and what they were told last.
import type { RoomSignal } from '#pubsub/topics/rooms.ts';
import { createLatest, type Latest, type ListenedAsides } from './signal-queue.ts';

export interface SignalFollower {
  readonly userId: string | null;
  readonly connectionId: string | null;
}

export interface SignalChannel {
  join(follower: SignalFollower): {
    readonly queue: ListenedAsides<RoomSignal>;
    leave(): void;
  };
  take(signal: RoomSignal): void;
  isEmpty(): boolean;
  close(): void;
}

interface Member {
  readonly follower: SignalFollower;
  readonly latest: Latest<RoomSignal>;
  /** Of the broadcasts that wait, the first ones first. */
  readonly broadcasts: Map<string, number>;
  broadcastBytes: number;
}

type Typing = Extract<RoomSignal, { type: 'TYPING' }>;
type Presence = Extract<RoomSignal, { type: 'PRESENCE' }>;
type Broadcast = Extract<RoomSignal, { type: 'BROADCAST' }>;

const BROADCASTS_MAX = 256;
const BROADCAST_BYTES_MAX = 2 ** 20;

export function createSignalChannel(typingMs: number): SignalChannel {
  const members = new Set<Member>();
  const typing = new Map<string, NodeJS.Timeout>();
  // Each node publishes by itself, so that the later of two may come first.
  const read = new Map<string, bigint>();
  const seen = new Map<string, Presence>();

  function tell(signal: RoomSignal): void {
    const bytes = signal.type === 'BROADCAST' ? JSON.stringify(signal).length : 0;
    for (const member of members) {
      if (isFor(member.follower, signal)) hand(member, signal, bytes);
    }
  }

  function watchTyping(signal: Typing): void {
    const timer = typing.get(signal.userId);
    if (timer !== undefined) clearTimeout(timer);
    typing.delete(signal.userId);
    if (!signal.isTyping) return;
    const stop = () => {
      typing.delete(signal.userId);
      tell({ ...signal, isTyping: false });
    };
    typing.set(signal.userId, setTimeout(stop, typingMs).unref());
  }

  /** Whether something later of the same account has been told already. */
  function isOutdated(signal: RoomSignal): boolean {
    if (signal.type === 'READ_MARKER') {
      const sequence = BigInt(signal.sequence);
      if (sequence <= (read.get(signal.userId) ?? -1n)) return true;
      read.set(signal.userId, sequence);
    }
    if (signal.type === 'PRESENCE') {
      const last = seen.get(signal.userId);
      const isSame = last?.changedAt === signal.changedAt && last.isOnline === signal.isOnline;
      // Both are in UTC with milliseconds, so they sort as text.
      if (last !== undefined && (isSame || signal.changedAt < last.changedAt)) return true;
      seen.set(signal.userId, signal);
    }
    return false;
  }

  return {
    join(follower) {
      const latest = createLatest<RoomSignal>();
      const member = { follower, latest, broadcasts: new Map(), broadcastBytes: 0 };
      members.add(member);
      const { asides } = latest;
      const take = () => {
        const signal = asides.take();
        if (signal?.type === 'BROADCAST') forget(member, nameOf(signal));
        return signal;
      };
      return { queue: { ...asides, take }, leave: () => void members.delete(member) };
    },
    take(signal) {
      if (isOutdated(signal)) return;
      if (signal.type === 'TYPING') watchTyping(signal);
      tell(signal);
    },
    isEmpty: () => members.size === 0,
    close() {
      for (const timer of typing.values()) clearTimeout(timer);
      typing.clear();
      members.clear();
    },
  };
}

function isFor({ userId, connectionId }: SignalFollower, signal: RoomSignal): boolean {
  switch (signal.type) {
    case 'TYPING':
      return (
        signal.userId !== userId && (connectionId === null || signal.connectionId !== connectionId)
      );
    case 'PRESENCE':
      return signal.userId !== userId;
    case 'BROADCAST':
      return connectionId === null || !signal.excludeConnectionIds.includes(connectionId);
    case 'READ_MARKER':
      return true;
  }
}

function nameOf(signal: RoomSignal): string {
  return signal.type === 'BROADCAST'
    ? `BROADCAST ${signal.broadcastId}`
    : `${signal.type} ${signal.userId}`;
}

function hand(member: Member, signal: RoomSignal, bytes: number): void {
  if (signal.type === 'BROADCAST') makeRoom(member, signal, bytes);
  member.latest.set(nameOf(signal), signal);
}

function makeRoom(member: Member, broadcast: Broadcast, bytes: number): void {
  forget(member, nameOf(broadcast));
  member.broadcasts.set(nameOf(broadcast), bytes);
  member.broadcastBytes += bytes;
  for (const name of [...member.broadcasts.keys()]) {
    const { broadcasts, broadcastBytes } = member;
    if (broadcasts.size <= BROADCASTS_MAX && broadcastBytes <= BROADCAST_BYTES_MAX) return;
    forget(member, name);
    member.latest.drop(name);
  }
}

function forget(member: Member, name: string): void {
  member.broadcastBytes -= member.broadcasts.get(name) ?? 0;
  member.broadcasts.delete(name);
}
