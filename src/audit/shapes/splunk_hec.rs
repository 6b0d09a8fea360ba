//! Events of Splunk's HTTP Event Collector
//! (<https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>): one object for each, with
//! the record under `event`.

use super::Posted;

pub(super) fn posted(lines: &str) -> Posted {
    let mut body = Vec::with_capacity(lines.len().saturating_mul(5).div_ceil(4));
    for line in lines.lines() {
        body.push(b'{');
        if let Some(time) = super::milliseconds(line) {
            let (seconds, rest) = (time.div_euclid(1000), time.rem_euclid(1000));
            body.extend_from_slice(format!(r#""time":{seconds}.{rest:03},"#).as_bytes());
        }
        body.extend_from_slice(br#""source":"phiward","sourcetype":"phiward:audit","event":"#);
        body.extend_from_slice(line.as_bytes());
        body.extend_from_slice(b"}\n");
    }
    Posted { content_type: "application/json", body }
}
