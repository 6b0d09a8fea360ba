//! The stages of a request one by one, each with what the one before it made.

use core::time::Duration;
use std::hint::black_box;
use std::rc::Rc;

use phiward::audit::{self, Discretion, EventId, Origin, Outcome, What, Who};
use phiward::base::capabilities::Capabilities;
use phiward::binding;
use phiward::config::Configuration;
use phiward::fhir::{self, Routed};
use phiward::forward;
use phiward::limits::{self, AdmittedToken, Limits};
use phiward::policy::{self, Evidence, Grants, Permit, Stored};
use phiward::request::{self, Head, Headers};
use phiward::revocation::{self, Checked, Freshness, Revocation};
use phiward::token::{self, Keys};

use super::client::{Asked, Counting, configuration};
use super::measured::{ROUNDS, Spread, once};

/// The stages, in order.
const NAMES: [&str; 6] =
    ["head", "classification", "scopes, once", "decision", "narrowing", "event"];

/// A permitted request, and all that was worked out for it.
struct Stages {
    config: Configuration,
    discretion: Discretion,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    token: AdmittedToken,
    grants: Rc<Grants>,
    head: Head,
    request: fhir::Request,
    permit: Box<Permit>,
}

/// Prints what each stage of these requests takes.
pub(crate) fn print(asked: &[Asked]) {
    println!("µs of the stages             {}", NAMES.map(|name| format!("{name:>15}")).concat());
    for asked in asked.iter().filter(|asked| asked.allowed) {
        let stages = Stages::of(asked);
        let mut times = vec![Vec::new(); NAMES.len()];
        for _ in 0..ROUNDS {
            for (stage, times) in times.iter_mut().enumerate() {
                times.push(once(|| stages.run(stage)));
            }
        }
        let medians = times.into_iter().map(|times| format!("{:>15.2}", Spread::of(times).median));
        println!("{:<28} {}", asked.name, medians.collect::<String>());
    }
}

impl Stages {
    fn of(asked: &Asked) -> Stages {
        let (config, caps, fields) = (configuration(), Counting::new(), asked.headers());
        let token = admitted(&fields, &config, &caps);
        let grants = Rc::new(Grants::of(token.claims(), &config.fhir, &config.smart));
        let head = request::read(Headers::new(fields.clone())).unwrap();
        let request = routed(&head, &config);
        let permit = permit(&token, &grants, &request, &head, &config);
        let discretion = Discretion::new(&["patient".to_owned()], None);
        Stages { config, discretion, fields, token, grants, head, request, permit }
    }

    fn run(&self, stage: usize) {
        let Stages { config, token, grants, head, request, permit, .. } = self;
        match stage {
            0 => drop(black_box(request::read(Headers::new(self.fields.clone())))),
            1 => drop(black_box(fhir::route(head, &config.fhir))),
            2 => drop(black_box(Grants::of(token.claims(), &config.fhir, &config.smart))),
            3 => drop(black_box(self::permit(token, grants, request, head, config))),
            4 => {
                let claims = Some(token.claims());
                drop(black_box(forward::forward(permit, head, None, claims, &config.forward)));
            }
            _ => drop(black_box(self.event().line(&self.discretion))),
        }
    }

    fn event(&self) -> audit::Event<'_> {
        let claims = self.token.claims();
        let outcome = Outcome {
            status: Some(200),
            bytes: 1234,
            duration: Duration::from_micros(12_346),
            failure: None,
        };
        audit::Event {
            time: Counting::new().now(),
            id: EventId { instance: 0x5f1c_0d3e_9a7b_2c44, count: 17 },
            part_of: None,
            request_id: Some(b"5c2f0d3e-6b5b-4f0e-9b43-7d1f3f6f1c55"),
            decision: audit::Decision::Allow,
            observe: false,
            who: Some(Who::of(claims)),
            from: Origin { address: Some(b"10.0.0.7:51234"), tls: Some(b"TLSv1.3") },
            what: What { method: Some(b"GET"), ..What::of(&self.request.interaction) },
            outcome,
            patients: claims.patient.as_deref().into_iter().collect(),
            unread: false,
            scopes: self.permit.allowed_by().into_iter().collect(),
            narrowed: Vec::new(),
            removed: None,
            revocation: Some(Freshness::Fresh),
        }
    }
}

fn routed(head: &Head, config: &Configuration) -> fhir::Request {
    match fhir::route(head, &config.fhir).unwrap() {
        Routed::Fhir(request) => request,
        Routed::Passthrough => panic!("no FHIR request"),
    }
}

fn permit(
    token: &AdmittedToken,
    grants: &Rc<Grants>,
    request: &fhir::Request,
    head: &Head,
    config: &Configuration,
) -> Box<Permit> {
    let (stored, body) = (Stored::default(), Some(&b""[..]));
    let evidence = Evidence::new(body, &stored);
    match policy::decide(token, grants, request, head, evidence, &config.fhir, &config.smart) {
        Ok(policy::Decision::Permit(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

fn admitted(
    fields: &[(Vec<u8>, Vec<u8>)],
    config: &Configuration,
    caps: &dyn Capabilities,
) -> AdmittedToken {
    let keys = Keys::new(&config.issuers);
    let authorization = fields.iter().filter(|(name, _)| name == b"authorization");
    let raw = token::extract(authorization.map(|(_, value)| value.as_slice())).unwrap();
    let mut introspection = token::Introspection::default();
    let verified = token::verify(&raw, &config.issuers, &keys, &mut introspection, caps);
    let bound = binding::bind(verified.unwrap_or_else(|bad| panic!("{bad:?}"))).unwrap();
    let mut lists = Revocation::new(None, &config.issuers);
    let live = revocation::check(bound, &mut lists, &mut Checked::default(), caps).unwrap();
    limits::admit(live, &Limits::new(None), caps).unwrap()
}
