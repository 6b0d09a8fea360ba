//! The report itself: what every form of it is made from, and what is written as JSON.

use serde::Serialize;

use super::accesses::Access;
use super::exports::Export;
use super::filter::Filter;
use super::histogram::Histogram;
use super::refusals::{Buckets, Refusals};
use super::streams::Chain;
use super::tally::{Decisions, ISSUED_BY, Tally};
use super::top::{Count, Top};
use super::{Options, words};
use crate::base::time::{Instant, UnixSeconds};
use crate::cli::audit::read::Counts;

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Name and version of this form.
    schema: &'static str,
    /// When it was made.
    pub(super) made: String,
    /// Which records it is about.
    pub(super) filter: Filter,
    pub(super) input: Input,
    pub(super) period: Option<Period>,
    /// Records that passed the filter.
    pub(super) taken: u64,
    pub(super) requests: Counted,
    /// Records of parts of requests, such as the entries of a batch. They are no requests of their own.
    pub(super) parts: Counted,
    /// Records of answers that could not be read for the patients in them: there may be more patients.
    pub(super) patients_unread: u64,
    /// Requests that were a batch or a transaction.
    pub(super) batches: u64,
    /// Requests by what was done.
    pub(super) over_time: Series,
    /// Refused requests by reason.
    pub(super) refusals: Vec<Named>,
    pub(super) refusals_over_time: Series,
    /// Requests that failed on their way.
    pub(super) failures: Vec<Named>,
    pub(super) patients: List,
    pub(super) users: List,
    pub(super) clients: List,
    pub(super) tokens: List,
    /// The tokens with the most patients.
    pub(super) wide_tokens: List,
    pub(super) exports: Vec<Export>,
    pub(super) exports_left_out: u64,
    /// Each access, when the filter names somebody.
    pub(super) accesses: Option<Vec<Access>>,
    pub(super) accesses_left_out: u64,
    pub(super) chain: Chain,
}

/// What was read.
#[derive(Debug, Serialize)]
pub(super) struct Input {
    pub(super) files: Vec<String>,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// Records, each counted once.
    pub(super) records: u64,
    /// Records that were there again.
    pub(super) repeats: u64,
    pub(super) checkpoints: u64,
    /// Lines without a record.
    pub(super) others: u64,
    /// Lines that were too long to look into.
    pub(super) long: u64,
    /// Records that can't be read.
    pub(super) broken: u64,
    pub(super) broken_first: Vec<Broken>,
}

/// A record that can't be read.
#[derive(Debug, Serialize)]
pub(super) struct Broken {
    pub(super) place: String,
    pub(super) problem: String,
}

/// From the first record to the last.
#[derive(Debug, Serialize)]
pub(super) struct Period {
    pub(super) first: String,
    pub(super) last: String,
}

/// How many of which decision.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    pub(super) total: u64,
    pub(super) allow: u64,
    pub(super) deny: u64,
    pub(super) error: u64,
    /// Of those allowed, how many mode `enforce` would have refused.
    pub(super) observed: u64,
}

/// Counts over time.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    pub(super) names: Vec<String>,
    pub(super) bucket_seconds: u64,
    pub(super) buckets: Vec<Bucket>,
}

/// A part of the period.
#[derive(Debug, Serialize)]
pub(super) struct Bucket {
    pub(super) time: String,
    /// One for each name.
    pub(super) counts: Vec<u64>,
}

/// A word and how often it was said.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) count: u64,
}

/// Names and what was counted of them.
#[derive(Debug, Serialize)]
pub(super) struct List {
    pub(super) rows: Vec<Row>,
    /// Of a list of patients: how many of them stand in refused records only, so that nobody saw them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) only_refused: Option<u64>,
    /// How many different names there were.
    pub(super) distinct: u64,
    /// Otherwise `distinct` is an estimate and `records` are at least what is told.
    pub(super) exact: bool,
    /// Whether every name is here.
    pub(super) complete: bool,
}

/// A client, a user, a token or a patient.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    /// Records with it, parts of requests among them.
    pub(super) records: u64,
    /// Of these, refused ones.
    pub(super) refused: u64,
    /// Different patients in those that were not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patients: Option<u64>,
    /// `true` when `patients` is an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patients_estimated: Option<bool>,
    pub(super) first: String,
    pub(super) last: String,
}

impl Report {
    /// What the tally tells.
    pub(super) fn of(tally: Tally, counts: Counts, options: &Options, now: Instant) -> Report {
        let filter = options.filter.clone();
        let listed = filter.names_one();
        let who = if filter.names_a_patient_or_token() { usize::MAX } else { MOST };
        let whom = if filter.names_a_holder() { usize::MAX } else { MOST };
        let input = Input::of(&tally, counts, options);
        let (exports, exports_left_out) = tally.exports.finish();
        let (accesses, accesses_left_out) = tally.accesses.finish();
        Report {
            schema: "phiward.audit.report/1",
            made: words::time(now.seconds()),
            filter,
            input,
            period: tally.period.map(Period::of),
            taken: tally.taken,
            requests: Counted::of(tally.requests),
            parts: Counted::of(tally.parts),
            patients_unread: tally.patients_unread,
            batches: tally.batches,
            over_time: Series::of_decisions(&tally.over_time),
            refusals: Named::of(tally.refusals.by_reason()),
            refusals_over_time: Series::of_refusals(&tally.refusals, &tally.over_time),
            failures: Named::of_top(&tally.failures),
            patients: List::of_patients(&tally.patients, whom),
            users: List::of(&tally.users, who, |count| count.records),
            clients: List::of(&tally.clients, who, |count| count.records),
            tokens: List::of(&tally.tokens, who, |count| count.records),
            wide_tokens: List::of(&tally.tokens, MOST, |count| count.patients.count()),
            exports,
            exports_left_out,
            accesses: listed.then_some(accesses),
            accesses_left_out: if listed { accesses_left_out } else { 0 },
            chain: tally.streams.chain(MOST_GAPS),
        }
    }

    /// Whether names have to be told with their issuer.
    pub(super) fn several_issuers(&self) -> bool {
        let lists = [&self.users, &self.clients, &self.tokens];
        let mut issuers = lists.iter().flat_map(|list| &list.rows).map(|row| &row.issuer);
        let first = issuers.next();
        issuers.any(|issuer| Some(issuer) != first)
    }
}

impl Input {
    fn of(tally: &Tally, counts: Counts, options: &Options) -> Input {
        let broken = tally.broken.first.iter();
        let broken = broken.map(|(place, problem)| (place.clone(), problem.clone()));
        Input {
            files: options.files.iter().map(|file| file.display().to_string()).collect(),
            bytes: counts.bytes,
            lines: counts.lines,
            records: tally.records,
            repeats: tally.repeats,
            checkpoints: tally.checkpoints,
            others: counts.others,
            long: counts.long,
            broken: tally.broken.records,
            broken_first: broken.map(|(place, problem)| Broken { place, problem }).collect(),
        }
    }
}

impl Period {
    fn of((first, last): (UnixSeconds, UnixSeconds)) -> Period {
        Period { first: words::time(first), last: words::time(last) }
    }
}

impl Counted {
    fn of(decisions: Decisions) -> Counted {
        let Decisions { allow, deny, error, observed } = decisions;
        Counted { total: decisions.total(), allow, deny, error, observed }
    }
}

impl Series {
    fn of(bucket_seconds: u64, names: Vec<String>, buckets: Buckets) -> Series {
        let buckets = buckets.into_iter();
        let buckets = buckets.map(|(time, counts)| Bucket { time: words::time(time), counts });
        Series { names, bucket_seconds, buckets: buckets.collect() }
    }

    fn of_decisions(histogram: &Histogram) -> Series {
        let names = ["allow", "deny", "error"].map(str::to_owned).to_vec();
        Series::of(histogram.width(), names, histogram.buckets(3))
    }

    fn of_refusals(refusals: &Refusals, requests: &Histogram) -> Series {
        let (names, buckets) = refusals.over_time(MOST_REASONS, requests);
        Series::of(requests.width(), names, buckets)
    }
}

impl Named {
    fn of(names: Vec<(&str, u64)>) -> Vec<Named> {
        let named = |(name, count): (&str, u64)| Named { name: name.to_owned(), count };
        names.into_iter().map(named).collect()
    }

    fn of_top(top: &Top) -> Vec<Named> {
        let most = top.most(MOST, |count| count.records).into_iter();
        Named::of(most.map(|(name, count)| (name, count.records)).collect())
    }
}

impl List {
    fn of(top: &Top, limit: usize, rank: impl Fn(&Count) -> u64) -> List {
        List::new(top, limit, rank, |row, count| {
            row.patients = Some(count.patients.count());
            row.patients_estimated = (!count.patients.is_exact()).then_some(true);
        })
    }

    fn of_patients(top: &Top, limit: usize) -> List {
        let list = List::new(top, limit, |count| count.records, |_, _| {});
        List { only_refused: list.exact.then(|| top.only_refused()), ..list }
    }

    fn new(
        top: &Top,
        limit: usize,
        rank: impl Fn(&Count) -> u64,
        more: impl Fn(&mut Row, &Count),
    ) -> List {
        let rows = top.most(limit, rank).into_iter().map(|(name, count)| {
            let mut row = Row::of(name, count);
            more(&mut row, count);
            row
        });
        let rows: Vec<Row> = rows.collect();
        let complete = top.is_exact() && rows.len() as u64 == top.distinct();
        List { rows, only_refused: None, distinct: top.distinct(), exact: top.is_exact(), complete }
    }
}

impl Row {
    fn of(name: &str, count: &Count) -> Row {
        let (name, issuer) = match name.rsplit_once(ISSUED_BY) {
            Some((name, issuer)) => (name, Some(issuer.to_owned())),
            None => (name, None),
        };
        Row {
            name: name.to_owned(),
            issuer,
            records: count.records,
            refused: count.refused,
            patients: None,
            patients_estimated: None,
            first: words::time(count.first),
            last: words::time(count.last),
        }
    }
}

/// Names in a list that is not asked for as a whole.
const MOST: usize = 20;

/// Reasons that are told apart over time.
const MOST_REASONS: usize = 6;

/// Gaps that are named.
const MOST_GAPS: usize = 1000;
