"""The shared core: what an account is, what we measure about it, how a fitted model becomes a risk and reasons."""
