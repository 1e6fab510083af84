-- description: >-
--   How each stage's logged predictions agree with labels, with the next stage that predicts the same task, and with
--   the truth where the source knows it.
-- owner: team:ranking
-- scope: cascade
-- keys: [stage, task, domain, reference]
-- shard_key: none
-- columns:
--   stage: {description: the stage that predicted, type: VARCHAR, not_null: true, one_of: "$stages"}
--   task: {description: the task, type: VARCHAR, not_null: true, one_of: "$tasks"}
--   domain: {description: "IMP was shown; CD reached the next stage; SCORED is all that the stage scored, against teacher by weighted probes", type: VARCHAR, not_null: true, one_of: [IMP, CD, SCORED]}
--   reference: {description: what predictions are compared with, type: VARCHAR, not_null: true, one_of: [label, teacher, truth]}
--   rows: {description: rows compared, type: BIGINT, not_null: true, between: [0, null]}
--   mean_prediction: {description: mean prediction, type: DOUBLE, between: [0, 1]}
--   mean_reference: {description: mean of the reference, type: DOUBLE, between: [0, 1]}
--   calibration: {description: mean prediction over mean reference, type: DOUBLE, between: [0, null]}
--   normalized_entropy: {description: cross entropy over that of the constant base rate, type: DOUBLE, between: [0, null]}
{% macro compare(prediction, domain, reference, table, prediction_column, reference_column, weight="1") %}
    UNION ALL
    SELECT
        $stage_{{ prediction.stage }}, $task_{{ prediction.task }}, '{{ domain }}', '{{ reference }}',
        {{ prediction_column }}, {{ reference_column }}, {{ weight }}
    FROM {{ table }}
    WHERE {{ prediction_column }} IS NOT NULL AND {{ reference_column }} IS NOT NULL
{% endmacro %}
{% macro reached(stages) -%}
    deepest_stage IN ({% for stage in stages %}$stage_{{ stage }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}
WITH compared AS (
    -- Gives the columns their names and types, also where no stage predicts anything.
    SELECT
        ''::VARCHAR AS stage, ''::VARCHAR AS task, ''::VARCHAR AS domain, ''::VARCHAR AS reference,
        0::FLOAT AS prediction, 0::FLOAT AS target,
        1::DOUBLE AS weight
    WHERE false
    {% for p in predictions %}
    {{ compare(p, "IMP", "label", "impressions", '"' ~ p.column ~ '"', '"' ~ p.task ~ '"') }}
    {% if p.teacher %}
    {{ compare(p, "CD", "teacher", "candidate_log", '"' ~ p.column ~ '"', '"' ~ p.teacher ~ '"') }}
        {% if has_probes %}
        AND NOT (probed AND deepest_stage = $stage_{{ p.before_teacher }})
    {% if p.before_teacher == p.stage %}
    -- What was handed on counts once, also as a probe of a later stage; a probe of this one for all that it stands for.
    {{ compare(p, "SCORED", "teacher", "candidate_log", '"' ~ p.column ~ '"', '"' ~ p.teacher ~ '"', "CASE WHEN probed AND deepest_stage = $stage_" ~ p.stage ~ " THEN 1 / probe_rate ELSE 1 END") }}
        AND ({{ reached(p.teacher_reached_by) }} OR (probed AND deepest_stage = $stage_{{ p.stage }}))
        -- Without a probe nothing stands for what the stage rejected.
        AND (SELECT bool_or(probed AND deepest_stage = $stage_{{ p.stage }}) FROM candidate_log)
    {% endif %}
        {% endif %}
    {% endif %}
    {% if has_truth %}
    {{ compare(p, "IMP", "truth", "candidate_log", '"' ~ p.column ~ '"', '"' ~ p.truth ~ '"') }} AND shown
    {{ compare(p, "SCORED", "truth", "candidate_log", '"' ~ p.column ~ '"', '"' ~ p.truth ~ '"') }}
        {% if has_probes %}
        -- Probes of the stage before have a prediction and were not handed on to this stage.
        AND {{ reached(p.reached_by) }}
        {% endif %}
    {% if p.teacher %}
    {{ compare(p, "CD", "truth", "candidate_log", '"' ~ p.column ~ '"', '"' ~ p.truth ~ '"') }}
        AND "{{ p.teacher }}" IS NOT NULL{{ " AND NOT (probed AND deepest_stage = $stage_" ~ p.before_teacher ~ ")" if has_probes }}
    {% endif %}
    {% endif %}
    {% endfor %}
),

-- Averages are of decimals: sums of doubles would depend on which thread comes first.
averaged AS (
    SELECT
        stage,
        task,
        domain,
        reference,
        count(*) AS rows,
        sum((weight * prediction)::DECIMAL(24, 15)) / sum(weight::DECIMAL(24, 15)) AS mean_prediction,
        sum((weight * target)::DECIMAL(24, 15)) / sum(weight::DECIMAL(24, 15)) AS mean_reference,
        -sum((weight * (
            target * ln(greatest(least(prediction::DOUBLE, 1 - 1e-7), 1e-7))
            + (1 - target) * ln(1 - greatest(least(prediction::DOUBLE, 1 - 1e-7), 1e-7))
        ))::DECIMAL(24, 15)) / sum(weight::DECIMAL(24, 15)) AS entropy
    FROM compared
    GROUP BY stage, task, domain, reference
)

SELECT
    stage,
    task,
    domain,
    reference,
    rows,
    mean_prediction,
    mean_reference,
    CASE WHEN mean_reference > 0 THEN mean_prediction / mean_reference END AS calibration,
    CASE
        WHEN mean_reference > 0 AND mean_reference < 1
            THEN entropy / -(mean_reference * ln(mean_reference) + (1 - mean_reference) * ln(1 - mean_reference))
    END AS normalized_entropy
FROM averaged
ORDER BY stage, task, domain, reference
