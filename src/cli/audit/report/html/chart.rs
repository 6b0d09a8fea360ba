//! Counts over time as bars on each other, with the same numbers in a table below.

use super::markup::{Cell, Html};
use crate::cli::audit::report::view::{Bucket, Series};
use crate::cli::audit::report::words::{readable, thousands, width};

/// Classes of the series, for their colours.
pub(super) const DECISIONS: &[&str] = &["allow", "deny", "error"];

/// Classes of the series, for their colours.
pub(super) const REASONS: &[&str] = &["r0", "r1", "r2", "r3", "r4", "r5", "r6"];

/// A chart of `what`, its legend and its table. It begins where a chart of `above` would.
pub(super) fn write(
    series: &Series,
    above: &Series,
    what: &str,
    classes: &'static [&'static str],
    page: &mut Html,
) {
    let highest = self::highest(series);
    if highest == 0 {
        return;
    }
    legend(series, classes, page);
    page.raw("<div class=\"scroll\"><svg viewBox=\"0 0 1000 250\" role=\"img\" aria-label=\"");
    page.text(&description(series, what, highest)).raw("\">\n");
    let scale = Scale::new(highest, self::highest(above), series.buckets.len());
    grid(&scale, page);
    times(series, &scale, page);
    for (place, bucket) in series.buckets.iter().enumerate() {
        bars(series, bucket, place, classes, &scale, page);
    }
    page.raw("</svg></div>\n");
    table(series, page);
}

fn legend(series: &Series, classes: &'static [&'static str], page: &mut Html) {
    page.raw("<ul class=\"legend\">");
    for (name, class) in series.names.iter().zip(classes) {
        page.raw("<li><i class=\"").raw(class).raw("\"></i>").text(name).raw("</li>");
    }
    page.raw("<li class=\"step\">each bar ")
        .text(&width(series.bucket_seconds))
        .raw("</li></ul>\n");
}

/// What somebody needs to know who does not see the chart.
fn description(series: &Series, what: &str, highest: u64) -> String {
    let all = series.buckets.iter().map(sum).fold(0, u64::saturating_add);
    let peak = series.buckets.iter().find(|bucket| sum(bucket) == highest);
    let peak = peak.map(|bucket| readable(&bucket.time)).unwrap_or_default();
    format!(
        "Bar chart: {} {what} in steps of {}, most of them, {}, from {peak} on. The numbers stand in the table below.",
        thousands(all),
        width(series.bucket_seconds),
        thousands(highest),
    )
}

/// Both axes.
struct Scale {
    step: u64,
    top: u64,
    /// Where the first bucket begins, behind the numbers of the vertical axis.
    left: f64,
    /// How much room a bucket has.
    slot: f64,
}

impl Scale {
    /// Up to five lines at 1, 2 or 5 times a power of ten.
    fn new(highest: u64, above: u64, buckets: usize) -> Scale {
        let powers = std::iter::successors(Some(1_u64), |power| power.checked_mul(10));
        let mut steps = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
        let step = steps.find(|step| highest.div_ceil(*step) <= 5).unwrap_or(u64::MAX);
        let top = highest.div_ceil(step).saturating_mul(step);
        let left = 12.0 + 7.0 * thousands(above.max(top)).len() as f64;
        Scale { step, top, left, slot: (RIGHT - left) / buckets.max(1) as f64 }
    }

    fn x(&self, bucket: usize) -> f64 {
        self.left + self.slot * bucket as f64
    }

    fn height(&self, count: u64) -> f64 {
        HEIGHT * count as f64 / self.top as f64
    }
}

fn grid(scale: &Scale, page: &mut Html) {
    let lines = (0_u64..=5).map(|line| line.saturating_mul(scale.step));
    for count in lines.take_while(|count| *count <= scale.top) {
        let y = TOP + HEIGHT - scale.height(count);
        page.raw("<path class=\"grid\" d=\"M")
            .length(scale.left)
            .raw(" ")
            .length(y)
            .raw("H")
            .length(RIGHT);
        page.raw("\"/><text class=\"y\" x=\"")
            .length(scale.left - 8.0)
            .raw("\" y=\"")
            .length(y + 4.0)
            .raw("\">");
        page.text(&thousands(count)).raw("</text>\n");
    }
}

/// A few times along the horizontal axis, as short as the period allows.
fn times(series: &Series, scale: &Scale, page: &mut Html) {
    let buckets = series.buckets.len();
    let every = buckets.div_ceil(MOST_TIMES).max(1);
    for (place, bucket) in series.buckets.iter().enumerate().step_by(every) {
        let x = scale.x(place);
        page.raw("<path class=\"tick\" d=\"M")
            .length(x)
            .raw(" ")
            .length(TOP + HEIGHT)
            .raw("v5\"/>");
        page.raw("<text x=\"").length(x).raw("\" y=\"").length(TOP + HEIGHT + 19.0).raw("\">");
        page.text(&short(&bucket.time, series.bucket_seconds)).raw("</text>\n");
    }
}

/// The part of a time that tells buckets apart.
fn short(time: &str, bucket_seconds: u64) -> String {
    let time = readable(time);
    let part = match bucket_seconds {
        0..60 => time.get(11..19),
        60..900 => time.get(11..16),
        900..86_400 => time.get(5..16),
        _ => time.get(..10),
    };
    part.unwrap_or(&time).to_owned()
}

/// The counts of one bucket on each other, told when they are pointed at.
fn bars(
    series: &Series,
    bucket: &Bucket,
    place: usize,
    classes: &'static [&'static str],
    scale: &Scale,
    page: &mut Html,
) {
    let (x, width) = (scale.x(place), (scale.slot * 0.86).min(60.0));
    let mut y = TOP + HEIGHT;
    page.raw("<g><title>").text(&readable(&bucket.time));
    for (name, count) in series.names.iter().zip(&bucket.counts).filter(|(_, count)| **count > 0) {
        page.raw("\n").text(&thousands(*count)).raw(" ").text(name);
    }
    page.raw("</title>");
    for (class, count) in classes.iter().zip(&bucket.counts).filter(|(_, count)| **count > 0) {
        let height = scale.height(*count).max(0.75);
        y -= height;
        page.raw("<rect class=\"").raw(class).raw("\" x=\"").length(x).raw("\" y=\"").length(y);
        page.raw("\" width=\"").length(width).raw("\" height=\"").length(height).raw("\"/>");
    }
    page.raw("</g>\n");
}

fn table(series: &Series, page: &mut Html) {
    page.raw("<details><summary>The numbers</summary>\n");
    let names: Vec<String> = series.names.iter().map(|name| format!(">{name}")).collect();
    let mut head = vec!["From (UTC)"];
    head.extend(names.iter().map(String::as_str));
    let some = series.buckets.iter().filter(|bucket| sum(bucket) > 0);
    page.table(
        &head,
        some.map(|bucket| {
            let counts = bucket.counts.iter().map(|count| Cell::Number(*count));
            std::iter::once(Cell::Time(&bucket.time)).chain(counts).collect()
        }),
    );
    page.raw("</details>\n");
}

fn highest(series: &Series) -> u64 {
    series.buckets.iter().map(sum).max().unwrap_or_default()
}

fn sum(bucket: &Bucket) -> u64 {
    bucket.counts.iter().copied().fold(0, u64::saturating_add)
}

/// Where the bars stand in the drawing.
const TOP: f64 = 10.0;
const RIGHT: f64 = 1000.0;
const HEIGHT: f64 = 210.0;

/// Most times along the horizontal axis.
const MOST_TIMES: usize = 8;
