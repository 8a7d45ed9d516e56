-- CreateTable
CREATE TABLE "idempotency_key" (
    "hash" BYTEA NOT NULL,
    "user_id" UUID NOT NULL,
    "field" TEXT NOT NULL,
    "fingerprint" BYTEA NOT NULL,
    "reference" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT naru_now(),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("hash")
);

-- CreateIndex
CREATE INDEX "idempotency_key_user_id_expires_at_idx" ON "idempotency_key"("user_id", "expires_at");

-- CreateIndex
CREATE INDEX "idempotency_key_expires_at_idx" ON "idempotency_key"("expires_at");

-- AddForeignKey
ALTER TABLE "idempotency_key" ADD CONSTRAINT "idempotency_key_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;
