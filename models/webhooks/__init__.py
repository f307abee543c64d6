"""Events for others: what they say, how they are signed, when they are sent again, and where to."""
