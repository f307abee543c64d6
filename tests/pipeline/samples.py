"""Predictions and outcomes written by hand, as the metrics read them."""

import numpy as np

from training.sample import Sample


def sample(y, p, mrr=None, account=None, moment=None, k=20):
    n = len(y)
    return Sample(
        y=np.asarray(y, float),
        p=np.asarray(p, float),
        mrr=np.full(n, np.nan) if mrr is None else np.asarray(mrr, float),
        account=np.arange(n) if account is None else np.asarray(account),
        moment=np.zeros(n, int) if moment is None else np.asarray(moment),
        k=k,
    )
