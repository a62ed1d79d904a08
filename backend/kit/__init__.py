"""What every service is made of: database, write batches, outbox and feeds, keys, errors, the HTTP shell."""
