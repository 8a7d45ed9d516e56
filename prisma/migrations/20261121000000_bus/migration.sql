-- CreateTable
CREATE TABLE "bus_topic" (
    "name" TEXT NOT NULL,
    "incarnation" UUID NOT NULL DEFAULT gen_random_uuid(),
    "last_sequence" BIGINT NOT NULL DEFAULT 0,
    "stored_bytes" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "bus_topic_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "bus_entry" (
    "topic" TEXT NOT NULL,
    "sequence" BIGINT NOT NULL,
    "id" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "frame" BYTEA NOT NULL,
    "published_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "bus_entry_pkey" PRIMARY KEY ("topic","sequence")
);

-- CreateTable
CREATE TABLE "bus_consumer" (
    "topic" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "incarnation" UUID NOT NULL,
    "floor" BIGINT NOT NULL,

    CONSTRAINT "bus_consumer_pkey" PRIMARY KEY ("topic","name")
);

-- CreateTable
CREATE TABLE "bus_failure" (
    "topic" TEXT NOT NULL,
    "consumer" TEXT NOT NULL,
    "entry_id" TEXT NOT NULL,
    "incarnation" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,
    "key" TEXT NOT NULL,
    "frame" BYTEA NOT NULL,
    "published_at" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL,
    "reason" TEXT NOT NULL,
    "retry_at" TIMESTAMPTZ(3),
    "parked_at" TIMESTAMPTZ(3),

    CONSTRAINT "bus_failure_pkey" PRIMARY KEY ("topic","consumer","entry_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "bus_entry_topic_id_key" ON "bus_entry"("topic", "id");

-- CreateIndex
CREATE INDEX "bus_failure_topic_consumer_retry_at_idx" ON "bus_failure"("topic", "consumer", "retry_at");

-- CreateIndex
CREATE INDEX "bus_failure_parked_at_idx" ON "bus_failure"("parked_at");

-- AddForeignKey
ALTER TABLE "bus_entry" ADD CONSTRAINT "bus_entry_topic_fkey" FOREIGN KEY ("topic") REFERENCES "bus_topic"("name") ON DELETE CASCADE ON UPDATE CASCADE;

-- Frames are JSON and already compressed bodies: compressing them again costs CPU on the hot path.
ALTER TABLE "bus_entry" ALTER COLUMN "frame" SET STORAGE EXTERNAL;
ALTER TABLE "bus_failure" ALTER COLUMN "frame" SET STORAGE EXTERNAL;

-- Stores a batch in one commit and answers with each entry's place, in the order given; an id that is
-- already kept answers with the place it has. A function and not one statement, because what is kept
-- must be looked up with a snapshot taken AFTER the topic's row lock: an earlier one would not see the
-- entries of the publisher that was waited for, and their ids would be stored twice or leave a hole.
-- `frames` holds all frames end to end, so that one binary parameter carries them.
CREATE FUNCTION "bus_publish"("topic_name" TEXT, "ids" TEXT[], "keys" TEXT[], "lengths" INTEGER[], "frames" BYTEA)
RETURNS TABLE ("incarnation" UUID, "sequence" BIGINT)
LANGUAGE plpgsql
SET lock_timeout = '4s'
AS $$
#variable_conflict use_column
DECLARE
    head "bus_topic"%ROWTYPE;
    added BIGINT;
    added_bytes BIGINT;
BEGIN
    LOOP
        SELECT * INTO head FROM "bus_topic" t WHERE t."name" = topic_name FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO "bus_topic" ("name") VALUES (topic_name) ON CONFLICT DO NOTHING;
    END LOOP;

    WITH "given" AS (
        SELECT g."id", g."key", g."length", g."ordinal",
               (sum(g."length") OVER (ORDER BY g."ordinal") - g."length" + 1)::INTEGER AS "start",
               row_number() OVER (PARTITION BY g."id" ORDER BY g."ordinal") AS "occurrence"
        FROM unnest(ids, keys, lengths) WITH ORDINALITY AS g("id", "key", "length", "ordinal")
    ), "fresh" AS (
        SELECT * FROM "given" g
        WHERE g."occurrence" = 1
          AND NOT EXISTS (SELECT FROM "bus_entry" e WHERE e."topic" = topic_name AND e."id" = g."id")
    ), "stored" AS (
        INSERT INTO "bus_entry" ("topic", "sequence", "id", "key", "frame", "published_at")
        SELECT topic_name, head."last_sequence" + row_number() OVER (ORDER BY f."ordinal"),
               f."id", f."key", substring(frames FROM f."start" FOR f."length"), clock_timestamp()
        FROM "fresh" f
        RETURNING octet_length("frame") AS "bytes"
    )
    SELECT count(*), coalesce(sum(s."bytes"), 0) INTO added, added_bytes FROM "stored" s;

    IF added > 0 THEN
        UPDATE "bus_topic" t
        SET "last_sequence" = t."last_sequence" + added, "stored_bytes" = t."stored_bytes" + added_bytes
        WHERE t."name" = topic_name;
    END IF;

    RETURN QUERY
        SELECT head."incarnation", e."sequence"
        FROM unnest(ids) WITH ORDINALITY AS g("id", "ordinal")
        JOIN "bus_entry" e ON e."topic" = topic_name AND e."id" = g."id"
        ORDER BY g."ordinal";
END
$$;
