-- Sources that operators make, permissions that follow GitHub, and the rest of the inbox. Every column that
-- is added to a large table is nullable or has a constant default: no row is rewritten.

ALTER TYPE "webhook_provider" ADD VALUE 'GITLAB';
ALTER TYPE "webhook_provider" ADD VALUE 'BITBUCKET';
ALTER TYPE "webhook_provider" ADD VALUE 'GITEA';
ALTER TYPE "webhook_provider" ADD VALUE 'JIRA';
ALTER TYPE "webhook_provider" ADD VALUE 'STRIPE';
ALTER TYPE "webhook_provider" ADD VALUE 'SLACK';
ALTER TYPE "webhook_provider" ADD VALUE 'SHOPIFY';
ALTER TYPE "webhook_provider" ADD VALUE 'TWILIO';
ALTER TYPE "webhook_provider" ADD VALUE 'STANDARD_WEBHOOKS';
ALTER TYPE "webhook_provider" ADD VALUE 'HMAC';
ALTER TYPE "webhook_provider" ADD VALUE 'TOKEN';
ALTER TYPE "delivery_state" ADD VALUE 'DISCARDED';

CREATE TYPE "verification_mode" AS ENUM ('ENFORCE', 'MONITOR');
CREATE TYPE "github_permission_state" AS ENUM ('ALLOWED', 'DENIED', 'UNKNOWN');

ALTER TABLE "webhook_source" ADD COLUMN "verification_mode" "verification_mode" NOT NULL DEFAULT 'ENFORCE',
ADD COLUMN "settings" JSONB NOT NULL DEFAULT '{}',
ADD COLUMN "body_bytes_max" INTEGER,
ADD COLUMN "messages_per_minute" INTEGER,
ADD COLUMN "tolerance_seconds" INTEGER,
ADD COLUMN "deleted_at" TIMESTAMPTZ(3);

-- A deleted source frees its path.
DROP INDEX "webhook_source_path_key";
CREATE UNIQUE INDEX "webhook_source_path_key" ON "webhook_source"("path") WHERE "deleted_at" IS NULL;

CREATE TABLE "webhook_source_secret" (
    "id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "ends_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_source_secret_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "webhook_source_secret_source_id_idx" ON "webhook_source_secret"("source_id");
ALTER TABLE "webhook_source_secret" ADD CONSTRAINT "webhook_source_secret_source_id_fkey"
  FOREIGN KEY ("source_id") REFERENCES "webhook_source"("id") ON DELETE CASCADE ON UPDATE CASCADE;

ALTER TABLE "webhook_repository" ADD COLUMN "previous_names" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN "github_id" BIGINT,
ADD COLUMN "is_foreign" BOOLEAN NOT NULL DEFAULT false;
CREATE INDEX "webhook_repository_github_id_idx" ON "webhook_repository"("github_id");

ALTER TABLE "webhook_message" ADD COLUMN "occurred_at" TIMESTAMPTZ(3),
ADD COLUMN "verification_failure" TEXT;

ALTER TABLE "webhook_body" ADD COLUMN "payload_keys" BIGINT[] DEFAULT ARRAY[]::BIGINT[];

ALTER TABLE "webhook_lane" ADD COLUMN "github_id" BIGINT;
CREATE INDEX "webhook_lane_github_id_idx" ON "webhook_lane"("github_id");

CREATE TABLE "webhook_inbox" (
    "user_id" UUID NOT NULL,
    "version" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "webhook_inbox_pkey" PRIMARY KEY ("user_id")
);

CREATE TABLE "webhook_repository_watch" (
    "user_id" UUID NOT NULL,
    "repository_id" UUID NOT NULL,
    "is_watched" BOOLEAN NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_repository_watch_pkey" PRIMARY KEY ("user_id", "repository_id")
);
CREATE INDEX "webhook_repository_watch_repository_id_idx" ON "webhook_repository_watch"("repository_id");
ALTER TABLE "webhook_repository_watch" ADD CONSTRAINT "webhook_repository_watch_repository_id_fkey"
  FOREIGN KEY ("repository_id") REFERENCES "webhook_repository"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TABLE "webhook_saved_filter" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "filter" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_saved_filter_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "webhook_saved_filter_user_id_name_key" ON "webhook_saved_filter"("user_id", "name");

CREATE TABLE "github_permission_set" (
    "user_id" UUID NOT NULL,
    "link_id" UUID,
    "generation" BIGINT NOT NULL DEFAULT 0,
    "checked_at" TIMESTAMPTZ(3),
    "valid_until" TIMESTAMPTZ(3),
    "is_stale" BOOLEAN NOT NULL DEFAULT false,
    "etags" TEXT[] DEFAULT ARRAY[]::TEXT[],

    CONSTRAINT "github_permission_set_pkey" PRIMARY KEY ("user_id")
);

CREATE TABLE "github_permission" (
    "user_id" UUID NOT NULL,
    "repository_id" BIGINT NOT NULL,
    "owner_id" BIGINT,
    "state" "github_permission_state" NOT NULL,
    "checked_at" TIMESTAMPTZ(3),
    "valid_until" TIMESTAMPTZ(3),

    CONSTRAINT "github_permission_pkey" PRIMARY KEY ("user_id", "repository_id")
);
CREATE INDEX "github_permission_repository_id_idx" ON "github_permission"("repository_id");
CREATE INDEX "github_permission_owner_id_idx" ON "github_permission"("owner_id");
-- What was asked for by itself is found without the whole set.
CREATE INDEX "github_permission_single_idx" ON "github_permission"("user_id") WHERE "valid_until" IS NOT NULL;

-- Whether the stored token shows private repositories: another one that does not must not take its place.
ALTER TABLE "github_account" ADD COLUMN "shows_private" BOOLEAN NOT NULL DEFAULT false;
