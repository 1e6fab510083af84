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
{% macro reached(stages) -%}
    deepest_stage IN ({% for stage in stages %}$stage_{{ stage }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}
-- A row of the log is read once for each reference, with the domains that it is of.
{% macro compare(prediction, reference, table, column, imp="FALSE", cd="FALSE", scored="FALSE", weight="1") %}
    UNION ALL
    SELECT
        $stage_{{ prediction.stage }}, $task_{{ prediction.task }}, '{{ reference }}',
        {{ imp }}, {{ cd }}, {{ scored }},
        "{{ prediction.column }}", "{{ column }}", {{ weight }}
    FROM {{ table }}
    WHERE "{{ prediction.column }}" IS NOT NULL AND "{{ column }}" IS NOT NULL
{% endmacro %}
WITH compared AS (
    -- Gives the columns their names and types, also where no stage predicts anything.
    SELECT
        ''::VARCHAR AS stage, ''::VARCHAR AS task, ''::VARCHAR AS reference,
        FALSE AS imp, FALSE AS cd, FALSE AS scored,
        0::FLOAT AS prediction, 0::FLOAT AS target, 1::DOUBLE AS weight
    WHERE FALSE
    {% for p in predictions %}
    {% set probe = "probed AND deepest_stage = $stage_" ~ p.before_teacher %}
    {% set handed_on = "NOT (" ~ probe ~ ")" if has_probes else "TRUE" %}
    {{ compare(p, "label", "impressions", p.task, imp="TRUE") }}
    {% if p.teacher and has_probes and p.before_teacher == p.stage %}
    -- What was handed on counts once, also as a probe of a later stage; a probe of this one for all that it stands for.
    -- Without a probe nothing stands for what the stage rejected.
    {{ compare(
        p, "teacher", "candidate_log", p.teacher, cd=handed_on,
        scored="(" ~ reached(p.teacher_reached_by) ~ " OR (" ~ probe ~ ")) AND (SELECT bool_or(" ~ probe ~ ") FROM candidate_log)",
        weight="CASE WHEN " ~ probe ~ " THEN 1 / probe_rate ELSE 1 END"
    ) }}
    {% elif p.teacher %}
    {{ compare(p, "teacher", "candidate_log", p.teacher, cd=handed_on) }}
    {% endif %}
    {% if has_truth %}
    -- Probes of the stage before have a prediction and were not handed on to this stage.
    {{ compare(
        p, "truth", "candidate_log", p.truth, imp="shown",
        cd='"' ~ p.teacher ~ '" IS NOT NULL AND ' ~ handed_on if p.teacher else "FALSE",
        scored=reached(p.reached_by) if has_probes else "TRUE"
    ) }}
    {% endif %}
    {% endfor %}
),

-- Sums are of decimals: those of doubles would depend on which thread comes first.
summed AS (
    SELECT
        stage,
        task,
        reference,
        imp,
        cd,
        scored,
        count(*) AS rows,
        sum(weight::DECIMAL(24, 15)) AS weights,
        sum((weight * prediction)::DECIMAL(24, 15)) AS predictions,
        sum((weight * target)::DECIMAL(24, 15)) AS targets,
        -sum((weight * (
            target * ln(greatest(least(prediction::DOUBLE, 1 - 1e-7), 1e-7))
            + (1 - target) * ln(1 - greatest(least(prediction::DOUBLE, 1 - 1e-7), 1e-7))
        ))::DECIMAL(24, 15)) AS entropies
    FROM compared
    GROUP BY stage, task, reference, imp, cd, scored
),

by_domain AS (
    {% for domain in ["IMP", "CD", "SCORED"] %}
    {{ "UNION ALL" if not loop.first }}
    SELECT *, '{{ domain }}' AS domain
    FROM summed
    WHERE {{ domain | lower }}
    {% endfor %}
),

averaged AS (
    SELECT
        stage,
        task,
        domain,
        reference,
        sum(rows)::BIGINT AS rows,
        sum(predictions) / sum(weights) AS mean_prediction,
        sum(targets) / sum(weights) AS mean_reference,
        sum(entropies) / sum(weights) AS entropy
    FROM by_domain
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
