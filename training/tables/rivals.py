"""What a table's model is measured against: everybody the same, a plain logistic regression, and boosted trees, fitted
only to say what it costs to be additive."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

#: A text seen in fewer rows is one of the rare ones.
LEAST_ROWS = 20
#: Categories the trees tell apart at most.
MOST_CATEGORIES = 200


def rivals(frame: pl.DataFrame, y: Floats, train: Rows, test: Rows, seed: int) -> dict[str, Floats]:
    """Name -> (n,) probabilities of the tested rows: `base`, `logistic`, `boosting`."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    numbers = [name for name in frame.columns if name not in texts]
    rows = frame.with_columns(pl.col(texts).fill_null("(unknown)")).to_pandas()
    found = {"base": np.full(len(test), y[train].mean())}
    # Threads that wait for one another cost more than they bring on a machine that has other work.
    with threadpool_limits(limits=1):
        for name, made in _models(numbers, texts, seed).items():
            fitted = made.fit(rows.iloc[train], y[train])
            found[name] = fitted.predict_proba(rows.iloc[test])[:, 1]
    return found


def _models(numbers: list[str], texts: list[str], seed: int) -> Mapping[str, Pipeline]:
    filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=LEAST_ROWS)
    ordinal = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=MOST_CATEGORIES
    )  # fmt: skip
    coded = ColumnTransformer([("texts", ordinal, texts)], remainder="passthrough")
    trees = HistGradientBoostingClassifier(categorical_features=list(range(len(texts))), random_state=seed)
    linear = ColumnTransformer([("numbers", filled, numbers), ("texts", one_hot, texts)])
    return {
        "logistic": make_pipeline(linear, LogisticRegression(max_iter=1000)),
        "boosting": make_pipeline(coded, trees),
    }
