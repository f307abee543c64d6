"""The boosted additive fitter: plain columns in, one additive scorecard out.

See `fitter.fit`.
"""
