-- The database clock decides deadlines and expiry. Only tests move it, by writing a row here.
CREATE TABLE "clock_offset" (
    "singleton" BOOLEAN NOT NULL DEFAULT true,
    "offset" INTERVAL NOT NULL,

    CONSTRAINT "clock_offset_pkey" PRIMARY KEY ("singleton"),
    CONSTRAINT "clock_offset_singleton" CHECK ("singleton")
);

CREATE FUNCTION naru_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT statement_timestamp() + coalesce((SELECT "offset" FROM "clock_offset"), interval '0')
$$;


-- CreateEnum
CREATE TYPE "role" AS ENUM ('USER', 'OPERATOR', 'AUDITOR', 'ADMIN');

-- CreateEnum
CREATE TYPE "webhook_provider" AS ENUM ('GITHUB', 'NONE');

-- CreateEnum
CREATE TYPE "verification_outcome" AS ENUM ('VERIFIED', 'UNSIGNED', 'UNVERIFIED');

-- CreateTable
CREATE TABLE "feed" (
    "name" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "epoch" UUID NOT NULL DEFAULT gen_random_uuid(),
    "last_position" BIGINT NOT NULL DEFAULT 0,
    "pruned_position" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "feed_pkey" PRIMARY KEY ("name","key")
);

-- CreateTable
CREATE TABLE "users" (
    "id" UUID NOT NULL,
    "username" TEXT NOT NULL,
    "display_name" TEXT NOT NULL,
    "roles" "role"[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "users_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "personal_access_token" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "expires_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "personal_access_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_source" (
    "id" UUID NOT NULL,
    "path" TEXT NOT NULL,
    "provider" "webhook_provider" NOT NULL,
    "secret_setting" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_source_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_source_grant" (
    "id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "user_id" UUID,
    "role" "role",
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_source_grant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_repository" (
    "id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "provider_id" TEXT NOT NULL,
    "full_name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_repository_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_message" (
    "id" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "source_id" UUID,
    "repository_id" UUID,
    "verification" "verification_outcome" NOT NULL,
    "path" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "headers" JSONB NOT NULL,
    "content_type" TEXT,
    "byte_size" INTEGER NOT NULL,
    "delivery_id" TEXT,
    "event_name" TEXT,
    "action" TEXT,
    "branch" TEXT,
    "sender" TEXT,
    "received_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "webhook_message_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_body" (
    "message_id" UUID NOT NULL,
    "compressed" BOOLEAN NOT NULL,
    "data" BYTEA NOT NULL,

    CONSTRAINT "webhook_body_pkey" PRIMARY KEY ("message_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "users_username_key" ON "users"("username");

-- CreateIndex
CREATE UNIQUE INDEX "personal_access_token_token_hash_key" ON "personal_access_token"("token_hash");

-- CreateIndex
CREATE INDEX "personal_access_token_user_id_idx" ON "personal_access_token"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_source_path_key" ON "webhook_source"("path");

-- CreateIndex
CREATE INDEX "webhook_source_grant_user_id_idx" ON "webhook_source_grant"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_source_grant_source_id_user_id_key" ON "webhook_source_grant"("source_id", "user_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_source_grant_source_id_role_key" ON "webhook_source_grant"("source_id", "role");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_repository_source_id_provider_id_key" ON "webhook_repository"("source_id", "provider_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_message_position_key" ON "webhook_message"("position");

-- CreateIndex
CREATE INDEX "webhook_message_source_id_position_idx" ON "webhook_message"("source_id", "position");

-- CreateIndex
CREATE INDEX "webhook_message_repository_id_position_idx" ON "webhook_message"("repository_id", "position");

-- CreateIndex
CREATE INDEX "webhook_message_event_name_position_idx" ON "webhook_message"("event_name", "position");

-- CreateIndex
CREATE INDEX "webhook_message_received_at_idx" ON "webhook_message"("received_at");

-- AddForeignKey
ALTER TABLE "personal_access_token" ADD CONSTRAINT "personal_access_token_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_source_grant" ADD CONSTRAINT "webhook_source_grant_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "webhook_source"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_source_grant" ADD CONSTRAINT "webhook_source_grant_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_repository" ADD CONSTRAINT "webhook_repository_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "webhook_source"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_message" ADD CONSTRAINT "webhook_message_source_id_fkey" FOREIGN KEY ("source_id") REFERENCES "webhook_source"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_message" ADD CONSTRAINT "webhook_message_repository_id_fkey" FOREIGN KEY ("repository_id") REFERENCES "webhook_repository"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_body" ADD CONSTRAINT "webhook_body_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "webhook_message"("id") ON DELETE CASCADE ON UPDATE CASCADE;


-- A grant is to a user or to a role, never to both or neither.
ALTER TABLE "webhook_source_grant" ADD CONSTRAINT "webhook_source_grant_subject" CHECK (num_nonnulls("user_id", "role") = 1);

ALTER TABLE "users" ADD CONSTRAINT "users_username_lower" CHECK ("username" = lower("username"));

-- Bodies arrive compressed already.
ALTER TABLE "webhook_body" ALTER COLUMN "data" SET STORAGE EXTERNAL;

INSERT INTO "feed" ("name", "key") VALUES ('webhooks', '');
