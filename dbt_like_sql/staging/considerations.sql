-- description: Candidates that were scored but not shown, sampled by the rate of the deepest stage that scored them;
--   probes are all kept.
-- owner: team:ranking
-- scope: cascade
-- keys: [request_id, candidate_id]
-- shard_key: request_id
-- columns:
--   request_id: {description: The request., type: identifier, not_null: true}
--   candidate_id: {description: The candidate., type: identifier, not_null: true}
--   requested_at: {description: When the request came in., type: TIMESTAMP WITH TIME ZONE, not_null: true}
--   deepest_stage: {description: Deepest stage that scored it., type: VARCHAR, not_null: true, one_of: $stages}
--   explored: {description: False for all that was not shown., type: BOOLEAN, not_null: true}
--   propensity: {description: Probability with which it would be shown., type: FLOAT, between: [0, 1]}
--   <probed>:
--     description: Whether its deepest stage rejected it and the next one scored it all the same.
--     type: BOOLEAN
--     not_null: true
--   <probe_rate>: {description: Share of the rejected that were probed; null on others., type: FLOAT, between: [0, 1]}
--   <bid>: {description: The bid., type: FLOAT, not_null: true, between: [0, null]}
--   <prediction>: {description: Logged prediction of a stage and task., type: FLOAT, between: [0, 1]}
--   <feature>: {description: Declared feature., type: declared}
--   weight:
--     description: 1 / sampling rate, so that weighted sums estimate those over all unshown candidates.
--     type: FLOAT
--     not_null: true
--     between: [1, null]
WITH unshown AS (
    SELECT
        *,
        -- No declared name starts with an underscore, so none can be taken for this one.
        CASE {{ "WHEN probed THEN 1.0" if has_probes }}
            {% for stage in stages %}
            WHEN deepest_stage = $stage_{{ stage }} THEN $rate_{{ stage }}
            {% endfor %}
        END AS _rate
    FROM candidate_log
    WHERE NOT shown
),

-- One hash a request and one a candidate; their exclusive or is a row's, at a tenth of the cost of hashing each row.
requests AS (
    SELECT request_id, md5_number_lower('considerations/' || request_id::VARCHAR) AS _hash
    FROM (SELECT DISTINCT request_id FROM candidate_log)
),

candidates AS (
    SELECT candidate_id, md5_number_lower(candidate_id::VARCHAR) AS _hash
    FROM (SELECT DISTINCT candidate_id FROM candidate_log)
)

SELECT
    unshown.request_id,
    unshown.candidate_id,
    requested_at,
    deepest_stage,
    explored,
    propensity
    {% if has_probes %}
    , probed
    , probe_rate
    {% endif %}
    {% if has_bid %}
    , bid
    {% endif %}
    {% for prediction in predictions %}
    , "{{ prediction.column }}"
    {% endfor %}
    {% for feature in features %}
    , "{{ feature }}"
    {% endfor %}
    , (1 / _rate)::FLOAT AS weight
FROM unshown
JOIN requests ON requests.request_id = unshown.request_id
JOIN candidates ON candidates.candidate_id = unshown.candidate_id
WHERE xor(requests._hash, candidates._hash) % 1000000000 < _rate * 1000000000
ORDER BY unshown.request_id, unshown.candidate_id
