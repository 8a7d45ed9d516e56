-- CreateTable
CREATE TABLE "webhook_claimed_body" (
    "id" UUID NOT NULL,
    "compressed" BOOLEAN NOT NULL,
    "data" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),

    CONSTRAINT "webhook_claimed_body_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "webhook_claimed_body_created_at_idx" ON "webhook_claimed_body"("created_at");


-- Bodies arrive compressed already.
ALTER TABLE "webhook_claimed_body" ALTER COLUMN "data" SET STORAGE EXTERNAL;
