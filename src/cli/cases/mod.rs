//! `phiward test`: requests and the decisions that must follow, as a table.

mod file;
mod run;
mod values;

#[cfg(test)]
pub(super) mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Exit;
use super::document::Problems;
use run::Ran;

/// Runs every case of the files. A case that differs counts before a file that is unusable.
pub(super) fn test(
    files: &[PathBuf],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let mut exit = Exit::Ok;
    for file in files {
        match tested(file, out)? {
            Ok(true) => {}
            Ok(false) => exit = Exit::Differs,
            Err(problems) => {
                problems.write(err)?;
                exit = if exit == Exit::Differs { exit } else { Exit::Unusable };
            }
        }
    }
    Ok(exit)
}

/// Runs the cases of a file and reports on them: whether all are as expected.
fn tested(file: &Path, out: &mut dyn Write) -> io::Result<Result<bool, Problems>> {
    match file::read(file) {
        Err(problems) => Ok(Err(problems)),
        Ok(cases) => match run::run(&cases) {
            Err(problems) => Ok(Err(problems)),
            Ok(ran) => report(file, &ran, out).map(Ok),
        },
    }
}

/// Writes a line for each case and how many there are: whether all are as expected.
fn report(file: &Path, ran: &[Ran<'_>], out: &mut dyn Write) -> io::Result<bool> {
    let rows: Vec<[String; 5]> = ran.iter().map(row).collect();
    let head = ["", "request", "expected", "got", "case"].map(str::to_owned);
    let width = |column: usize| {
        let cells = [&head].into_iter().chain(&rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().min(WIDEST)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |[verdict, request, expected, got, name]: &[String; 5]| {
        let [a, b, c, d] = widths;
        format!("{verdict:a$}  {request:b$}  {expected:c$}  {got:d$}  {name}")
    };
    writeln!(out, "{}\n{}", file.display(), line(&head))?;
    let mut title = "";
    for (row, one) in rows.iter().zip(ran) {
        if one.section.title != title {
            title = &one.section.title;
            writeln!(out, "{title}. {}", one.section.about)?;
        }
        writeln!(out, "{}", line(row))?;
        for difference in &one.differences {
            writeln!(out, "         {}:{}: {difference}", file.display(), one.case.place.line)?;
        }
    }
    let differing = ran.iter().filter(|one| !one.differences.is_empty()).count();
    let told = match differing {
        0 => "all as expected".to_owned(),
        some => format!("{some} DIFFER"),
    };
    writeln!(out, "{} cases: {told}", ran.len())?;
    Ok(differing == 0)
}

fn row(ran: &Ran<'_>) -> [String; 5] {
    let verdict = if ran.differences.is_empty() { "ok" } else { "DIFFERS" };
    let request = &ran.case.request;
    [
        verdict.to_owned(),
        format!("{} {}", request.method, request.target),
        ran.case.expected.reason.clone(),
        ran.outcome.reason().to_owned(),
        ran.case.name.clone(),
    ]
}

/// Columns are not made wider than this for one long entry.
const WIDEST: usize = 72;
