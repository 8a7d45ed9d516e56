-- Rooms: a log for each, what its events are about, and the feed over all of them.

-- Both are trusted extensions: the owner of the database may create them.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;

CREATE TYPE "room_kind" AS ENUM ('GROUP', 'DIRECT');
CREATE TYPE "history_visibility" AS ENUM ('SHARED', 'SINCE_JOINED', 'KEPT');
CREATE TYPE "participant_role" AS ENUM ('OWNER', 'MODERATOR', 'MEMBER');
CREATE TYPE "leave_reason" AS ENUM ('LEFT', 'REMOVED', 'BANNED');
CREATE TYPE "room_event_kind" AS ENUM ('MESSAGE_SENT', 'MESSAGE_EDITED', 'MESSAGE_DELETED', 'REACTIONS_CHANGED', 'PARTICIPANT_JOINED', 'PARTICIPANT_LEFT', 'PARTICIPANT_UPDATED', 'ROOM_UPDATED');
CREATE TYPE "report_reason" AS ENUM ('SPAM', 'HARASSMENT', 'VIOLENCE', 'SEXUAL', 'ILLEGAL', 'BLOCKED_WORD', 'OTHER');
CREATE TYPE "report_state" AS ENUM ('OPEN', 'UPHELD', 'DISMISSED');

CREATE TABLE "room" (
    "id" UUID NOT NULL,
    "kind" "room_kind" NOT NULL,
    "name" TEXT,
    "external_id" TEXT,
    "history_visibility" "history_visibility" NOT NULL DEFAULT 'SHARED',
    "direct_key" TEXT,
    "created_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "archived_at" TIMESTAMPTZ(3),
    "epoch" UUID NOT NULL DEFAULT gen_random_uuid(),
    "last_position" BIGINT NOT NULL DEFAULT 0,
    "last_sequence" BIGINT NOT NULL DEFAULT 0,
    "participant_count" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "room_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "room_kind_has" CHECK (("kind" = 'DIRECT') = ("direct_key" IS NOT NULL) AND ("kind" = 'DIRECT') = ("name" IS NULL)),
    CONSTRAINT "room_counts" CHECK ("last_sequence" <= "last_position" AND "participant_count" >= 0)
)
-- Its counters change with every message: room in each page keeps those changes off the indexes.
WITH (fillfactor = 70);
CREATE UNIQUE INDEX "room_external_id_key" ON "room"("external_id");
CREATE UNIQUE INDEX "room_direct_key_key" ON "room"("direct_key");

CREATE TABLE "room_participant" (
    "room_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "role" "participant_role" NOT NULL DEFAULT 'MEMBER',
    "joined_position" BIGINT NOT NULL,
    "joined_sequence" BIGINT NOT NULL,
    "joined_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "added_by_id" UUID,
    "left_position" BIGINT,
    "left_at" TIMESTAMPTZ(3),
    "left_reason" "leave_reason",
    "read_sequence" BIGINT NOT NULL DEFAULT 0,
    "read_at" TIMESTAMPTZ(3),
    "muted_at" TIMESTAMPTZ(3),
    "muted_until" TIMESTAMPTZ(3),
    "banned_at" TIMESTAMPTZ(3),
    "banned_until" TIMESTAMPTZ(3),

    CONSTRAINT "room_participant_pkey" PRIMARY KEY ("room_id", "user_id"),
    CONSTRAINT "room_participant_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "room"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "room_participant_left" CHECK (num_nonnulls("left_position", "left_at", "left_reason") IN (0, 3))
)
WITH (fillfactor = 80);
CREATE INDEX "room_participant_user_id_idx" ON "room_participant"("user_id", "room_id");

CREATE TABLE "room_stay" (
    "room_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "joined_position" BIGINT NOT NULL,
    "left_position" BIGINT,

    CONSTRAINT "room_stay_pkey" PRIMARY KEY ("room_id", "user_id", "joined_position"),
    CONSTRAINT "room_stay_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "room"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
-- One at a time.
CREATE UNIQUE INDEX "room_stay_current_key" ON "room_stay"("room_id", "user_id") WHERE "left_position" IS NULL;

CREATE TABLE "room_event" (
    "room_id" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "kind" "room_event_kind" NOT NULL,
    "message_id" UUID,
    "user_id" UUID,
    "actor_id" UUID,
    "left_reason" "leave_reason",
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "room_event_pkey" PRIMARY KEY ("room_id", "position"),
    CONSTRAINT "room_event_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "room"("id") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "chat_message" (
    "id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,
    "position" BIGINT NOT NULL,
    "author_id" UUID,
    "client_message_id" TEXT NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "body" TEXT,
    "reply_to_id" UUID,
    "attachments" JSONB NOT NULL DEFAULT '[]',
    "mention_ids" UUID[] NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "revision" INTEGER NOT NULL DEFAULT 0,
    "edited_at" TIMESTAMPTZ(3),
    "deleted_at" TIMESTAMPTZ(3),
    "deleted_by_id" UUID,

    CONSTRAINT "chat_message_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "chat_message_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "room"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "chat_message_body" CHECK (("body" IS NULL) = ("deleted_at" IS NOT NULL))
);
CREATE UNIQUE INDEX "chat_message_room_id_sequence_key" ON "chat_message"("room_id", "sequence");
CREATE UNIQUE INDEX "chat_message_room_id_position_key" ON "chat_message"("room_id", "position");
CREATE UNIQUE INDEX "chat_message_room_id_author_id_client_message_id_key" ON "chat_message"("room_id", "author_id", "client_message_id");
-- For search within a room, from three characters on: fewer make no trigram and read the room from its newest message.
CREATE INDEX "chat_message_body_idx" ON "chat_message" USING GIN ("room_id", "body" gin_trgm_ops) WHERE "body" IS NOT NULL;

CREATE TABLE "chat_message_edit" (
    "message_id" UUID NOT NULL,
    "revision" INTEGER NOT NULL,
    "position" BIGINT NOT NULL,
    "body" TEXT NOT NULL,
    "mention_ids" UUID[] NOT NULL DEFAULT '{}',
    "edited_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "chat_message_edit_pkey" PRIMARY KEY ("message_id", "revision"),
    CONSTRAINT "chat_message_edit_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "chat_message"("id") ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE "chat_mention" (
    "room_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,
    "message_id" UUID NOT NULL,

    CONSTRAINT "chat_mention_pkey" PRIMARY KEY ("room_id", "user_id", "sequence"),
    CONSTRAINT "chat_mention_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "chat_message"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "chat_mention_message_id_idx" ON "chat_mention"("message_id");

CREATE TABLE "chat_reaction" (
    "message_id" UUID NOT NULL,
    "emoji" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "chat_reaction_pkey" PRIMARY KEY ("message_id", "emoji", "user_id"),
    CONSTRAINT "chat_reaction_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "chat_message"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "chat_reaction_user_id_idx" ON "chat_reaction"("user_id");

CREATE TABLE "message_report" (
    "id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "message_id" UUID NOT NULL,
    "reporter_id" UUID,
    "reason" "report_reason" NOT NULL,
    "note" TEXT,
    "body" TEXT,
    "revision" INTEGER NOT NULL,
    "state" "report_state" NOT NULL DEFAULT 'OPEN',
    "resolved_by_id" UUID,
    "resolved_at" TIMESTAMPTZ(3),
    "resolution" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "message_report_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "message_report_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "chat_message"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "message_report_resolved" CHECK (("state" = 'OPEN') = ("resolved_at" IS NULL))
);
CREATE UNIQUE INDEX "message_report_message_id_reporter_id_key" ON "message_report"("message_id", "reporter_id");
-- The word filter's, one a revision.
CREATE UNIQUE INDEX "message_report_filter_key" ON "message_report"("message_id", "revision") WHERE "reporter_id" IS NULL AND "reason" = 'BLOCKED_WORD';
CREATE INDEX "message_report_room_id_state_id_idx" ON "message_report"("room_id", "state", "id");

CREATE TABLE "room_broadcast" (
    "channel" TEXT NOT NULL,
    "message" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "room_broadcast_pkey" PRIMARY KEY ("channel")
);

CREATE TABLE "rooms_change" (
    "position" BIGINT NOT NULL,
    "room_id" UUID NOT NULL,
    "room_position" BIGINT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "rooms_change_pkey" PRIMARY KEY ("position")
);
CREATE UNIQUE INDEX "rooms_change_room_id_room_position_key" ON "rooms_change"("room_id", "room_position");
CREATE INDEX "rooms_change_created_at_idx" ON "rooms_change"("created_at");

CREATE TABLE "rooms_progress" (
    "room_id" UUID NOT NULL,
    "room_position" BIGINT NOT NULL,

    CONSTRAINT "rooms_progress_pkey" PRIMARY KEY ("room_id")
);

CREATE TABLE "room_check_place" (
    "name" TEXT NOT NULL,
    "room_id" UUID NOT NULL,
    "position" BIGINT NOT NULL,

    CONSTRAINT "room_check_place_pkey" PRIMARY KEY ("name", "room_id")
);

INSERT INTO "feed" ("name", "key") VALUES ('rooms', '');
