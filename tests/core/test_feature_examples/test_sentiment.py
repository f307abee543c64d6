"""Sentiment: levels with a half-life, trends, what was said last."""

from tests.core.test_feature_examples.ann import about, answer, features, roughly, survey


def test_csat_level():
    surveys = [answer("csat", 90, 5), answer("csat", 180, 3)]
    # Weights .5 and .25, shares 1 and .5: .5 + .125 = .625 of .75; usual .8125 with the weight of 3:
    # (.625 + 2.4375) / 3.75 = .816667; 1 + 4 x .816667
    assert features(surveys=surveys)["csat_level"] == roughly(4.266667)
    assert features(surveys=[answer("csat", 366, 5)])["csat_level"] is None


def test_csat_trend():
    surveys = [answer("csat", 180, 2), answer("csat", 90, 4)]
    # Two points in one span of 90 days, drawn to 0 by n / (n + 4): 2 x 2 / 6
    assert features(surveys=surveys)["csat_trend"] == roughly(2 / 3)
    assert features(surveys=[answer("csat", 24, 2), answer("csat", 11, 4)])["csat_trend"] is None
    assert features(surveys=[answer("csat", 24, 2), answer("csat", 10, 2)])["csat_trend"] == 0


def test_csat_trend_of_three_answers():
    surveys = [answer("csat", 270, 5), answer("csat", 180, 3), answer("csat", 90, 4)]
    # x = -3, -2, -1 and y = 5, 3, 4: slope ((-1)(1) + 0 + (1)(0)) / 2 = -.5; drawn: -.5 x 3 / 7
    assert features(surveys=surveys)["csat_trend"] == roughly(-1.5 / 7)


def test_nps_last():
    surveys = [answer("nps", 300, 2), answer("nps", 180, 9), survey("nps", 20)]
    # .9 half forgotten after 180 days, towards the usual .79: .79 + .5 x .11 = .845
    assert features(surveys=surveys)["nps_last"] == roughly(8.45)
    assert features(surveys=[survey("nps", 20)])["nps_last"] is None


def test_sentiment_volatility():
    surveys = [answer("csat", 50, 5), answer("csat", 100, 1), answer("nps", 150, 5)]
    # Shares 1, 0, .5: mean .5, squares .25 + .25 + 0, variance .5 / 2
    assert features(surveys=surveys)["sentiment_volatility"] == about(0.5)
    assert features(surveys=surveys[:2])["sentiment_volatility"] is None


def test_feedback_score():
    surveys = [answer("csat", 90, 5), answer("nps", 90, 5)]
    # .4 x .5 x 1 + .3 x .5 x .5 = .275 of .4 x .5 + .3 x .5 = .35; usual .4 x .8125 + .3 x .75 + .3 x .79 = .787 with
    # the weight of 3 answers, .4 + .3 + .3 = 1: 100 x (.275 + .787) / 1.35
    assert features(surveys=surveys)["feedback_score"] == roughly(78.66667)
    thumbs = answer("thumbs", 5, 1, scale_min=0.0, scale_max=1.0)
    assert features(surveys=[thumbs])["feedback_score"] is None
