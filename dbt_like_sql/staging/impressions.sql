-- description: Shown candidates with one attributed label per task.
-- owner: team:ranking
-- scope: cascade
-- keys: [request_id, candidate_id]
-- shard_key: request_id
-- columns:
--   request_id: {description: The request., type: identifier, not_null: true}
--   candidate_id: {description: The shown candidate., type: identifier, not_null: true}
--   requested_at: {description: When the request came in., type: TIMESTAMP WITH TIME ZONE, not_null: true}
--   deepest_stage: {description: Deepest stage that scored it., type: VARCHAR, not_null: true, one_of: $stages}
--   explored: {description: Whether a randomised policy showed it., type: BOOLEAN, not_null: true}
--   propensity: {description: Probability with which it was shown., type: FLOAT, between: [0, 1]}
--   <bid>: {description: The bid., type: FLOAT, not_null: true, between: [0, null]}
--   <prediction>: {description: Logged prediction of a stage and task., type: FLOAT, between: [0, 1]}
--   <feature>: {description: Declared feature., type: declared}
--   <task>:
--     description: 1 if the task's event came within its attribution window (ends included), else 0; null where a
--       task that must come first has label 0.
--     type: FLOAT
--     one_of: [0, 1]
--   <delay>:
--     description: Seconds from the request to the first event of the task within its window, where the label is 1.
--     type: DOUBLE
--     between: [0, null]
--   <known_until>:
--     description: When the event log was read; later events are in no label.
--     type: TIMESTAMP WITH TIME ZONE
--     not_null: true
WITH shown AS (
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
    FROM candidate_log
    WHERE shown
),

-- An event that is logged twice counts once. Windows are compared in microseconds: a day added to a timestamp would
-- be 23 or 25 hours where the machine's time zone changes its clock.
outcomes AS (
    SELECT
        shown.request_id,
        shown.candidate_id
        {% for task in tasks %}
        , bool_or(
            event_log.event = $event_{{ task.name }}
            AND epoch_us(event_log.occurred_at) - epoch_us(shown.requested_at)
            BETWEEN 0 AND epoch_us($window_{{ task.name }})
        ) AS "{{ task.name }}"
        {% if task.delay %}
        , min(
            CASE
                WHEN
                    event_log.event = $event_{{ task.name }} AND event_log.occurred_at >= shown.requested_at
                    THEN epoch_us(event_log.occurred_at) - epoch_us(shown.requested_at)
            END
        ) / 1e6 AS "{{ task.delay }}"
        {% endif %}
        {% endfor %}
    FROM shown
    INNER JOIN event_log USING (request_id, candidate_id)
    GROUP BY shown.request_id, shown.candidate_id
)

SELECT
    shown.request_id,
    shown.candidate_id,
    shown.requested_at,
    shown.deepest_stage,
    shown.explored,
    shown.propensity
    {% if has_bid %}
    , shown.bid
    {% endif %}
    {% for prediction in predictions %}
    , shown."{{ prediction.column }}"
    {% endfor %}
    {% for feature in features %}
    , shown."{{ feature }}"
    {% endfor %}
    {% for task in tasks %}
    {% if task.conditions %}
    , CASE
        WHEN TRUE
        {% for condition in task.conditions %}
            AND outcomes."{{ condition }}"
        {% endfor %}
            THEN outcomes."{{ task.name }}"::FLOAT
    END AS "{{ task.name }}"
    {% else %}
    , coalesce(outcomes."{{ task.name }}", FALSE)::FLOAT AS "{{ task.name }}"
    {% endif %}
    {% endfor %}
    {% for task in tasks if task.delay %}
    , CASE
        WHEN outcomes."{{ task.name }}"
        {% for condition in task.conditions %}
            AND outcomes."{{ condition }}"
        {% endfor %}
            THEN outcomes."{{ task.delay }}"
    END AS "{{ task.delay }}"
    {% endfor %}
    {% if delayed %}
    , $known_until::TIMESTAMPTZ AS known_until
    {% endif %}
FROM shown
LEFT JOIN outcomes USING (request_id, candidate_id)
ORDER BY shown.request_id, shown.candidate_id
