//! HTML in which nothing from outside can be markup: [`Html::raw`] takes only what stands in this
//! program, everything else is escaped.

use crate::cli::audit::report::words;

/// A page that is being written.
#[derive(Debug, Default)]
pub(in crate::cli::audit::report) struct Html(String);

/// A cell of a table.
#[derive(Debug)]
pub(super) enum Cell<'a> {
    /// As it is.
    Text(&'a str),
    /// An id or a name from a record, in a fixed width.
    Code(&'a str),
    /// A number, aligned to the right.
    Number(u64),
    /// A number that is an estimate.
    About(u64),
    /// A time in RFC 3339.
    Time(&'a str),
    /// A share of the longest bar from 0 to 1, and the share of it that was refused.
    Bar(f64, f64),
    /// A decision as it is told in records.
    Decision(&'static str),
}

impl Html {
    /// Markup of this program.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Text from anywhere, as the content of an element or in a quoted attribute.
    pub(in crate::cli::audit::report) fn text(&mut self, text: &str) -> &mut Html {
        for c in words::visible(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A length in a chart or in percent.
    pub(super) fn length(&mut self, length: f64) -> &mut Html {
        self.0.push_str(&format!("{length:.2}"));
        self
    }

    /// The heading of a section, with a note.
    pub(super) fn heading(&mut self, title: &str, note: &str) {
        self.raw("<h2>").text(title);
        if !note.is_empty() {
            self.raw(" <small>").text(note).raw("</small>");
        }
        self.raw("</h2>\n");
    }

    /// A table; a head that begins with `>` is aligned to the right.
    pub(super) fn table<'a>(&mut self, head: &[&str], rows: impl Iterator<Item = Vec<Cell<'a>>>) {
        self.raw("<div class=\"scroll\"><table>\n<thead><tr>");
        for name in head {
            match name.strip_prefix('>') {
                Some(name) => self.raw("<th scope=\"col\" class=\"n\">").text(name),
                None => self.raw("<th scope=\"col\">").text(name),
            };
            self.raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
        for cells in rows {
            self.raw("<tr>");
            cells.iter().for_each(|cell| self.cell(cell));
            self.raw("</tr>\n");
        }
        self.raw("</tbody>\n</table></div>\n");
    }

    fn cell(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Text(text) => self.raw("<td>").text(text),
            Cell::Code(text) => self.raw("<td class=\"c\">").text(text),
            Cell::Number(number) => self.raw("<td class=\"n\">").text(&words::thousands(*number)),
            Cell::About(number) => self
                .raw("<td class=\"n\" title=\"estimated\">about ")
                .text(&words::thousands(*number)),
            Cell::Time(time) => self.raw("<td class=\"t\">").text(&words::readable(time)),
            Cell::Bar(length, refused) => {
                let (of, refused) = (length * 100.0, length * refused * 100.0);
                self.raw("<td class=\"b\" aria-hidden=\"true\"><i style=\"width:")
                    .length(of - refused);
                self.raw("%\"></i><i class=\"deny\" style=\"width:").length(refused).raw("%\"></i>")
            }
            Cell::Decision(word) => {
                self.raw("<td><b class=\"").raw(word).raw("\">").raw(word).raw("</b>")
            }
        };
        self.raw("</td>");
    }

    /// The page as text.
    pub(in crate::cli::audit::report) fn finish(self) -> String {
        self.0
    }
}
