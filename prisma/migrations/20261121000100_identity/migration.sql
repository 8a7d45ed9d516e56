-- CreateEnum
CREATE TYPE "session_transport" AS ENUM ('COOKIE', 'TOKENS');

-- CreateEnum
CREATE TYPE "session_end" AS ENUM ('SIGNED_OUT', 'REVOKED', 'REPLACED', 'REFRESH_REUSED', 'PASSWORD_CHANGED', 'ACCOUNT_DISABLED');

-- CreateEnum
CREATE TYPE "one_time_purpose" AS ENUM ('SIGN_UP', 'VERIFY_EMAIL', 'RESET_PASSWORD', 'INVITATION', 'GITHUB_STATE');

-- CreateEnum
CREATE TYPE "github_link_state" AS ENUM ('LINKED', 'BROKEN');

-- AlterTable
ALTER TABLE "users" ADD COLUMN     "avatar_url" TEXT,
ADD COLUMN     "deleted_at" TIMESTAMPTZ(3),
ADD COLUMN     "disabled_at" TIMESTAMPTZ(3),
ADD COLUMN     "email" TEXT,
ADD COLUMN     "email_verified_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "password" (
    "user_id" UUID NOT NULL,
    "hash" TEXT NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "password_pkey" PRIMARY KEY ("user_id")
);

-- CreateTable
CREATE TABLE "session" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "transport" "session_transport" NOT NULL,
    "secret_hash" BYTEA,
    "device" TEXT,
    "ip_address" TEXT,
    "network" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "authenticated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "refreshes" INTEGER NOT NULL DEFAULT 0,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "end_reason" "session_end",

    CONSTRAINT "session_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "refresh_token" (
    "id" UUID NOT NULL,
    "session_id" UUID NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "parent_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "used_at" TIMESTAMPTZ(3),
    "successor_sealed" BYTEA,

    CONSTRAINT "refresh_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "signing_key" (
    "id" TEXT NOT NULL,
    "public_jwk" JSONB NOT NULL,
    "private_sealed" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "replaced_at" TIMESTAMPTZ(3),

    CONSTRAINT "signing_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "one_time_token" (
    "id" UUID NOT NULL,
    "purpose" "one_time_purpose" NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "user_id" UUID,
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "one_time_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "github_account" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "github_id" BIGINT NOT NULL,
    "login" TEXT NOT NULL,
    "state" "github_link_state" NOT NULL DEFAULT 'LINKED',
    "access_token_sealed" BYTEA NOT NULL,
    "access_token_expires_at" TIMESTAMPTZ(3),
    "refresh_token_sealed" BYTEA,
    "refresh_token_expires_at" TIMESTAMPTZ(3),
    "linked_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "github_account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "outgoing_mail" (
    "id" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "outgoing_mail_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_entry" (
    "id" UUID NOT NULL,
    "position" BIGINT,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "action" TEXT NOT NULL,
    "actor_id" UUID,
    "session_id" UUID,
    "ip_address" TEXT,
    "ip_digest" BYTEA,
    "ip_salt" BYTEA,
    "subject_type" TEXT NOT NULL,
    "subject_id" UUID,
    "details" JSONB NOT NULL,
    "hash" BYTEA,

    CONSTRAINT "audit_entry_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "session_secret_hash_key" ON "session"("secret_hash");

-- CreateIndex
CREATE INDEX "session_user_id_id_idx" ON "session"("user_id", "id");

-- CreateIndex
CREATE INDEX "session_user_id_network_idx" ON "session"("user_id", "network");

-- CreateIndex
CREATE INDEX "session_expires_at_idx" ON "session"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "refresh_token_token_hash_key" ON "refresh_token"("token_hash");

-- CreateIndex
CREATE UNIQUE INDEX "refresh_token_parent_id_key" ON "refresh_token"("parent_id");

-- CreateIndex
CREATE INDEX "refresh_token_session_id_idx" ON "refresh_token"("session_id");

-- CreateIndex
CREATE UNIQUE INDEX "one_time_token_token_hash_key" ON "one_time_token"("token_hash");

-- CreateIndex
CREATE INDEX "one_time_token_user_id_idx" ON "one_time_token"("user_id");

-- CreateIndex
CREATE INDEX "one_time_token_expires_at_idx" ON "one_time_token"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "github_account_user_id_key" ON "github_account"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "github_account_github_id_key" ON "github_account"("github_id");

-- CreateIndex
CREATE INDEX "outgoing_mail_due_at_idx" ON "outgoing_mail"("due_at");

-- CreateIndex
CREATE UNIQUE INDEX "audit_entry_position_key" ON "audit_entry"("position");

-- CreateIndex
CREATE INDEX "audit_entry_actor_id_id_idx" ON "audit_entry"("actor_id", "id");

-- CreateIndex
CREATE INDEX "audit_entry_subject_id_id_idx" ON "audit_entry"("subject_id", "id");

-- CreateIndex
CREATE INDEX "audit_entry_action_id_idx" ON "audit_entry"("action", "id");

-- CreateIndex
CREATE INDEX "audit_entry_at_idx" ON "audit_entry"("at");

-- CreateIndex
CREATE UNIQUE INDEX "users_email_key" ON "users"("email");

-- AddForeignKey
ALTER TABLE "password" ADD CONSTRAINT "password_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "refresh_token" ADD CONSTRAINT "refresh_token_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "session"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "github_account" ADD CONSTRAINT "github_account_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;


-- Kept by hand: what the models cannot say.

-- The few entries that wait for the chain.
CREATE INDEX "audit_entry_unsealed_idx" ON "audit_entry"("id") WHERE "position" IS NULL;

-- A cookie's session has a secret, and no other has.
ALTER TABLE "session" ADD CONSTRAINT "session_secret" CHECK (("transport" = 'COOKIE') = ("secret_hash" IS NOT NULL));

-- The few successors that wait for the end of their grace.
CREATE INDEX "refresh_token_sealed_idx" ON "refresh_token"("used_at") WHERE "successor_sealed" IS NOT NULL;
