use super::*;
use crate::fhir::compartment::reference_targets;

use Release::{R4, R4B, R5};

const ALL: [Release; 3] = [R4, R4B, R5];

fn param(name: &str, value: &str) -> Param {
    Param { name: name.to_owned(), value: value.to_owned() }
}

fn resource(release: Release, name: &str) -> ResourceType {
    ResourceType::parse(release, name).unwrap()
}

fn names(types: &[ResourceType]) -> String {
    types.iter().map(|resource| resource.name()).collect::<Vec<_>>().join(" ")
}

fn modified(code: &str, modifier: Option<&str>) -> String {
    modifier.map_or(code.to_owned(), |modifier| format!("{code}:{modifier}"))
}

fn links(way: &Way<'_>) -> String {
    let link = |link: &Link<'_>| match link {
        Link::To { parameter, restricted: None, .. } => format!("{parameter}>"),
        Link::To { parameter, restricted: Some(to), types } => {
            assert_eq!(types, &[*to]);
            format!("{parameter}>{}>", to.name())
        }
        Link::From { resource, parameter } => format!("<{}.{parameter}<", resource.name()),
    };
    way.links.iter().map(link).collect::<String>() + &modified(way.code, way.modifier)
}

/// What was asked for, in one line; the code of the reason where it can't be told.
fn line(asked: &Result<Asked<'_>, &'static Reason>) -> String {
    match asked {
        Err(reason) => reason.code.to_owned(),
        Ok(Asked::Criterion { code, modifier, types }) if types.is_empty() => {
            format!("criterion {}", modified(code, *modifier))
        }
        Ok(Asked::Criterion { code, modifier, types }) => {
            format!("criterion {} [{}]", modified(code, *modifier), names(types))
        }
        Ok(Asked::Chain { first, first_type, types, way }) => {
            let Some(Link::To { parameter, restricted, .. }) = way.links.first() else {
                panic!("a chain begins with a link onward");
            };
            assert_eq!((first, first_type), (parameter, restricted));
            format!("chain {} [{}]", links(way), names(types))
        }
        Ok(Asked::Has { types, way }) => format!("has {} [{}]", links(way), names(types)),
        Ok(Asked::Include(include)) => {
            let reverse = if include.reverse { "revinclude" } else { "include" };
            let iterate = if include.iterate { " iterate" } else { "" };
            let source = include.source.map_or("*", ResourceType::name);
            let parameter = include.parameter.unwrap_or("*");
            let included = match &include.included {
                Included::All => "anything".to_owned(),
                Included::Types(types) => names(types),
            };
            format!("{reverse}{iterate} {source}.{parameter} [{included}]")
        }
        Ok(Asked::Control(name)) => format!("control {name}"),
        Ok(Asked::Types(types)) => format!("types [{}]", names(types)),
        Ok(Asked::Cursor(name)) => format!("cursor {name}"),
        Ok(Asked::Unjudged(name)) => format!("unjudged {name}"),
    }
}

/// Reads `name=value` in a search of a type; of all types for `*`.
fn ask(release: Release, searched: &str, text: &str) -> String {
    let searched = (searched != "*").then(|| resource(release, searched));
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    line(&read(release, searched, &param(name, value)))
}

fn check(release: Release, cases: &[(&str, &str, &str)]) {
    for (searched, text, expected) in cases {
        assert_eq!(&ask(release, searched, text), expected, "{release:?} {searched}?{text}");
    }
}

fn check_all(cases: &[(&str, &str, &str)]) {
    for release in ALL {
        check(release, cases);
    }
}

#[test]
fn a_criterion_is_its_code_and_a_modifier_that_fhir_has() {
    check_all(&[
        ("Observation", "code=8480-6", "criterion code"),
        ("Observation", "code:in=http://x", "criterion code:in"),
        ("Observation", "code:not=a,b", "criterion code:not"),
        ("Observation", "code:missing=true", "criterion code:missing"),
        ("Observation", "code:text-advanced=x", "criterion code:text-advanced"),
        ("Observation", "value-quantity=gt5", "criterion value-quantity"),
        ("Observation", "subject=Patient/1", "criterion subject"),
        ("Observation", "subject:Patient=1", "criterion subject:Patient"),
        ("Observation", "patient:identifier=x", "criterion patient:identifier"),
        ("Observation", "patient:not=1", "criterion patient:not"),
        ("Observation", "patient:missing=false", "criterion patient:missing"),
        ("Observation", "SUBJECT=Patient/1", "criterion SUBJECT"),
        ("Observation", "of-the-house=1", "criterion of-the-house"),
        ("Observation", "of_the_house:exact=1", "criterion of_the_house:exact"),
        ("Patient", "_id=1", "criterion _id"),
        ("Patient", "_id:not=1", "criterion _id:not"),
        ("Patient", "_lastUpdated=gt2020", "criterion _lastUpdated"),
        ("Patient", "_tag:not=x", "criterion _tag:not"),
        ("Patient", "_profile:below=x", "criterion _profile:below"),
        ("Patient", "_security=R", "criterion _security"),
        ("Patient", "_source=x", "criterion _source"),
        ("Patient", "_language=x", "criterion _language"),
        ("Patient", "_text=x", "criterion _text"),
        ("Patient", "_content=x", "criterion _content"),
        ("*", "_id=1", "criterion _id"),
        ("Observation", "code:mdm=1", "search_modifier_unknown"),
        ("Observation", "code:=1", "search_modifier_unknown"),
        ("Observation", "code:IN=1", "search_modifier_unknown"),
        ("Observation", "code:in:in=1", "search_modifier_unknown"),
        ("Observation", "subject:patient=1", "search_modifier_unknown"),
        ("Observation", "subject:Person.x=1", "search_chain_unknown"),
        ("Observation", "subject:iterate=1", "search_modifier_unknown"),
        ("Patient", "_id:mdm=1", "search_modifier_unknown"),
        ("Patient", "_id:x.y=1", "search_name_invalid"),
        ("Observation", "subject:in=Group/1", "search_modifier_unknown"),
        ("Observation", "Subject:not-in=List/1", "search_modifier_unknown"),
    ]);
}

#[test]
fn a_hierarchy_of_references_reaches_what_is_referred_to() {
    check_all(&[
        ("Encounter", "location:below=Location/1", "criterion location:below [Location]"),
        ("Encounter", "location:above=Location/1", "criterion location:above [Location]"),
        ("Encounter", "location:contains=Location/1", "criterion location:contains [Location]"),
        ("Encounter", "LOCATION:below=Location/1", "criterion LOCATION:below [Location]"),
        ("Encounter", "location=Location/1", "criterion location"),
        ("Observation", "code:below=x", "criterion code:below"),
        (
            "Observation",
            "encounter:Encounter.location:below=1",
            "chain encounter>Encounter>location:below [Encounter Location]",
        ),
    ]);
}

#[test]
fn a_chain_reaches_every_type_it_may_pass_or_end_on() {
    check_all(&[
        ("Observation", "subject:Patient.name=x", "chain subject>Patient>name [Patient]"),
        (
            "Observation",
            "patient:Patient.name:exact=x",
            "chain patient>Patient>name:exact [Patient]",
        ),
        ("Observation", "patient:Patient._id=1", "chain patient>Patient>_id [Patient]"),
        ("Observation", "patient:Patient._tag=1", "chain patient>Patient>_tag [Patient]"),
        ("Observation", "patient:Patient.link=Patient/1", "chain patient>Patient>link [Patient]"),
        (
            "Observation",
            "patient:Patient.link:Patient.name=x",
            "chain patient>Patient>link>Patient>name [Patient]",
        ),
        (
            "Observation",
            "patient:Patient.link.name=x",
            "chain patient>Patient>link>name [Patient RelatedPerson]",
        ),
        (
            "Observation",
            "encounter:Encounter.location.name=x",
            "chain encounter>Encounter>location>name [Encounter Location]",
        ),
        (
            "Observation",
            "encounter:Encounter.service-provider.partof.address-city=x",
            "chain encounter>Encounter>service-provider>partof>address-city \
             [Encounter Organization]",
        ),
        (
            "Encounter",
            "patient:Patient.custom-code=x",
            "chain patient>Patient>custom-code [Patient]",
        ),
        (
            "Encounter",
            "patient:Patient._has:Group:member:_id=102",
            "chain patient>Patient><Group.member<_id [Patient Group]",
        ),
        (
            "Encounter",
            "patient:Patient._has:Observation:patient:encounter:Encounter.location.name=x",
            "chain patient>Patient><Observation.patient<encounter>Encounter>location>name \
             [Patient Observation Encounter Location]",
        ),
    ]);
}

#[test]
fn a_link_without_a_type_leads_to_every_target_that_the_release_knows() {
    check(
        R4,
        &[
            ("Observation", "subject.name=x", "chain subject>name [Device Group Location Patient]"),
            (
                "Observation",
                "subject.organization.name=x",
                "chain subject>organization>name [Device Group Location Patient Organization]",
            ),
            ("DiagnosticReport", "patient.name=x", "chain patient>name [Group Patient]"),
            ("Encounter", "practitioner.name=x", "chain practitioner>name [Practitioner]"),
            (
                "AllergyIntolerance",
                "recorder.name=x",
                "chain recorder>name [Patient Practitioner PractitionerRole RelatedPerson]",
            ),
        ],
    );
    check(R5, &[("DiagnosticReport", "patient.name=x", "chain patient>name [Patient]")]);
    // What a parameter of a search over all types refers to in any of them.
    let text = ask(R4, "*", "subject.name=x");
    assert!(text.contains("Patient") && text.contains("Medication"), "{text}");
    // A reference to anything.
    let focus = param("focus.x", "");
    let observation = resource(R4, "Observation");
    let asked = read(R4, Some(observation), &focus).unwrap();
    let targets = reference_targets(R4, observation, "focus").unwrap();
    assert_eq!(asked.types().len(), targets.len());
    assert!(targets.len() > 140);
}

#[test]
fn the_releases_differ_where_their_definitions_do() {
    let cases = [
        (R4, "Task", "patient.name=x", "chain patient>name [Patient]"),
        (
            R4,
            "AllergyIntolerance",
            "asserter:Patient.name=x",
            "chain asserter>Patient>name [Patient]",
        ),
        (R5, "AllergyIntolerance", "asserter:Patient.name=x", "search_chain_unknown"),
        (R4, "AllergyIntolerance", "participant:Patient.name=x", "search_chain_unknown"),
        (
            R5,
            "AllergyIntolerance",
            "participant:Patient.name=x",
            "chain participant>Patient>name [Patient]",
        ),
        (R4, "Account", "guarantor:Patient.name=x", "search_chain_unknown"),
        (R5, "Account", "guarantor:Patient.name=x", "chain guarantor>Patient>name [Patient]"),
        (R4, "Encounter", "_include=Encounter:careteam", "search_include_unknown"),
        (R5, "Encounter", "_include=Encounter:careteam", "include Encounter.careteam [CareTeam]"),
        (R4, "Patient", "_has:Media:subject:type=x", "has <Media.subject<type [Media]"),
        (R4B, "Patient", "_has:Media:subject:type=x", "has <Media.subject<type [Media]"),
        (R5, "Patient", "_has:Media:subject:type=x", "search_has_unknown"),
        (R4, "Patient", "_revinclude=EncounterHistory:*", "search_include_unknown"),
        (
            R5,
            "Patient",
            "_revinclude=EncounterHistory:*",
            "revinclude EncounterHistory.* [EncounterHistory]",
        ),
        (R4, "*", "_type=Patient,ActorDefinition", "search_type_unknown"),
        (R5, "*", "_type=Patient,ActorDefinition", "types [Patient ActorDefinition]"),
    ];
    for (release, searched, text, expected) in cases {
        assert_eq!(ask(release, searched, text), expected, "{release:?} {searched}?{text}");
    }
}

#[test]
fn a_chain_with_a_link_that_is_not_in_the_definitions_cannot_be_judged() {
    check_all(&[
        ("Observation", "code.text=x", "search_chain_unknown"),
        ("Observation", "Subject.name=x", "search_chain_unknown"),
        ("Observation", "of-the-house.name=x", "search_chain_unknown"),
        ("Observation", "Patient.name=x", "search_chain_unknown"),
        ("Observation", "subject:Encounter.name=x", "search_chain_unknown"),
        ("Observation", "subject:patient.name=x", "search_chain_unknown"),
        ("Observation", "subject:.name=x", "search_chain_unknown"),
        ("Observation", "subject:missing.name=x", "search_chain_unknown"),
        ("Observation", "subject:identifier.name=x", "search_chain_unknown"),
        ("Observation", "subject:Patient:Patient.name=x", "search_chain_unknown"),
        ("Observation", "patient.name.family=x", "search_chain_unknown"),
        ("Observation", "patient._list=x", "search_chain_unknown"),
        ("Observation", "patient._filter=x", "search_chain_unknown"),
        ("Observation", "patient._in=x", "search_chain_unknown"),
        ("Observation", "patient._include=x", "search_chain_unknown"),
        ("Observation", "patient._type=x", "search_chain_unknown"),
        ("Observation", "patient._whatever=x", "search_chain_unknown"),
        ("Observation", "patient.name:mdm=x", "search_modifier_unknown"),
        ("Observation", "patient._ID=x", "search_name_case"),
        ("Observation", "patient._HAS:Group:member:_id=x", "search_name_case"),
        ("Observation", "patient._has=x", "search_name_invalid"),
        ("Observation", "patient.=x", "search_name_invalid"),
        ("Observation", "patient..name=x", "search_name_invalid"),
        ("Observation", ".name=x", "search_name_invalid"),
        ("Observation", "patient.na$me=x", "search_name_invalid"),
        ("Observation", "_id.name=x", "search_name_invalid"),
        ("Observation", "_include.name=x", "search_name_invalid"),
        ("Observation", "_include.x:iterate=*", "search_name_invalid"),
    ]);
}
