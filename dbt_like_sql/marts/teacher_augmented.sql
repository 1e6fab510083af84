-- description: What a student is trained on; impressions with their label (IMP), and candidates with their teacher's
--   prediction, what the next stage scored (CD) and, where the teacher labels that too, what the student's own stage
--   rejected (REJECTED, which are probes, or all where the teacher's features are known). A shown candidate that the teacher labelled stands in both; of a student with a
--   dependent or auxiliary task only in IMP, since these are trained on rows without a label, unless the teacher is of
--   another cascade, for which such a label is news. Where a student waits for labels, those of IMP are of an earlier
--   day's requests.
-- owner: team:ranking
-- scope: student
-- keys: [request_id, candidate_id, domain]
-- shard_key: request_id
-- columns:
--   request_id: {description: The request., type: identifier, not_null: true}
--   candidate_id: {description: The candidate., type: identifier, not_null: true}
--   requested_at: {description: When the request came in., type: TIMESTAMP WITH TIME ZONE, not_null: true}
--   domain:
--     description: IMP (label), CD (teacher, got beyond the student's stage) or REJECTED (teacher, did not).
--     type: VARCHAR
--     not_null: true
--     one_of: [IMP, CD, REJECTED]
--   explored: {description: Whether a randomised policy showed it., type: BOOLEAN, not_null: true}
--   propensity: {description: Probability with which it was shown., type: FLOAT, between: [0, 1]}
--   target: {description: The label or the teacher's prediction., type: FLOAT, not_null: true, between: [0, 1]}
--   weight: {description: 1 / sampling rate of the row; of a probe 1 / its rate., type: FLOAT, not_null: true, between: [1, null]}
--   <bid>: {description: The bid., type: FLOAT, not_null: true, between: [0, null]}
--   teacher: {description: Who says so; `label` for IMP., type: VARCHAR, not_null: true}
--   teacher_version: {description: Version of the teacher that this day was built with., type: VARCHAR, not_null: true}
--   <known_until>: {description: "When labels were read; null for CD.", type: TIMESTAMP WITH TIME ZONE}
--   withheld: {description: Whether the request is kept from training., type: BOOLEAN, not_null: true}
--   <label_task>: {description: "IMP: label of a further task; null on CD.", type: FLOAT, one_of: [0, 1]}
--   <taught_label>: {description: "CD: the teacher's prediction for a further task.", type: FLOAT, between: [0, 1]}
--   <given_probability>:
--     description: "CD: probability of what the task is given, by the teacher or else the student's stage; null on IMP."
--     type: FLOAT
--     between: [0, 1]
--   <representation>: {description: "CD: hidden layer of the teacher.", type: "FLOAT[]"}
--   <feature>: {description: Feature of the student or candidate of its selection., type: declared}
WITH considered AS (
    {% for table, weight in [("impressions", "1::FLOAT"), ("considerations", "weight")] %}
    {% if not loop.first %}
    UNION ALL
    {% endif %}
    SELECT
        request_id,
        candidate_id,
        requested_at,
        deepest_stage,
        explored,
        propensity,
        {{ weight }} AS weight
        {% if teacher.probes %}
        , {{ "probed" if table == "considerations" else "FALSE" }} AS probed
        , {{ "probe_rate" if table == "considerations" else "NULL::FLOAT" }} AS probe_rate
        {% endif %}
        {% if has_bid %}
        , bid
        {% endif %}
        {% for table_of, column in student.given if table_of == "considered" %}
        , "{{ column }}"
        {% endfor %}
        {% for feature in student.features %}
        {% if feature in student.features_of_shown %}
        -- Unknown when candidates are scored: the teacher's label is for its declared value, in any row.
        , nullif("{{ feature }}", "{{ feature }}") AS "{{ feature }}"
        {% else %}
        , "{{ feature }}"
        {% endif %}
        {% endfor %}
    FROM {{ table }}
    {% if student.unlabeled_only and table == "impressions" %}
    WHERE "{{ student.task }}" IS NULL
    {% endif %}
    {% endfor %}
),

augmented AS (
    SELECT
        request_id,
        candidate_id,
        requested_at,
        'IMP' AS domain,
        explored,
        propensity,
        "{{ student.task }}" AS target,
        1::FLOAT AS weight,
        'label' AS teacher
        {% if student.labels_corrected %}
        , known_until
        {% endif %}
        {% if has_bid %}
        , bid
        {% endif %}
        {% for task in student.label_tasks %}
        , "{{ task }}"
        {% endfor %}
        {% for label in student.taught_labels %}
        , NULL::FLOAT AS "{{ label }}"
        {% endfor %}
        {% if student.given %}
        , NULL::FLOAT AS given_probability
        {% endif %}
        {% for column in student.representation %}
        , NULL::FLOAT[] AS "{{ column }}"
        {% endfor %}
        {% for feature in student.features %}
        , "{{ feature }}"
        {% endfor %}
    FROM {{ student.labels }}
    WHERE
        "{{ student.task }}" IS NOT NULL
        -- A row that bypassed the student's stage may lack its features.
        AND deepest_stage IN (
            {% for stage in student.reached_by %}
            $stage_{{ stage }}{{ "," if not loop.last }}
            {% endfor %}
        )
    UNION ALL
    SELECT
        considered.request_id,
        considered.candidate_id,
        considered.requested_at,
        {% if student.rejected_by %}
        CASE WHEN considered.deepest_stage = $stage_{{ student.rejected_by }} THEN 'REJECTED' ELSE 'CD' END AS domain,
        {% else %}
        'CD' AS domain,
        {% endif %}
        considered.explored,
        considered.propensity,
        {% if student.corrected %}
        -- sigmoid(logit(p) + shift), with $teacher_odds = exp(shift).
        (
            teacher_labels."{{ student.teacher_label }}"::DOUBLE * $teacher_odds
            / (1 + teacher_labels."{{ student.teacher_label }}"::DOUBLE * ($teacher_odds - 1))
        )::FLOAT AS target,
        {% else %}
        teacher_labels."{{ student.teacher_label }}" AS target,
        {% endif %}
        {% if teacher.probes and teacher.probes == student.rejected_by %}
        CASE
            WHEN considered.deepest_stage = $stage_{{ student.rejected_by }} THEN 1 / considered.probe_rate
            ELSE considered.weight
        END::FLOAT AS weight,
        {% else %}
        considered.weight,
        {% endif %}
        $teacher AS teacher
        {% if student.labels_corrected %}
        , NULL AS known_until
        {% endif %}
        {% if has_bid %}
        , considered.bid
        {% endif %}
        {% for task in student.label_tasks %}
        , NULL::FLOAT AS "{{ task }}"
        {% endfor %}
        {% for label in student.taught_labels %}
        , teacher_labels."{{ label }}"
        {% endfor %}
        {% for table_of, column in student.given %}
        {{ "," if loop.first else "*" }} {{ table_of }}."{{ column }}"{{ " AS given_probability" if loop.last }}
        {% endfor %}
        {% for column in student.representation %}
        , teacher_labels."{{ column }}"
        {% endfor %}
        {% for feature in student.features %}
        , considered."{{ feature }}"
        {% endfor %}
    FROM considered
    INNER JOIN teacher_labels USING (request_id, candidate_id)
    WHERE
        teacher_labels."{{ student.teacher_label }}" IS NOT NULL
        AND (
            considered.deepest_stage IN (
                {% for stage in teacher.reached_by %}
                $stage_{{ stage }}{{ "," if not loop.last }}
                {% endfor %}
            )
            {% if teacher.probes and teacher.probes == student.rejected_by %}
            -- A probe of a later stage stands for rows that the student's own stage did not reject.
            OR (considered.probed AND considered.deepest_stage = $stage_{{ teacher.probes }})
            {% endif %}
        )
),

-- One hash a request, not a row.
requests AS (
    SELECT
        request_id,
        md5_number_lower(request_id::VARCHAR || $withheld_salt) % 10000 < $withheld_buckets AS withheld
    FROM (
        SELECT request_id FROM impressions
        UNION
        SELECT request_id FROM considerations
        {% if student.labels != "impressions" %}
        UNION
        SELECT request_id FROM {{ student.labels }}
        {% endif %}
    )
)

SELECT
    request_id,
    candidate_id,
    requested_at,
    domain,
    explored,
    propensity,
    target,
    weight,
    {% if has_bid %}
    bid,
    {% endif %}
    teacher,
    $teacher_version AS teacher_version,
    {% if student.labels_corrected %}
    known_until,
    {% endif %}
    {% if student.given %}
    given_probability,
    {% endif %}
    withheld
    {% for column in student.label_tasks + student.taught_labels + student.representation %}
    , "{{ column }}"
    {% endfor %}
    {% for feature in student.features %}
    , "{{ feature }}"
    {% endfor %}
FROM augmented
INNER JOIN requests USING (request_id)
ORDER BY request_id, candidate_id, domain
