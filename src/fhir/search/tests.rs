mod properties;

use super::*;
use crate::fhir::compartment::reference_targets;
use crate::request::query::Query;

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

#[test]
fn has_reaches_the_types_that_refer_here_and_whatever_follows() {
    check_all(&[
        (
            "Patient",
            "_has:Observation:patient:code=x",
            "has <Observation.patient<code [Observation]",
        ),
        (
            "Patient",
            "_has:Observation:patient:code:in=x",
            "has <Observation.patient<code:in [Observation]",
        ),
        ("Patient", "_has:Observation:subject:_id=x", "has <Observation.subject<_id [Observation]"),
        ("Patient", "_has:Group:member:_id=102", "has <Group.member<_id [Group]"),
        (
            "Patient",
            "_has:Observation:performer:custom=x",
            "has <Observation.performer<custom [Observation]",
        ),
        (
            "Patient",
            "_has:Observation:patient:_has:AuditEvent:entity:agent=x",
            "has <Observation.patient<<AuditEvent.entity<agent [Observation AuditEvent]",
        ),
        (
            "Patient",
            "_has:Encounter:patient:_has:Observation:encounter:_has:Provenance:target:recorded=x",
            "has <Encounter.patient<<Observation.encounter<<Provenance.target<recorded \
             [Encounter Observation Provenance]",
        ),
        (
            "Patient",
            "_has:Observation:patient:encounter:Encounter.location.name=x",
            "has <Observation.patient<encounter>Encounter>location>name \
             [Observation Encounter Location]",
        ),
        (
            "Patient",
            "_has:Encounter:patient:location._has:Encounter:location:status=x",
            "has <Encounter.patient<location><Encounter.location<status [Encounter Location]",
        ),
        ("*", "_has:Observation:patient:code=x", "has <Observation.patient<code [Observation]"),
    ]);
}

#[test]
fn has_that_the_definitions_do_not_know_or_that_is_incomplete_is_refused() {
    check_all(&[
        ("Patient", "_has:Observation:code:code=x", "search_has_unknown"),
        ("Patient", "_has:Observation:Patient:code=x", "search_has_unknown"),
        ("Patient", "_has:observation:patient:code=x", "search_has_unknown"),
        ("Patient", "_has:Nothing:patient:code=x", "search_has_unknown"),
        ("Patient", "_has:*:patient:code=x", "search_has_unknown"),
        ("Patient", "_has::patient:code=x", "search_has_unknown"),
        ("Patient", "_has:Observation::code=x", "search_has_unknown"),
        ("Patient", "_has:Observation:encounter:code=x", "search_has_unknown"),
        ("Patient", "_has:Observation:subject.encounter:code=x", "search_has_unknown"),
        ("Patient", "_has:Observation:subject:Patient:code=x", "search_modifier_unknown"),
        ("Patient", "_has:Observation:patient:_has:Encounter:patient:x=x", "search_has_unknown"),
        ("Patient", "_has:Observation:patient:_filter=x", "search_chain_unknown"),
        ("Patient", "_has:Observation:patient:_HAS:AuditEvent:entity:agent=x", "search_name_case"),
        ("Patient", "_has:Observation:patient:=x", "search_name_invalid"),
        ("Patient", "_has:Observation:patient=x", "search_name_invalid"),
        ("Patient", "_has:Observation=x", "search_name_invalid"),
        ("Patient", "_has:=x", "search_name_invalid"),
        ("Patient", "_has=Observation:patient:code", "search_name_invalid"),
        ("Patient", "_has.Observation=x", "search_name_invalid"),
        ("Patient", "_has:Observation:patient:_has=x", "search_name_invalid"),
    ]);
}

#[test]
fn a_way_has_eight_links_at_most() {
    let chain = |links: usize| format!("{}name=x", "part-of.".repeat(links));
    let has = |links: usize| format!("{}status=x", "_has:Encounter:part-of:".repeat(links));
    let mixed =
        |pairs: usize| format!("{}status=x", "part-of._has:Encounter:part-of:".repeat(pairs));
    for release in ALL {
        for (text, kind) in [(chain(8), "chain "), (has(8), "has "), (mixed(4), "chain ")] {
            let line = ask(release, "Encounter", &text);
            assert!(line.starts_with(kind) && line.ends_with(" [Encounter]"), "{text}: {line}");
        }
        for text in [chain(9), has(9), mixed(5), chain(500), has(500)] {
            assert_eq!(ask(release, "Encounter", &text), "search_chain_too_long", "{text}");
        }
    }
}

#[test]
fn an_include_reaches_what_it_puts_into_the_answer() {
    check_all(&[
        ("Encounter", "_include=Encounter:location", "include Encounter.location [Location]"),
        (
            "Encounter",
            "_include:iterate=Location:partof",
            "include iterate Location.partof [Location]",
        ),
        (
            "Encounter",
            "_include:recurse=Location:partof",
            "include iterate Location.partof [Location]",
        ),
        (
            "Observation",
            "_include=Observation:subject:Patient",
            "include Observation.subject [Patient]",
        ),
        ("Patient", "_include=Patient:link", "include Patient.link [Patient RelatedPerson]"),
        ("Patient", "_include=*", "include *.* [anything]"),
        ("Patient", "_include:iterate=*", "include iterate *.* [anything]"),
        ("Patient", "_include=Patient:*", "include Patient.* [anything]"),
        ("Patient", "_revinclude=*", "revinclude *.* [anything]"),
        ("Patient", "_revinclude=Provenance:*", "revinclude Provenance.* [Provenance]"),
        ("Patient", "_revinclude=Provenance:target", "revinclude Provenance.target [Provenance]"),
        (
            "Patient",
            "_revinclude=Observation:subject:Patient",
            "revinclude Observation.subject [Observation]",
        ),
        (
            "Patient",
            "_revinclude:iterate=AuditEvent:entity",
            "revinclude iterate AuditEvent.entity [AuditEvent]",
        ),
        ("*", "_include=Encounter:location", "include Encounter.location [Location]"),
    ]);
    check(
        R4,
        &[(
            "Observation",
            "_include=Observation:subject",
            "include Observation.subject [Device Group Location Patient]",
        )],
    );
}

#[test]
fn an_include_that_the_definitions_do_not_know_or_of_another_form_is_refused() {
    check_all(&[
        ("Observation", "_include=Observation:code", "search_include_unknown"),
        ("Observation", "_include=Observation:Subject", "search_include_unknown"),
        ("Observation", "_include=observation:subject", "search_include_unknown"),
        ("Observation", "_include=Nothing:subject", "search_include_unknown"),
        ("Observation", "_include=Observation:subject:Encounter", "search_include_unknown"),
        ("Observation", "_include=Observation:subject:Patient:Patient", "search_include_unknown"),
        ("Observation", "_include=Observation:subject:*", "search_include_unknown"),
        ("Observation", "_include=Observation:subject:", "search_include_unknown"),
        ("Observation", "_revinclude=Provenance:recorded", "search_include_unknown"),
        ("Observation", "_revinclude=Encounter:location:Patient", "search_include_unknown"),
        ("Observation", "_include=*:subject", "search_include_unknown"),
        ("Observation", "_include=*:*", "search_include_unknown"),
        ("Observation", "_include=:subject", "search_include_unknown"),
        ("Observation", "_include=Observation:*:Patient", "search_include_invalid"),
        ("Observation", "_include=Observation:", "search_include_invalid"),
        (
            "Observation",
            "_include=Observation:subject,Observation:encounter",
            "search_include_invalid",
        ),
        ("Observation", "_include=Observation:encounter.location", "search_include_invalid"),
        ("Observation", "_include= *", "search_include_invalid"),
        ("Observation", "_include=**", "search_include_invalid"),
        ("Observation", "_include=subject", "search_include_invalid"),
        ("Observation", "_include=", "search_include_invalid"),
        ("Observation", "_include:Iterate=*", "search_include_invalid"),
        ("Observation", "_include:logical=*", "search_include_invalid"),
        ("Observation", "_include:=*", "search_include_invalid"),
        ("Observation", "_include:iterate:recurse=*", "search_include_invalid"),
    ]);
}

#[test]
fn control_parameters_cursors_and_what_nobody_can_judge_are_told_apart() {
    check_all(&[
        ("Patient", "_count=10", "control _count"),
        ("Patient", "_summary=count", "control _summary"),
        ("Patient", "_elements=name", "control _elements"),
        ("Patient", "_total=accurate", "control _total"),
        ("Patient", "_format=json", "control _format"),
        ("Patient", "_pretty=true", "control _pretty"),
        ("Patient", "_maxresults=3", "control _maxresults"),
        ("Patient", "_score=true", "control _score"),
        ("Patient", "_elements:exclude=meta", "search_modifier_unknown"),
        ("Patient", "_summary:x=count", "search_modifier_unknown"),
        ("Patient", "_sort=name,-birthdate,_lastUpdated,-_id", "control _sort"),
        ("Patient", "_sort=", "control _sort"),
        ("Patient", "_sort=general-practitioner.name", "unjudged _sort"),
        ("Patient", "_sort=Practitioner:name", "unjudged _sort"),
        ("Patient", "_sort=name,-organization.name", "unjudged _sort"),
        ("Patient", "_sort=name birthdate", "unjudged _sort"),
        ("Patient", "_sort=--name", "unjudged _sort"),
        ("Patient", "_sort:desc=name", "search_modifier_unknown"),
        ("*", "_type=Patient", "types [Patient]"),
        ("*", "_type=Patient,Observation,Patient", "types [Patient Observation]"),
        ("Patient", "_type=Observation", "types [Observation]"),
        ("*", "_type=patient", "search_type_unknown"),
        ("*", "_type=Patient, Observation", "search_type_unknown"),
        ("*", "_type=Patient\\,Observation", "search_type_unknown"),
        ("*", "_type=Patient,", "search_type_unknown"),
        ("*", "_type=", "search_type_unknown"),
        ("*", "_type:not=Patient", "search_modifier_unknown"),
        ("Patient", "_offset=20", "control _offset"),
        ("Patient", "_page=2", "control _page"),
        ("Patient", "page=2", "control page"),
        ("Patient", "_offset=20x", "cursor _offset"),
        ("Patient", "_offset=-1", "cursor _offset"),
        ("Patient", "_page=eyJ", "cursor _page"),
        ("Patient", "_page=1234567890", "cursor _page"),
        ("Patient", "page=eyJ", "cursor page"),
        ("Patient", "page=", "cursor page"),
        ("Patient", "_getpages=x", "cursor _getpages"),
        ("Patient", "_getpagesoffset=2", "cursor _getpagesoffset"),
        ("Patient", "_pageId=x", "cursor _pageId"),
        ("Patient", "_bundletype=searchset", "cursor _bundletype"),
        ("Patient", "_cursor=x", "cursor _cursor"),
        ("Patient", "_page_token=x", "cursor _page_token"),
        ("Patient", "ct=x", "cursor ct"),
        ("Patient", "ct:x=x", "cursor ct"),
        ("Patient", "_filter=name eq x", "unjudged _filter"),
        ("Patient", "_query=x", "unjudged _query"),
        ("Patient", "_list=1", "unjudged _list"),
        ("Patient", "_list:not=1", "unjudged _list"),
        ("Patient", "_in=Group/1", "unjudged _in"),
        ("Patient", "_contained=both", "unjudged _contained"),
        ("Patient", "_contained=false", "unjudged _contained"),
        ("Patient", "_containedType=container", "unjudged _containedType"),
        ("Patient", "_graph=x", "unjudged _graph"),
        ("Patient", "_since=2020", "unjudged _since"),
        ("Patient", "_mdm=true", "unjudged _mdm"),
        ("Patient", "_cascade=delete", "unjudged _cascade"),
        ("Patient", "_whatever:x=1", "unjudged _whatever:x"),
        ("Patient", "_=1", "search_name_invalid"),
        ("Patient", "__include=*", "search_name_invalid"),
        ("Patient", "_1=1", "search_name_invalid"),
        ("Patient", "1=1", "search_name_invalid"),
        ("Patient", "-pageContext=1", "search_name_invalid"),
        ("Patient", "$x=1", "search_name_invalid"),
        ("Patient", "name$x=1", "search_name_invalid"),
        ("Patient", "name[x]=1", "search_name_invalid"),
        ("Patient", " name=1", "search_name_invalid"),
        ("Patient", "_include =*", "search_name_invalid"),
        ("Patient", ":exact=1", "search_name_invalid"),
        ("Patient", "=1", "search_name_invalid"),
        ("Patient", "n\u{e4}me=1", "search_name_invalid"),
    ]);
}

#[test]
fn a_name_with_a_meaning_of_its_own_is_taken_in_no_other_capitals() {
    for (name, kind) in SPECIAL {
        let text = match (*kind, *name) {
            (_, "_has") => "_has:Observation:patient:code=x".to_owned(),
            (Kind::Include, _) => format!("{name}=*"),
            (Kind::Types, _) => format!("{name}=Patient"),
            (Kind::Place, _) => format!("{name}=1"),
            _ => format!("{name}=x"),
        };
        let read = ask(R4, "Patient", &text);
        assert!(!read.starts_with("search_"), "{text}: {read}");
        let (_, rest) = text.split_at(name.len());
        for other in [name.to_ascii_uppercase(), first_capital(name)] {
            let text = format!("{other}{rest}");
            assert_eq!(ask(R4, "Patient", &text), "search_name_case", "{text}");
        }
    }
    assert_eq!(ask(R4, "Patient", "_lastupdated=2020"), "search_name_case");
    assert_eq!(ask(R4, "Patient", "_pageid=x"), "search_name_case");
}

/// The name with its first letter as a capital.
fn first_capital(name: &str) -> String {
    let place = name.find(|letter: char| letter.is_ascii_alphabetic()).unwrap();
    let is_first = |(at, letter): (usize, char)| match at == place {
        true => letter.to_ascii_uppercase(),
        false => letter,
    };
    name.char_indices().map(is_first).collect()
}

/// Known ways around a search's narrowing, as they come on the wire.
#[test]
fn no_known_attack_reads_as_a_harmless_criterion() {
    let cases = [
        ("_include%3Aiterate=Encounter:part-of", "include iterate Encounter.part-of [Encounter]"),
        ("_include:recurse=*", "include iterate *.* [anything]"),
        ("_revinclude:iterate=*", "revinclude iterate *.* [anything]"),
        ("%5Finclude=*", "include *.* [anything]"),
        ("%5finclude%3aiterate=%2A", "include iterate *.* [anything]"),
        ("_INCLUDE=*", "search_name_case"),
        ("_RevInclude=*", "search_name_case"),
        ("_include=+*", "search_include_invalid"),
        ("_include=%20*", "search_include_invalid"),
        ("%5Fhas:AuditEvent:entity:agent=x", "has <AuditEvent.entity<agent [AuditEvent]"),
        ("_has%3AAuditEvent%3Aentity%3Aagent=x", "has <AuditEvent.entity<agent [AuditEvent]"),
        ("subject%3APatient%2Ename=x", "chain subject>Patient>name [Patient]"),
        ("patient:Patient=other", "criterion patient:Patient"),
        ("patient:identifier=x", "criterion patient:identifier"),
        ("patient:not=me", "criterion patient:not"),
        ("patient:missing=true", "criterion patient:missing"),
        ("_id:not=me", "criterion _id:not"),
        ("_id=me", "criterion _id"),
        ("_revinclude=*", "revinclude *.* [anything]"),
        ("_list=$current-allergies", "unjudged _list"),
        ("_filter=patient+eq+other", "unjudged _filter"),
        ("_query=everything", "unjudged _query"),
        ("_contained=both", "unjudged _contained"),
        ("_containedType=contained", "unjudged _containedType"),
        ("_sort=subject.birthdate", "unjudged _sort"),
        ("_sort=subject%3APatient.birthdate", "unjudged _sort"),
        ("_summary=count", "control _summary"),
        ("_total=accurate", "control _total"),
        ("_elements=code", "control _elements"),
        ("_getpages=of-another-user", "cursor _getpages"),
        ("_getpagesoffset=0", "cursor _getpagesoffset"),
        ("subject:mdm=Patient/1", "search_modifier_unknown"),
    ];
    for (raw, expected) in cases {
        let query = Query::parse(raw).unwrap();
        let observation = resource(R4, "Observation");
        let asked = read(R4, Some(observation), &query.params()[0]);
        assert_eq!(line(&asked), expected, "{raw}");
    }
}

#[test]
fn a_value_is_split_at_the_commas_that_are_not_escaped() {
    let cases: [(&str, &[&str]); 12] = [
        ("", &[""]),
        ("me", &["me"]),
        ("me,other", &["me", "other"]),
        (r"me\,other", &["me,other"]),
        (r"me\\,other", &[r"me\", "other"]),
        (r"me\\\,other", &[r"me\,other"]),
        (r"\,", &[","]),
        (",", &["", ""]),
        ("a,,b,", &["a", "", "b", ""]),
        (r"s|a\|b", &["s|a|b"]),
        (r"a\$b$c", &["a$b$c"]),
        (r"\\", &[r"\"]),
    ];
    for (value, expected) in cases {
        assert_eq!(alternatives(value).unwrap(), expected, "{value}");
    }
    for value in [r"\", r"a\", r"a\b", r"\\\", r"a,\ ,b", r"\n", r"me\\\", "\\\u{e9}"] {
        assert_eq!(alternatives(value).unwrap_err().code, "search_escape", "{value}");
    }
}
