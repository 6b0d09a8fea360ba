//! Answers as FHIR servers write them: compact JSON, `resourceType` first, codings, references and a
//! narrative in each resource. Their data is made up.

/// An answer, and how it is judged.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What it is.
    pub(crate) name: &'static str,
    /// How the request expects it.
    pub(crate) form: &'static str,
    /// The body.
    pub(crate) body: String,
}

/// The answers that are measured.
pub(crate) fn answers() -> Vec<Answer> {
    let answer = |name, form, body| Answer { name, form, body };
    vec![
        answer("searchset", "search", searchset(20_000, |_| "P")),
        answer("searchset", "search", searchset(200_000, |_| "P")),
        answer("$everything", "everything", searchset(7_000_000, |_| "P")),
        answer("every second foreign", "search", searchset(20_000, half)),
        answer("every second foreign", "search", searchset(200_000, half)),
        answer("every second foreign", "everything", searchset(7_000_000, half)),
        answer("by granular scopes", "granular", searchset(200_000, |_| "P")),
        answer("history", "history", history(200_000, "")),
        answer("history with a deletion", "history", history(200_000, DELETION)),
        answer("batch of searches", "batch", batch(10, 20_000)),
        answer("resource", "read", observation(2_000)),
        answer("resource", "read", observation(20_000)),
        answer("resource", "read", observation(200_000)),
        answer("resource", "read", observation(2_000_000)),
        answer("resource by its scopes", "granular read", observation(2_000_000)),
        answer("contained resources", "read", containing(200_000)),
    ]
}

fn half(place: usize) -> &'static str {
    if place.is_multiple_of(2) { "P" } else { "Q" }
}

/// Resources of several types, each about whom `patient` says, until the Bundle has about `bytes`.
fn searchset(bytes: usize, patient: impl Fn(usize) -> &'static str) -> String {
    let mut entries: Vec<String> = Vec::new();
    let mut length = 0;
    while length < bytes {
        let place = entries.len();
        let template = TEMPLATES[place % TEMPLATES.len()];
        let entry = format!(
            r#"{{"fullUrl":"https://api.example/fhir/{}","resource":{},"search":{{"mode":"match"}}}}"#,
            format_args!("{}/{place}", type_of(template)),
            filled(template, place, patient(place)),
        );
        length += entry.len() + 1;
        entries.push(entry);
    }
    bundle("searchset", &entries)
}

fn history(bytes: usize, newest: &str) -> String {
    let version = |place| {
        let resource = filled(TEMPLATES[0], 1, "P");
        let request = r#"{"method":"PUT","url":"Observation/1"}"#;
        let response = format!(r#"{{"status":"200 OK","etag":"W/\"{place}\""}}"#);
        format!(r#"{{"resource":{resource},"request":{request},"response":{response}}}"#)
    };
    let versions = (0..bytes / version(1).len()).map(version);
    let newest = (!newest.is_empty()).then(|| newest.to_owned());
    bundle("history", &newest.into_iter().chain(versions).collect::<Vec<_>>())
}

fn batch(searches: usize, bytes: usize) -> String {
    let entry = |_| {
        let found = searchset(bytes, |_| "P");
        format!(r#"{{"resource":{found},"response":{{"status":"200 OK"}}}}"#)
    };
    bundle("batch-response", &(0..searches).map(entry).collect::<Vec<_>>())
}

fn bundle(kind: &str, entries: &[String]) -> String {
    let link = r#"{"relation":"self","url":"https://api.example/fhir/Observation?patient=P"}"#;
    let meta = r#"{"lastUpdated":"2026-03-01T08:15:30.123+01:00"}"#;
    let (total, entries) = (entries.len(), entries.join(","));
    format!(
        r#"{{"resourceType":"Bundle","id":"b","meta":{meta},"type":"{kind}","total":{total},"link":[{link}],"entry":[{entries}]}}"#
    )
}

/// One Observation of about so many bytes.
fn observation(bytes: usize) -> String {
    let whole = filled(TEMPLATES[0], 1, "P");
    let components = bytes.saturating_sub(whole.len()) / COMPONENT.len();
    let component = |place: usize| COMPONENT.replace("{id}", &place.to_string());
    let components: Vec<String> = (0..components).map(component).collect();
    let end = format!(r#","component":[{}]}}"#, components.join(","));
    whole.strip_suffix('}').map(|start| format!("{start}{end}")).unwrap_or_default()
}

/// One Observation that contains about so many bytes of others.
fn containing(bytes: usize) -> String {
    let whole = filled(TEMPLATES[0], 1, "P");
    let count = bytes / whole.len();
    let contained = vec![whole.as_str(); count].join(",");
    let end = format!(r#","contained":[{contained}]}}"#);
    whole.strip_suffix('}').map(|start| format!("{start}{end}")).unwrap_or_default()
}

fn filled(template: &str, id: usize, patient: &str) -> String {
    template.replace("{id}", &id.to_string()).replace("{patient}", patient)
}

fn type_of(template: &str) -> &str {
    template.split('"').nth(3).unwrap_or_default()
}

/// The type that the searches of [`answers`] ask for has to be granted: all of these.
pub(crate) const TYPES: &[&str] = &[
    "Observation",
    "Condition",
    "MedicationRequest",
    "Encounter",
    "DiagnosticReport",
    "Practitioner",
];

const TEMPLATES: [&str; 5] = [
    r#"{"resourceType":"Observation","id":"{id}","meta":{"versionId":"1","lastUpdated":"2026-02-11T10:01:22.430+01:00","source":"urn:lab:a1","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Hemoglobin A1c</b></p><table><tr><td>Status</td><td>final</td></tr><tr><td>Value</td><td>6.80 %</td></tr></table></div>"},"identifier":[{"use":"official","system":"https://lab.example/observations","value":"20260211-{id}"}],"basedOn":[{"reference":"ServiceRequest/{id}"}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}],"text":"Laboratory"}],"code":{"coding":[{"system":"http://loinc.org","code":"4548-4","display":"Hemoglobin A1c/Hemoglobin.total in Blood"},{"system":"https://lab.example/codes","code":"HBA1C","display":"HbA1c"}],"text":"Hemoglobin A1c"},"subject":{"reference":"Patient/{patient}","display":"Jo Doe"},"encounter":{"reference":"Encounter/{id}"},"effectiveDateTime":"2026-02-11T08:30:00+01:00","issued":"2026-02-11T10:01:22.430+01:00","performer":[{"reference":"Practitioner/17","display":"Dr. Ada Example"},{"reference":"Organization/3"}],"valueQuantity":{"value":6.80,"unit":"%","system":"http://unitsofmeasure.org","code":"%"},"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"H","display":"High"}]}],"referenceRange":[{"low":{"value":4.0,"unit":"%"},"high":{"value":6.0,"unit":"%"},"text":"4.0 to 6.0"}]}"#,
    r#"{"resourceType":"Condition","id":"{id}","meta":{"versionId":"3","lastUpdated":"2026-01-05T09:00:01.002+01:00","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-problems-health-concerns"]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Type 2 diabetes mellitus (active), recorded 2021-06-14</p></div>"},"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/condition-assertedDate","valueDateTime":"2021-06-14"}],"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}]},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"problem-list-item","display":"Problem List Item"}]}],"severity":{"coding":[{"system":"http://snomed.info/sct","code":"6736007","display":"Moderate"}]},"code":{"coding":[{"system":"http://snomed.info/sct","code":"44054006","display":"Diabetes mellitus type 2"},{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"E11.9"}],"text":"Type 2 diabetes"},"subject":{"reference":"Patient/{patient}"},"encounter":{"reference":"Encounter/{id}"},"onsetDateTime":"2021-06-01","recordedDate":"2021-06-14","recorder":{"reference":"Practitioner/17","display":"Dr. Ada Example"},"asserter":{"reference":"Practitioner/17"},"note":[{"authorReference":{"reference":"Practitioner/17"},"time":"2026-01-05T09:00:00+01:00","text":"Well controlled; \u201cno changes\u201d for now.\nNext visit in three months."}]}"#,
    r#"{"resourceType":"MedicationRequest","id":"{id}","meta":{"versionId":"1","lastUpdated":"2026-02-20T14:12:00.000+01:00"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Metformin 500 mg, one tablet twice daily with meals</div>"},"identifier":[{"system":"https://ehr.example/prescriptions","value":"RX-{id}"}],"status":"active","intent":"order","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/medicationrequest-category","code":"outpatient","display":"Outpatient"}]}],"priority":"routine","medicationCodeableConcept":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"860975","display":"metformin hydrochloride 500 MG Oral Tablet"}],"text":"Metformin 500 mg"},"subject":{"reference":"Patient/{patient}","display":"Jo Doe"},"encounter":{"reference":"Encounter/{id}"},"authoredOn":"2026-02-20T14:11:58+01:00","requester":{"reference":"Practitioner/17","display":"Dr. Ada Example"},"reasonReference":[{"reference":"Condition/{id}"}],"dosageInstruction":[{"sequence":1,"text":"1 tablet twice daily with meals","timing":{"repeat":{"frequency":2,"period":1,"periodUnit":"d"},"code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation","code":"BID"}]}},"route":{"coding":[{"system":"http://snomed.info/sct","code":"26643006","display":"Oral route"}]},"doseAndRate":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/dose-rate-type","code":"ordered"}]},"doseQuantity":{"value":1,"unit":"tablet"}}]}],"dispenseRequest":{"validityPeriod":{"start":"2026-02-20","end":"2027-02-20"},"numberOfRepeatsAllowed":3,"quantity":{"value":180,"unit":"tablet"}}}"#,
    r#"{"resourceType":"Encounter","id":"{id}","meta":{"versionId":"2","lastUpdated":"2026-02-11T09:10:00.000+01:00"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Outpatient visit on 11 February 2026</div>"},"identifier":[{"use":"official","system":"https://ehr.example/visits","value":"V-{id}"}],"status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB","display":"ambulatory"},"type":[{"coding":[{"system":"http://www.ama-assn.org/go/cpt","code":"99213","display":"Office or other outpatient visit, established patient"}],"text":"Follow-up"}],"serviceType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/service-type","code":"124","display":"General Practice"}]},"subject":{"reference":"Patient/{patient}","display":"Jo Doe"},"participant":[{"type":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"PPRF","display":"primary performer"}]}],"period":{"start":"2026-02-11T08:20:00+01:00","end":"2026-02-11T08:55:00+01:00"},"individual":{"reference":"Practitioner/17","display":"Dr. Ada Example"}}],"period":{"start":"2026-02-11T08:20:00+01:00","end":"2026-02-11T08:55:00+01:00"},"reasonCode":[{"coding":[{"system":"http://snomed.info/sct","code":"185349003","display":"Encounter for check up"}]}],"location":[{"location":{"reference":"Location/4","display":"Room 12"},"status":"completed"}],"serviceProvider":{"reference":"Organization/3","display":"Clinic Example"}}"#,
    r#"{"resourceType":"DiagnosticReport","id":"{id}","meta":{"versionId":"1","lastUpdated":"2026-02-11T12:00:00.000+01:00"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><h3>Metabolic panel</h3><ul><li>Glucose 132 mg/dL</li><li>Creatinine 0.9 mg/dL</li><li>Sodium 139 mmol/L</li></ul></div>"},"contained":[{"resourceType":"Practitioner","id":"p1","name":[{"family":"Example","given":["Ada"],"prefix":["Dr."]}]}],"identifier":[{"system":"https://lab.example/reports","value":"R-{id}"}],"basedOn":[{"reference":"ServiceRequest/{id}"}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"LAB","display":"Laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"24323-8","display":"Comprehensive metabolic 2000 panel - Serum or Plasma"}],"text":"Metabolic panel"},"subject":{"reference":"Patient/{patient}","display":"Jo Doe"},"encounter":{"reference":"Encounter/{id}"},"effectiveDateTime":"2026-02-11T08:30:00+01:00","issued":"2026-02-11T12:00:00.000+01:00","performer":[{"reference":"Organization/3"}],"resultsInterpreter":[{"reference":"Practitioner/17"}],"result":[{"reference":"Observation/{id}1","display":"Glucose"},{"reference":"Observation/{id}2","display":"Creatinine"},{"reference":"Observation/{id}3","display":"Sodium"},{"reference":"Observation/{id}4","display":"Potassium"}],"conclusion":"Glucose slightly raised; everything else within its range."}"#,
];

const DELETION: &str = r#"{"request":{"method":"DELETE","url":"Observation/1"},"response":{"status":"204 No Content"}}"#;

const COMPONENT: &str = r#"{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}],"text":"Systolic {id}"},"valueQuantity":{"value":128.5,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"},"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N"}]}]}"#;
