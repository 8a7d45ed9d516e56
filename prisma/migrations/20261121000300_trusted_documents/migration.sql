-- A token may be held to the documents of the operator's manifest. A constant default rewrites no row.
ALTER TABLE "personal_access_token" ADD COLUMN "trusted_documents_only" BOOLEAN NOT NULL DEFAULT false;
