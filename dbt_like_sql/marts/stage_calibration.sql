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
--   domain: {description: "IMP was shown; CD reached the next stage; SCORED is all that the stage scored", type: VARCHAR, not_null: true, one_of: [IMP, CD, SCORED]}
--   reference: {description: what predictions are compared with, type: VARCHAR, not_null: true, one_of: [label, teacher, truth]}
--   rows: {description: rows compared, type: BIGINT, not_null: true, between: [0, null]}
--   mean_prediction: {description: mean prediction, type: DOUBLE, between: [0, 1]}
--   mean_reference: {description: mean of the reference, type: DOUBLE, between: [0, 1]}
--   calibration: {description: mean prediction over mean reference, type: DOUBLE, between: [0, null]}
--   normalized_entropy: {description: cross entropy over that of the constant base rate, type: DOUBLE, between: [0, null]}
{# Averages are of decimals: sums of doubles would depend on which thread comes first. #}
{% macro compared(name, prediction, reference, condition) %}
    {% set rows = "filter (where " ~ prediction ~ " is not null and " ~ condition ~ ")" %}
    count(*) {{ rows }} as {{ name }}_rows,
    avg({{ prediction }}::decimal(18, 15)) {{ rows }} as {{ name }}_prediction,
    avg({{ reference }}::decimal(18, 15)) {{ rows }} as {{ name }}_reference,
    -avg((
        {{ reference }} * ln(greatest(least({{ prediction }}::double, 1 - 1e-7), 1e-7))
        + (1 - {{ reference }}) * ln(1 - greatest(least({{ prediction }}::double, 1 - 1e-7), 1e-7))
    )::decimal(18, 15)) {{ rows }} as {{ name }}_entropy,
{% endmacro %}
{% macro figures(name, prediction, domain, reference) %}
    union all
    select
        $stage_{{ prediction.stage }}, $task_{{ prediction.task }}, '{{ domain }}', '{{ reference }}',
        {{ name }}_rows, {{ name }}_prediction, {{ name }}_reference, {{ name }}_entropy
    from compared
{% endmacro %}
with
compared as (
    select
        {% for p in predictions %}
        {% set label = 'impressions."' ~ p.task ~ '"' %}
        {{ compared(p.column ~ "_imp_label", p.column, label, label ~ " is not null") }}
        {% if has_truth %}
        {{ compared(p.column ~ "_imp_truth", p.column, p.truth, "shown") }}
        {{ compared(p.column ~ "_scored_truth", p.column, p.truth, "true") }}
        {% endif %}
        {% if p.teacher %}
        {{ compared(p.column ~ "_cd_teacher", p.column, p.teacher, p.teacher ~ " is not null") }}
        {% if has_truth %}
        {{ compared(p.column ~ "_cd_truth", p.column, p.truth, p.teacher ~ " is not null") }}
        {% endif %}
        {% endif %}
        {% endfor %}
        count(*) as all_rows
    from (
        select
            request_id, candidate_id, shown
            {% for p in predictions %}
            , candidate_log.{{ p.column }}
            {% endfor %}
            {% if has_truth %}
            {% for task in tasks %}
            , candidate_log.{{ task.truth }}
            {% endfor %}
            {% endif %}
        from candidate_log
    ) as scored
    left join (
        select
            request_id, candidate_id
            {% for task in tasks %}
            , "{{ task.name }}"
            {% endfor %}
        from impressions
    ) as impressions
        on impressions.request_id = scored.request_id and impressions.candidate_id = scored.candidate_id
),
figures as (
    -- Gives the columns their names and types, also where no stage predicts anything.
    select
        ''::varchar as stage, ''::varchar as task, ''::varchar as domain, ''::varchar as reference,
        0::bigint as rows, 0::double as mean_prediction, 0::double as mean_reference, 0::double as entropy
    where false
    {% for p in predictions %}
    {{ figures(p.column ~ "_imp_label", p, "IMP", "label") }}
    {% if has_truth %}
    {{ figures(p.column ~ "_imp_truth", p, "IMP", "truth") }}
    {{ figures(p.column ~ "_scored_truth", p, "SCORED", "truth") }}
    {% endif %}
    {% if p.teacher %}
    {{ figures(p.column ~ "_cd_teacher", p, "CD", "teacher") }}
    {% if has_truth %}
    {{ figures(p.column ~ "_cd_truth", p, "CD", "truth") }}
    {% endif %}
    {% endif %}
    {% endfor %}
)
select
    stage,
    task,
    domain,
    reference,
    rows,
    mean_prediction,
    mean_reference,
    case when mean_reference > 0 then mean_prediction / mean_reference end as calibration,
    case when mean_reference > 0 and mean_reference < 1 then
        entropy / -(mean_reference * ln(mean_reference) + (1 - mean_reference) * ln(1 - mean_reference))
    end as normalized_entropy
from figures
order by stage, task, domain, reference
