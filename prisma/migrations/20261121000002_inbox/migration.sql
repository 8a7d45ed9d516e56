-- AlterTable
ALTER TABLE "feed" ADD COLUMN     "stored_bytes" BIGINT NOT NULL DEFAULT 0;

-- CreateEnum
CREATE TYPE "delivery_state" AS ENUM ('WAITING', 'LEASED', 'ACKNOWLEDGED', 'DEAD');

-- AlterTable
ALTER TABLE "webhook_message" ADD COLUMN     "lane_id" UUID,
ADD COLUMN     "lane_sequence" BIGINT;

-- CreateTable
CREATE TABLE "webhook_lane" (
    "id" UUID NOT NULL,
    "source_id" UUID NOT NULL,
    "repository_id" UUID,
    "last_sequence" BIGINT NOT NULL DEFAULT 0,
    "pruned_sequence" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "webhook_lane_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_inbox_floor" (
    "user_id" UUID NOT NULL,
    "lane_id" UUID NOT NULL,
    "floor" BIGINT NOT NULL,

    CONSTRAINT "webhook_inbox_floor_pkey" PRIMARY KEY ("user_id","lane_id")
);

-- CreateTable
CREATE TABLE "webhook_delivery" (
    "user_id" UUID NOT NULL,
    "message_id" UUID NOT NULL,
    "lane_id" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,
    "state" "delivery_state" NOT NULL,
    "attempt" INTEGER NOT NULL,
    "lease" BIGINT NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "reason" TEXT,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_delivery_pkey" PRIMARY KEY ("user_id","message_id")
);

-- CreateTable
CREATE TABLE "webhook_pruned_message" (
    "id" UUID NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "webhook_pruned_message_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "webhook_lane_source_id_idx" ON "webhook_lane"("source_id");

-- CreateIndex
CREATE INDEX "webhook_delivery_user_id_lane_id_sequence_idx" ON "webhook_delivery"("user_id", "lane_id", "sequence");

-- CreateIndex
CREATE INDEX "webhook_delivery_lane_id_sequence_user_id_idx" ON "webhook_delivery"("lane_id", "sequence", "user_id");

-- CreateIndex
CREATE INDEX "webhook_pruned_message_received_at_idx" ON "webhook_pruned_message"("received_at");

-- CreateIndex
CREATE INDEX "webhook_message_lane_id_lane_sequence_idx" ON "webhook_message"("lane_id", "lane_sequence");


-- Only what is not settled is looked for by state: what is due again, and what is held.
CREATE INDEX "webhook_delivery_open_idx" ON "webhook_delivery"("user_id", "lane_id", "sequence") WHERE "state" IN ('WAITING', 'LEASED');

-- Numbers of leases, across all users and messages, so that no old receipt ever fits a new lease.
CREATE SEQUENCE "webhook_lease_seq";
