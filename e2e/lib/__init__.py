"""What the end-to-end tests are made of: PostgreSQL, pgweir, targets, and a small client of the wire protocol."""
