//! What the FHIR server answers.

/// Head and body of the answer to a request that begins with this line.
pub(crate) fn answer(start: &str) -> (String, String) {
    let mut words = start.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path: Vec<&str> = target.split('?').next().unwrap_or_default().split('/').collect();
    let body = match path.as_slice() {
        [_, _, kind, id] => of_size(kind, id).unwrap_or_else(|| resource(kind, id)),
        _ if method == "POST" => {
            r#"{"resourceType":"Bundle","type":"batch-response","entry":[]}"#.to_owned()
        }
        [_, _, kind] if target.contains("code=mixed") => format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{}}},{{"resource":{}}}]}}"#,
            resource(kind, "ann-1"),
            resource(kind, "ben-1")
        ),
        _ => r#"{"resourceType":"Bundle","type":"searchset","total":0}"#.to_owned(),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head, body)
}

/// A small resource; one with an id such as `ann-1` is about `Patient/ann`.
fn resource(kind: &str, id: &str) -> String {
    match id.split_once('-') {
        None => format!(r#"{{"resourceType":"{kind}","id":"{id}","active":true}}"#),
        Some((patient, _)) => format!(
            r#"{{"resourceType":"{kind}","id":"{id}","meta":{{"versionId":"1"}},"status":"final","subject":{{"reference":"Patient/{patient}"}}}}"#
        ),
    }
}

/// The resource that an id such as `ann-20000-bytes` asks for.
fn of_size(kind: &str, id: &str) -> Option<String> {
    let (patient, bytes) = id.strip_suffix("-bytes")?.rsplit_once('-')?;
    let bytes: usize = bytes.parse().ok()?;
    let head = format!(
        r#"{{"resourceType":"{kind}","id":"{id}","subject":{{"reference":"Patient/{patient}"}},{REST},"component":["#
    );
    let components = (bytes.saturating_sub(head.len()) / (COMPONENT.len() + 1)).max(1);
    let components = vec![COMPONENT; components].join(",");
    Some(format!("{head}{components}]}}"))
}

const REST: &str = r#""meta":{"versionId":"1","lastUpdated":"2026-02-11T10:01:22.430+01:00","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]},"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"4548-4","display":"Hemoglobin A1c/Hemoglobin.total in Blood"}],"text":"Hemoglobin A1c"},"encounter":{"reference":"Encounter/9"},"effectiveDateTime":"2026-02-11T08:30:00+01:00","issued":"2026-02-11T10:01:22.430+01:00","performer":[{"reference":"Practitioner/17","display":"Dr. Ada Example"}]"#;

const COMPONENT: &str = r#"{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}]},"valueQuantity":{"value":107.5,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"},"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N","display":"Normal"}],"text":"Normal"}]}"#;
