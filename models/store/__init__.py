"""Where history, scores and lists are kept, in SQLite or PostgreSQL. The only package that knows SQL."""
