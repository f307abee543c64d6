-- Once per history: accounts by number, contacts and answers with what does not depend on the moment asked about.
-- Times are microseconds; issue ids and topics become hashes, as no one compares texts in a window if he can help it.
CREATE OR REPLACE TEMP TABLE account AS
SELECT row_number() OVER (ORDER BY account_id) AS account, accounts.* FROM accounts;

CREATE OR REPLACE TEMP TABLE question AS
SELECT row_number() OVER (ORDER BY as_of) AS q, account.account, account.account_id, snapshots.as_of AS moment
FROM snapshots JOIN account USING (account_id);

CREATE OR REPLACE TEMP TABLE contact AS
SELECT account.account, i.rowid AS id, i.opened_at AS opened, i.recorded_at AS recorded,
    i.direction = 'inbound' AS inbound,
    coalesce(hash(i.issue_id), hash(i.category) + 1, hash(i.interaction_id) + 2) AS issue,
    i.issue_id IS NOT NULL AS has_issue_id,
    hash(i.channel) AS channel, coalesce(i.channel IN ('self_service', 'portal'), false) AS self_service,
    hash(i.contact_id) AS person,
    coalesce(i.kind = 'complaint', false) AS complaint,
    coalesce(i.escalation = 'customer', false) AND i.escalated_at IS NOT NULL AS demanded,
    coalesce(i.outcome IN ('abandoned', 'auto_closed'), false) OR coalesce(i.abandoned, false) AS gave_up,
    coalesce(i.outcome IN ('abandoned', 'auto_closed', 'unresolved'), false) OR coalesce(i.abandoned, false) AS failing,
    coalesce(i.resolved_at, CASE WHEN i.outcome IN ('resolved', 'unresolved', 'auto_closed', 'abandoned') OR i.abandoned
        THEN coalesce(i.updated_at, i.opened_at) END) AS closed_at,
    i.resolved_at, i.reopened_at, i.first_response_at AS answered_at, i.escalated_at,
    CASE WHEN i.reopened_at > i.resolved_at
        THEN CASE WHEN i.updated_at IS NOT NULL THEN greatest(i.updated_at, i.reopened_at) END
        ELSE coalesce(closed_at, i.updated_at) END AS totals_at,
    coalesce(i.reopens, 0) AS reopens, coalesce(i.transfers, 0) AS transfers,
    i.sla_first_response_minutes AS target_answer, i.sla_resolution_minutes AS target_closing
FROM interactions i JOIN account ON account.account_id = i.account_id;

CREATE OR REPLACE TEMP TABLE answer AS
SELECT account.account, coalesce(sent_at, responded_at) AS asked, coalesce(responded_at, sent_at) AS recent,
    s.recorded_at AS recorded, sent_at AS sent, responded_at AS responded, instrument,
    CASE instrument WHEN 'csat' THEN 1.0 WHEN 'ces' THEN 1.0 WHEN 'nps' THEN 0.0 END AS usual_min,
    CASE instrument WHEN 'csat' THEN 5.0 WHEN 'ces' THEN 7.0 WHEN 'nps' THEN 10.0 END AS usual_max,
    CASE instrument WHEN 'csat' THEN 1 / 4.0 WHEN 'ces' THEN 2 / 6.0 WHEN 'nps' THEN 6 / 10.0 END AS usual_low,
    (score - coalesce(scale_min, usual_min)) / (coalesce(scale_max, usual_max) - coalesce(scale_min, usual_min)) AS plain,
    CASE WHEN low_is_good THEN 1 - plain ELSE plain END AS exact_share,
    -- compute() keeps shares of a scale on a grid of 2^-16, so that sums are exact.
    round(exact_share * 65536) / 65536 AS share,
    coalesce(exact_share <= usual_low + 1e-9, false) AS low
FROM surveys s JOIN account ON account.account_id = s.account_id;

CREATE OR REPLACE TEMP TABLE term AS
SELECT account.account, effective_at AS effective, greatest(effective_at + 1, contracts.recorded_at) AS visible_from,
    contracts.mrr, contracts.billing, contracts.seats, contracts.renewal_at
FROM contracts JOIN account ON account.account_id = contracts.account_id;
