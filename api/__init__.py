"""Flask: requests in, JSON out. Knows HTTP; the domain lives in `models`."""
