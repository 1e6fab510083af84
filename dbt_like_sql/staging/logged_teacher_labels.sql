-- description: What a logged teacher predicts for the candidates that its stage scored.
-- owner: team:ranking
-- table: teacher_labels
-- scope: teacher
-- keys: [request_id, candidate_id]
-- shard_key: request_id
-- columns:
--   request_id: {description: The request., type: identifier, not_null: true}
--   candidate_id: {description: The candidate., type: identifier, not_null: true}
--   <teacher_label>: {description: The teacher's prediction for a task., type: FLOAT, not_null: true, between: [0, 1]}
WITH considered AS (
    {% for table in ["impressions", "considerations"] %}
    {% if not loop.first %}
    UNION ALL
    {% endif %}
    SELECT
        request_id,
        candidate_id,
        deepest_stage,
        {{ "probed" if has_probes and table == "considerations" else "FALSE" }} AS probed
        {% for label, logged in teacher.labels %}
        , "{{ logged }}" AS "{{ label }}"
        {% endfor %}
    FROM {{ table }}
    {% endfor %}
)

SELECT
    request_id,
    candidate_id
    {% for label, logged in teacher.labels %}
    , "{{ label }}"
    {% endfor %}
FROM considered
WHERE
    deepest_stage IN ({% for stage in teacher.reached_by %}$stage_{{ stage }}{{ ", " if not loop.last }}{% endfor %})
    {% if teacher.probes %}
    OR (probed AND deepest_stage = $stage_{{ teacher.probes }})
    {% endif %}
ORDER BY request_id, candidate_id
