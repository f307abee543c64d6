-- The questions $first to $last, at one moment or at several.
INSERT INTO features
WITH
questions AS MATERIALIZED (SELECT * FROM question WHERE q BETWEEN $first AND $last),
observed AS MATERIALIZED (
    SELECT moment, least(min(opened_at), moment) AS since
    FROM (SELECT DISTINCT moment FROM questions) JOIN interactions ON opened_at < moment AND recorded_at <= moment
    GROUP BY moment
),
-- Rows that had happened and were known, and of their values those that had happened.
seen AS MATERIALIZED (
    SELECT q, moment, contact.*, moment - opened AS age,
        coalesce(reopened_at < moment, false) AS reopened,
        coalesce(closed_at < moment, false) AND NOT coalesce(reopened_at < moment AND reopened_at > resolved_at, false) AS closed,
        coalesce(totals_at < moment, false) AS counted
    FROM questions JOIN contact USING (account)
    WHERE opened < moment AND recorded <= moment AND opened >= moment - 372 * 86400000000
),
neighbours AS (
    SELECT *,
        opened - lag(opened) OVER issues AS before,
        lead(opened) OVER issues - opened AS after,
        lag(channel) OVER issues AS earlier_channel,
        opened - lag(opened) OVER (PARTITION BY q ORDER BY opened, id) AS gap
    FROM seen WHERE inbound
    WINDOW issues AS (PARTITION BY q, issue ORDER BY opened, id)
),
inbound AS (
    SELECT *,
        coalesce(before <= 7 * 86400000000, false) AS repeat,
        CASE WHEN has_issue_id THEN before IS NULL ELSE NOT coalesce(before <= 7 * 86400000000, false) END AS first,
        coalesce(after > 7 * 86400000000, true) AS unfollowed,
        closed AND failing AS failed,
        (closed AND failing) OR (NOT closed AND age >= 14 * 86400000000) AS lying,
        CASE WHEN counted THEN transfers ELSE 0 END AS handed,
        CASE WHEN counted THEN reopens ELSE 0 END AS opened_again,
        coalesce(answered_at < moment, false) AS answered,
        greatest(((CASE WHEN answered_at < moment THEN answered_at ELSE moment END) - opened) / 60000000, 1) AS answer_minutes,
        greatest(((CASE WHEN closed THEN closed_at ELSE moment END) - opened) / 60000000, 1) AS closing_minutes,
        coalesce(resolved_at < moment, false) AS resolved,
        moment - resolved_at AS since_resolved,
        coalesce(escalated_at < moment, false) AS escalated
    FROM neighbours
),
runs AS MATERIALIZED (
    SELECT *,
        NOT first AND coalesce(channel <> earlier_channel, false) AS switched,
        sum(first::INT) OVER (PARTITION BY q, issue ORDER BY opened, id) AS run
    FROM inbound
),
issues AS (
    SELECT q, sum(1 + handed + switched::INT + opened_again) AS effort, moment - max(opened) AS last_age,
        arg_max(CASE WHEN closed AND moment - closed_at <= 180 * 86400000000 THEN closed_at ELSE -1 END, opened) AS closed_at
    FROM runs GROUP BY q, moment, moment, issue, run
),
by_issue AS (
    SELECT q, count(*) FILTER (last_age <= 90 * 86400000000) AS issues_90d,
        sum(effort) FILTER (last_age <= 90 * 86400000000) AS effort_90d,
        max(effort) FILTER (last_age <= 90 * 86400000000) AS hardest_issue_90d,
        arg_max(effort, closed_at * 1000 + effort) FILTER (closed_at >= 0) AS closed_issue_effort_180d
    FROM issues GROUP BY q
),
by_contact AS MATERIALIZED (
    SELECT q,
        count(*) FILTER (age <= 28 * 86400000000) AS contacts_28d,
        count(*) FILTER (age <= 30 * 86400000000) AS contacts_30d,
        count(*) FILTER (age <= 90 * 86400000000) AS contacts_90d,
        count(*) FILTER (age <= 365 * 86400000000) AS contacts_365d,
        count(*) FILTER (self_service AND age <= 28 * 86400000000) AS self_service_28d,
        count(*) FILTER (self_service AND age <= 365 * 86400000000) AS self_service_365d,
        count(DISTINCT person) FILTER (age <= 90 * 86400000000) AS people_90d,
        count(DISTINCT person) FILTER (age <= 365 * 86400000000) AS people_365d,
        min(age) / 86400000000 AS days_since_contact,
        count(*) FILTER (gap >= 3600000000 AND age + gap <= 365 * 86400000000) AS gaps_365d,
        median(gap) FILTER (gap >= 3600000000 AND age + gap <= 365 * 86400000000) / 86400000000 AS gap_days_365d,
        count(*) FILTER (closed AND gave_up AND unfollowed AND age BETWEEN 7 * 86400000000 AND 90 * 86400000000)
            AS abandoned_90d,
        count(*) FILTER (lying AND age BETWEEN 14 * 86400000000 AND 90 * 86400000000
            AND coalesce(after > 14 * 86400000000, true)) AS quiet_failures_90d,
        count(*) FILTER (lying AND age BETWEEN 14 * 86400000000 AND 365 * 86400000000
            AND coalesce(after > 14 * 86400000000, true)) AS quiet_failures_365d,
        min(age) FILTER (lying AND age <= 365 * 86400000000) / 86400000000 AS days_since_lying,
        count(*) FILTER (first AND age BETWEEN 7 * 86400000000 AND 180 * 86400000000) AS issues_180d,
        count(*) FILTER (first AND age BETWEEN 7 * 86400000000 AND 180 * 86400000000
            AND NOT (closed AND NOT failing AND unfollowed)) AS issues_not_fixed_180d,
        count(*) FILTER (repeat AND age <= 90 * 86400000000) AS repeats_90d,
        count(*) FILTER (repeat AND age <= 365 * 86400000000) AS repeats_365d,
        coalesce(sum(handed) FILTER (age <= 90 * 86400000000), 0) AS transfers_90d,
        count(*) FILTER (switched AND age <= 90 * 86400000000) AS switches_90d,
        count(*) FILTER (age <= 90 * 86400000000 AND (answered OR NOT closed)) AS answers_90d,
        sum(round(ln(answer_minutes / greatest(coalesce(target_answer, $answer_minutes), 1)) * 1048576) / 1048576)
            FILTER (age <= 90 * 86400000000 AND (answered OR NOT closed)) AS answers_ln_90d,
        count(*) FILTER (age <= 90 * 86400000000 AND (answered OR NOT closed) AND target_answer IS NOT NULL
            AND (answered OR answer_minutes > target_answer)) AS answers_due_90d,
        count(*) FILTER (age <= 90 * 86400000000 AND (answered OR NOT closed) AND answer_minutes > target_answer)
            AS answers_late_90d,
        count(*) FILTER (age <= 90 * 86400000000 AND target_closing IS NOT NULL
            AND (closed OR closing_minutes > target_closing)) AS closings_due_90d,
        count(*) FILTER (age <= 90 * 86400000000 AND closing_minutes > target_closing) AS closings_late_90d,
        quantile_cont(round(ln(closing_minutes / greatest(coalesce(target_closing, $resolution_minutes), 1)) * 1048576)
            / 1048576, 0.9) FILTER (age <= 180 * 86400000000) AS closing_ln_p90_180d,
        count(*) FILTER (NOT closed AND age <= 365 * 86400000000) AS open_contacts,
        max(age) FILTER (NOT closed AND age <= 365 * 86400000000) / 86400000000 AS open_days,
        count(*) FILTER (resolved AND since_resolved BETWEEN 14 * 86400000000 AND 180 * 86400000000) AS resolved_180d,
        count(*) FILTER (resolved AND since_resolved BETWEEN 14 * 86400000000 AND 180 * 86400000000
            AND CASE WHEN reopened THEN reopened_at <= resolved_at + 14 * 86400000000 ELSE opened_again > 0 END)
            AS reopened_180d,
        count(*) FILTER (closed AND resolved AND age <= 365 * 86400000000) AS solved_365d,
        stddev_samp(round(ln(closing_minutes) * 65536) / 65536)
            FILTER (closed AND resolved AND age <= 365 * 86400000000) AS solved_sd_365d,
        count(*) FILTER (escalated AND moment - escalated_at <= 90 * 86400000000) AS escalations_90d,
        sum(exp((moment - escalated_at) / -5184000000000))
            FILTER (escalated AND moment - escalated_at <= 365 * 86400000000) AS escalation_recency,
        sum(exp(age / -5184000000000)) FILTER (complaint AND age <= 365 * 86400000000) AS complaint_recency,
        count(*) FILTER (complaint AND age <= 365 * 86400000000 AND (NOT closed OR failed))
            AS complaints_unresolved_365d,
        min(age) FILTER (complaint) / 86400000000 AS days_since_complaint
    FROM runs GROUP BY q, moment
),
demanded AS (
    SELECT q, min(moment - escalated_at) / 86400000000 AS days_since_demand
    FROM seen WHERE demanded AND escalated_at < moment GROUP BY q, moment
),
-- Who has been silent for so long that the contacts above lie behind the last one.
older AS (
    SELECT questions.q, (moment - max(opened)) / 86400000000 AS days
    FROM questions ANTI JOIN by_contact USING (q) JOIN contact USING (account)
    WHERE contact.inbound AND opened < moment AND recorded <= moment GROUP BY questions.q, moment
),
asked AS (
    SELECT q, moment, answer.*, moment - sent AS age, moment - responded AS answer_age,
        coalesce(responded < moment, false) AS answered,
        sent IS NOT NULL AND moment - sent >= 14 * 86400000000 AS due,
        coalesce(responded < moment AND moment - responded <= 365 * 86400000000, false) AS year
    FROM questions JOIN answer USING (account)
    WHERE asked < moment AND recorded <= moment AND recent >= moment - 372 * 86400000000
),
streaks AS (
    SELECT *, min(CASE WHEN answered THEN age END) OVER (PARTITION BY q) AS last_answered,
        year AND share IS NOT NULL AS scored,
        pow(2, -answer_age / 7776000000000) AS weight,
        round(-answer_age / 7776000000000 * 65536) / 65536 AS x
    FROM asked
),
by_survey AS (
    SELECT q,
        count(*) FILTER (due AND age <= 365 * 86400000000) AS invitations_365d,
        count(*) FILTER (due AND age <= 180 * 86400000000) AS invitations_180d,
        count(*) FILTER (due AND age <= 180 * 86400000000 AND answered AND responded <= sent + 14 * 86400000000)
            AS answered_180d,
        count(*) FILTER (due AND age > 180 * 86400000000 AND age <= 360 * 86400000000) AS invitations_181_360d,
        count(*) FILTER (due AND age > 180 * 86400000000 AND age <= 360 * 86400000000 AND answered
            AND responded <= sent + 14 * 86400000000) AS answered_181_360d,
        count(*) FILTER (due AND NOT answered AND age <= 365 * 86400000000 AND coalesce(age < last_answered, true))
            AS unanswered_in_a_row,
        min(answer_age) FILTER (answered AND low) / 86400000000 AS days_since_low_score,
        count(*) FILTER (scored) AS scores_365d,
        stddev_samp(share) FILTER (scored) AS scores_sd_365d,
        count(*) FILTER (scored AND instrument = 'ces' AND answer_age <= 180 * 86400000000) AS ces_180d,
        count(*) FILTER (scored AND instrument = 'ces' AND answer_age <= 180 * 86400000000 AND low) AS ces_low_180d,
        coalesce(sum(share) FILTER (scored AND instrument = 'ces' AND answer_age <= 180 * 86400000000), 0) AS ces_sum_180d,
        arg_max(share, responded) FILTER (scored AND instrument = 'nps') AS nps_last,
        min(answer_age) FILTER (scored AND instrument = 'nps') / 86400000000 AS nps_last_days,
        CASE WHEN max(answer_age) FILTER (scored AND instrument = 'csat')
            - min(answer_age) FILTER (scored AND instrument = 'csat') >= 14 * 86400000000
            THEN regr_slope(share, x) FILTER (scored AND instrument = 'csat') END AS csat_slope_365d,
        count(*) FILTER (scored AND instrument = 'csat') AS csat_365d,
        coalesce(sum(weight) FILTER (scored AND instrument = 'csat'), 0) AS csat_weight_365d,
        coalesce(sum(weight * share) FILTER (scored AND instrument = 'csat'), 0) AS csat_sum_365d,
        count(*) FILTER (scored AND instrument = 'ces') AS ces_365d,
        coalesce(sum(weight) FILTER (scored AND instrument = 'ces'), 0) AS ces_weight_365d,
        coalesce(sum(weight * share) FILTER (scored AND instrument = 'ces'), 0) AS ces_sum_365d,
        count(*) FILTER (scored AND instrument = 'nps') AS nps_365d,
        coalesce(sum(weight) FILTER (scored AND instrument = 'nps'), 0) AS nps_weight_365d,
        coalesce(sum(weight * share) FILTER (scored AND instrument = 'nps'), 0) AS nps_sum_365d
    FROM streaks GROUP BY q
),
by_term AS (
    SELECT q, true AS has_terms,
        arg_max_null(mrr, effective) AS mrr, arg_max_null(billing, effective) AS billing,
        arg_max_null(renewal_at, effective) AS renewal_at,
        arg_max_null(mrr, effective) FILTER (effective < moment - 14 * 86400000000) AS settled_mrr,
        arg_max_null(seats, effective) FILTER (effective < moment - 14 * 86400000000) AS settled_seats,
        arg_max_null(mrr, effective) FILTER (effective < moment - 194 * 86400000000) AS before_mrr,
        arg_max_null(seats, effective) FILTER (effective < moment - 194 * 86400000000) AS before_seats
    FROM questions JOIN term USING (account) WHERE visible_from <= moment GROUP BY q, moment
),
accounts_then AS (
    SELECT questions.q, moment, questions.account_id, own.segment,
        coalesce(by_term.billing, own.billing) AS billing,
        CASE WHEN by_term.billing IS NULL THEN own.billing = 'annual' ELSE by_term.billing = 'annual' END AS annual,
        coalesce(has_terms, false) AS has_terms,
        CASE WHEN has_terms THEN by_term.renewal_at ELSE own.renewal_at END - moment AS ahead,
        CASE WHEN has_terms THEN by_term.mrr ELSE own.mrr END AS mrr_now,
        settled_mrr, settled_seats, before_mrr, before_seats,
        greatest(moment - own.started_at, 0) / 86400000000 AS tenure_days,
        greatest(moment - greatest(coalesce(own.started_at, observed.since), observed.since), 0) / 86400000000 AS history_days,
        coalesce(own.onboarded_at < moment, false) AS onboarded
    FROM questions JOIN account AS own USING (account) JOIN observed USING (moment) LEFT JOIN by_term USING (q)
),
facts AS (
    SELECT a.*, u.* EXCLUDE (segment), i.* EXCLUDE (q), s.* EXCLUDE (q), d.days_since_demand,
        c.* EXCLUDE (q, days_since_contact), coalesce(c.days_since_contact, older.days) AS days_since_contact,
        coalesce(c.days_since_contact, older.days, a.history_days) AS silence_days,
        coalesce(c.contacts_28d, 0) AS n28, coalesce(c.contacts_30d, 0) AS n30, coalesce(c.contacts_90d, 0) AS n90,
        coalesce(c.contacts_365d, 0) AS n365, coalesce(c.repeats_90d, 0) AS r90, coalesce(c.repeats_365d, 0) AS r365,
        CASE WHEN least(history_days, 365) - 28 >= 60 THEN least(history_days, 365) - 28 END AS base_days_28,
        CASE WHEN least(history_days, 365) - 30 >= 60 THEN least(history_days, 365) - 30 END AS base_days_30,
        CASE WHEN least(history_days, 365) - 90 >= 60 THEN least(history_days, 365) - 90 END AS base_days_90,
        2 / greatest(u.contacts_per_day, 1e-6) AS prior_days
    FROM accounts_then a
    JOIN usual u ON u.segment = a.segment
    LEFT JOIN by_contact c USING (q) LEFT JOIN by_issue i USING (q) LEFT JOIN by_survey s USING (q)
    LEFT JOIN demanded d USING (q) LEFT JOIN older USING (q)
),
expected AS (
    SELECT *,
        (n365 - n28 + 2) / (base_days_28 + prior_days) * 28 AS expected_28d,
        (n365 - n30 + 2) / (base_days_30 + prior_days) * 30 AS expected_30d,
        (n365 - n90 + 2) / (base_days_90 + prior_days) * 90 AS expected_90d,
        CASE WHEN self_service_365d > 0 THEN (self_service_365d - self_service_28d) / base_days_28 * 28 END
            AS expected_sessions,
        (ahead % 31536000000000 + 31536000000000) % 31536000000000 AS around
    FROM facts
)
SELECT account_id, moment AS as_of,
    (r90 + 10 * repeat_rate) / (n90 + 10) AS repeat_rate_90d,
    (r365 + 10 * repeat_rate) / (n365 + 10) AS repeat_rate_365d,
    (coalesce(issues_not_fixed_180d, 0) + 10 * not_fixed_rate) / (coalesce(issues_180d, 0) + 10) AS not_fixed_first_180d,
    (coalesce(effort_90d, 0) + 3 * effort) / (coalesce(issues_90d, 0) + 3) AS effort_mean_90d,
    coalesce(hardest_issue_90d, 0) AS effort_peak_90d,
    coalesce(closed_issue_effort_180d, effort) AS effort_last_180d,
    CASE WHEN ces_180d > 0 THEN (ces_low_180d + 10 * ces_low_rate) / (ces_180d + 10) END AS ces_low_share_180d,
    CASE WHEN ces_180d > 0 THEN 1 + 6 * (ces_sum_180d + 3 * ces) / (ces_180d + 3) END AS ces_mean_180d,
    (coalesce(transfers_90d, 0) + 10 * transfers_per_contact) / (n90 + 10) AS transfers_per_contact_90d,
    (coalesce(switches_90d, 0) + 10 * switches_per_issue) / (coalesce(issues_90d, 0) + 10) AS channel_switches_90d,
    (r90 + 10 * repeat_rate) / (n90 + 10) - (r365 - r90 + 10 * repeat_rate) / (n365 - n90 + 10) AS repeat_trend,
    CASE WHEN answers_90d > 0 THEN answers_ln_90d / answers_90d END AS first_response_vs_target_90d,
    (coalesce(answers_late_90d + closings_late_90d, 0) + 10 * targets_missed_rate)
        / (coalesce(answers_due_90d + closings_due_90d, 0) + 10) AS targets_missed_share_90d,
    closing_ln_p90_180d AS resolution_p90_vs_target_180d,
    coalesce(open_days, 0) AS open_backlog_days,
    (coalesce(reopened_180d, 0) + 10 * reopen_rate) / (coalesce(resolved_180d, 0) + 10) AS reopen_rate_180d,
    CASE WHEN solved_365d >= 5 THEN solved_sd_365d ELSE ln_minutes_sd END AS resolution_variability_365d,
    coalesce(escalations_90d, 0)::DOUBLE AS escalations_90d,
    coalesce(escalation_recency, 0) AS escalation_recency,
    coalesce(complaint_recency, 0) AS complaint_recency,
    coalesce(complaints_unresolved_365d, 0)::DOUBLE AS complaints_unresolved_365d,
    CASE WHEN csat_365d > 0 THEN 1 + 4 * (csat_sum_365d + 3 * csat) / (csat_weight_365d + 3) END AS csat_level,
    CASE WHEN csat_slope_365d IS NOT NULL THEN
        greatest(-4, least(4, 4 * csat_slope_365d * csat_365d / (csat_365d + 4))) END AS csat_trend,
    10 * (nps + (nps_last - nps) * exp(-nps_last_days / 180 * ln(2))) AS nps_last,
    CASE WHEN scores_365d >= 3 THEN scores_sd_365d END AS sentiment_volatility,
    CASE WHEN csat_365d + ces_365d + nps_365d > 0 THEN
        100 * (0.4 * csat_sum_365d + 0.3 * ces_sum_365d + 0.3 * nps_sum_365d + 0.4 * csat + 0.3 * ces + 0.3 * nps)
        / (0.4 * csat_weight_365d + 0.3 * ces_weight_365d + 0.3 * nps_weight_365d + 1) END AS feedback_score,
    CASE WHEN expected_28d IS NOT NULL THEN greatest(-2, least(2, ln((n28 + 0.5) / (expected_28d + 0.5)))) END AS contact_drop_28d,
    CASE WHEN expected_90d IS NOT NULL THEN greatest(-2, least(2, ln((n90 + 0.5) / (expected_90d + 0.5)))) END AS contact_drop_90d,
    expected_90d / 90 * silence_days AS silence_surprise,
    silence_days / greatest(CASE WHEN gaps_365d >= 3 THEN gap_days_365d ELSE gap_days END, 0.5) AS gap_ratio,
    coalesce(n30 = 0 AND expected_30d >= 2, false)::INT::DOUBLE AS zero_after_busy,
    (days_since_contact IS NULL AND history_days >= 60)::INT::DOUBLE AS never_contacted,
    CASE WHEN invitations_365d > 0 THEN unanswered_in_a_row::DOUBLE END AS nonresponse_streak,
    CASE WHEN invitations_180d > 0 AND invitations_181_360d > 0 THEN
        (answered_180d + 10 * response_rate) / (invitations_180d + 10)
        - (answered_181_360d + 10 * response_rate) / (invitations_181_360d + 10) END AS response_rate_change,
    coalesce(abandoned_90d, 0)::DOUBLE AS abandoned_contacts_90d,
    coalesce(quiet_failures_90d, 0)::DOUBLE AS quiet_failures_90d,
    coalesce(quiet_failures_365d, 0)::DOUBLE AS quiet_failures_365d,
    CASE WHEN expected_sessions IS NOT NULL THEN greatest(-2, least(2, ln((self_service_28d + 0.5) / (expected_sessions + 0.5)))) END AS self_service_drop_28d,
    CASE WHEN people_365d > 0 THEN people_90d / people_365d ELSE 1 END AS active_contacts_ratio,
    least(days_since_complaint, days_since_demand, days_since_low_score, 365) AS days_since_voice,
    CASE WHEN days_since_lying <= days_since_contact THEN days_since_lying ELSE 0 END AS days_since_failure,
    CASE WHEN billing = 'monthly' THEN -1
        WHEN has_terms THEN CASE WHEN ahead >= 0 THEN ahead WHEN annual THEN around END
        WHEN annual THEN around WHEN ahead BETWEEN 0 AND 31536000000000 THEN ahead END
        / CASE WHEN billing = 'monthly' THEN 1 ELSE 86400000000 END AS days_to_renewal,
    billing,
    ln(1 + tenure_days) AS tenure_ln,
    (tenure_days < 182)::INT::DOUBLE AS tenure_early,
    ln(1 + mrr_now) AS mrr_ln,
    segment,
    CASE WHEN settled_mrr > 0 AND before_mrr > 0 THEN greatest(-3, least(3, ln(settled_mrr / before_mrr))) END
        AS mrr_change_180d,
    (settled_seats - before_seats)::DOUBLE AS seats_change_180d,
    CASE WHEN $tracks_onboarding THEN (NOT onboarded AND tenure_days > 90)::INT::DOUBLE END AS onboarding_incomplete
FROM expected;
