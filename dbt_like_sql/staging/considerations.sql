-- description: Candidates that were scored but not shown, sampled by the rate of the deepest stage that scored them.
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
        request_id,
        candidate_id,
        requested_at,
        deepest_stage,
        explored,
        propensity
        {% if has_bid %}
        , bid
        {% endif %}
        {% for prediction in predictions %}
        , "{{ prediction.column }}"
        {% endfor %}
        {% for feature in features %}
        , "{{ feature }}"
        {% endfor %}
        , CASE deepest_stage
            {% for stage in stages %}
            WHEN $stage_{{ stage }} THEN $rate_{{ stage }}
            {% endfor %}
        END AS rate
    FROM candidate_log
    WHERE NOT shown
)

-- A candidate that is logged twice counts once.
SELECT DISTINCT ON (request_id, candidate_id)
    request_id,
    candidate_id,
    requested_at,
    deepest_stage,
    explored,
    propensity
    {% if has_bid %}
    , bid
    {% endif %}
    {% for prediction in predictions %}
    , "{{ prediction.column }}"
    {% endfor %}
    {% for feature in features %}
    , "{{ feature }}"
    {% endfor %}
    , (1 / rate)::FLOAT AS weight
FROM unshown
WHERE
    md5_number_lower(request_id::VARCHAR || '/' || candidate_id::VARCHAR || '/considerations') % 1000000000
    < rate * 1000000000
ORDER BY request_id, candidate_id
