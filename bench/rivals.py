"""What the additive form is measured against on wide tables: each rival as its library sets it up by default.

Every one is a function (train columns, y, test columns) -> (n,) probabilities. Texts reach those that know categories
as such; the logistic regression gets them as indicators, numbers standardised, a missing one as the mean and a flag.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.wide import Columns

Floats = npt.NDArray[np.float64]
Rival = Callable[[Columns, Floats, Columns], Floats]


def _frame(columns: Columns, like: pd.DataFrame | None = None) -> pd.DataFrame:
    """Texts as categories: those of the training rows, where given."""
    frame = pd.DataFrame(dict(columns))
    for name, values in columns.items():
        if values.dtype == object:
            known = sorted(set(values) - {None}) if like is None else like[name].cat.categories
            frame[name] = pd.Categorical(frame[name], categories=known)
    return frame


def _fitted(model: Any, train: pd.DataFrame, y: Floats, test: pd.DataFrame) -> Floats:
    found: Floats = model.fit(train, y).predict_proba(test)[:, 1]
    return found


def logistic(train: Columns, y: Floats, test: Columns) -> Floats:
    """scikit-learn's logistic regression."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [name for name, values in train.items() if values.dtype == object]
    numbers = [name for name in train if name not in texts]
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = make_column_transformer((numeric, numbers), (OneHotEncoder(handle_unknown="ignore"), texts))
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))
    return _fitted(model, pd.DataFrame(dict(train)), y, pd.DataFrame(dict(test)))


def histogram_boosting(train: Columns, y: Floats, test: Columns) -> Floats:
    """scikit-learn's histogram boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = _frame(train)
    return _fitted(HistGradientBoostingClassifier(random_state=0), frame, y, _frame(test, frame))


def lightgbm(train: Columns, y: Floats, test: Columns) -> Floats:
    """LightGBM."""
    from lightgbm import LGBMClassifier

    frame = _frame(train)
    frame.columns = [f"c{i}" for i in range(frame.shape[1])]  # it refuses some characters in names
    other = _frame(test, _frame(train))
    other.columns = frame.columns
    return _fitted(LGBMClassifier(random_state=0, verbose=-1), frame, y, other)


def catboost(train: Columns, y: Floats, test: Columns) -> Floats:
    """CatBoost."""
    from catboost import CatBoostClassifier

    texts = [name for name, values in train.items() if values.dtype == object]
    model = CatBoostClassifier(random_seed=0, verbose=0, allow_writing_files=False, cat_features=texts)
    train_frame, test_frame = (
        pd.DataFrame({name: np.where(pd.isna(v), "", v) if name in texts else v for name, v in columns.items()})
        for columns in (train, test)
    )
    return _fitted(model, train_frame, y, test_frame)


def ebm(train: Columns, y: Floats, test: Columns) -> Floats:
    """interpret's explainable boosting, as it comes."""
    from interpret.glassbox import ExplainableBoostingClassifier

    return _fitted(ExplainableBoostingClassifier(), pd.DataFrame(dict(train)), y, pd.DataFrame(dict(test)))


RIVALS: dict[str, Rival] = {
    "logistic": logistic,
    "hist boosting": histogram_boosting,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "ebm": ebm,
}
