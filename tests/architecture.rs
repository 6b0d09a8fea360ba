//! The shape of the code, held by tests: who may know proxy-wasm, who may import whom, how long a
//! file may be.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src/` in the order of the flow: a folder imports only those before it.
const ORDER: [&str; 17] = [
    "base",
    "config::section",
    "config::setting",
    "store",
    "request",
    "fhir",
    "token",
    "binding",
    "revocation",
    "limits",
    "policy",
    "forward",
    "response",
    "export",
    "audit",
    "config",
    "flow",
];

/// Longest source file, tests and generated tables aside.
const MAX_LINES: usize = 400;

/// Longest function, from `fn` to the line before its closing brace, tests aside.
const MAX_FUNCTION: usize = 40;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 20, "found only {} source files", found.len());
    found
}

/// The path below `src/`, with slashes.
fn name(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/")
}

/// Whether a file is built for tests only.
fn is_test(file: &str) -> bool {
    let own = ["tests.rs", "testing.rs", "examples.rs"];
    file.contains("/tests/") || own.iter().any(|name| file.ends_with(name))
}

/// The place of a module path such as `token` or `config::section` in the order.
fn place(module: &str) -> Option<usize> {
    let covers = |known: &str| module == known || module.starts_with(&format!("{known}::"));
    let known = ORDER.iter().enumerate().filter(|(_, known)| covers(known));
    known.max_by_key(|(_, known)| known.len()).map(|(place, _)| place)
}

/// Modules named by `crate::…` in a file's code, test modules and comments aside.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .next()
                .unwrap_or_default()
                .trim_end_matches(':')
                .to_owned()
        })
        .collect()
}

#[test]
fn only_the_host_folder_knows_proxy_wasm() {
    for (path, text) in sources() {
        if !name(&path).starts_with("host/") {
            let line = text
                .lines()
                .find(|line| line.contains("proxy_wasm") && !line.trim_start().starts_with("//"));
            assert_eq!(line, None, "{} names proxy_wasm", name(&path));
        }
    }
}

#[test]
fn a_folder_imports_only_the_stages_above_it() {
    for (path, text) in sources() {
        let file = name(&path);
        let outside = ["lib.rs", "bin/", "cli/", "host/"];
        if outside.iter().any(|known| file.starts_with(known)) || is_test(&file) {
            continue;
        }
        let own = file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        let own_place = place(&own).unwrap_or_else(|| panic!("{file} is in no known folder"));
        for import in imports(&text) {
            let Some(import_place) = place(&import) else {
                continue; // a macro of the crate's root
            };
            assert!(
                import_place <= own_place,
                "{file} imports {import}, which stands after it in the flow"
            );
        }
    }
}

#[test]
fn the_import_rule_would_see_a_wrong_import() {
    let text = "use crate::policy::Permit;\n// use crate::flow::X;\n#[cfg(test)]\nmod tests { use crate::flow::Y; }";
    assert_eq!(imports(text), ["policy::Permit"]);
    assert!(place("policy::Permit") > place("token::keys"));
    assert!(place("config::section::Section") < place("token"));
    assert!(place("config::load") > place("audit"));
}

#[test]
fn no_source_file_is_longer_than_a_reader_holds_in_mind() {
    for (path, text) in sources() {
        let file = name(&path);
        if !is_test(&file) && !file.contains("/tables/") {
            let lines = text.lines().count();
            assert!(
                lines <= MAX_LINES,
                "{file} has {lines} lines: split it by what each part is for"
            );
        }
    }
}

/// Functions of a file outside its test module: first line and length. rustfmt puts the closing
/// brace under the `fn`.
fn functions(text: &str) -> Vec<(String, usize)> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines: Vec<&str> = code.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| {
        let line = line.trim_start();
        let head = line.split('(').next().unwrap_or_default();
        !line.starts_with("//") && head.split_whitespace().any(|word| word == "fn")
    });
    starts
        .filter_map(|(start, line)| {
            let signature =
                lines.iter().skip(start).find(|line| line.ends_with(['{', ';', '}']))?;
            if !signature.ends_with('{') {
                return None; // declared in a trait, or empty
            }
            let indent = line.chars().take_while(|c| *c == ' ').count();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines.iter().skip(start).take_while(|line| **line != end).count();
            Some(((*line).trim().to_owned(), length))
        })
        .collect()
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut seen = 0;
    for (path, text) in sources() {
        let file = name(&path);
        if is_test(&file) {
            continue;
        }
        for (function, length) in functions(&text) {
            seen += 1;
            assert!(length <= MAX_FUNCTION, "{file}: {length} lines: {function}");
        }
    }
    assert!(seen > 300, "found only {seen} functions");
}

#[test]
fn nothing_is_ignored_or_left_to_do() {
    for (path, text) in sources() {
        for word in ["#[ignore", "todo!(", "unimplemented!(", "#[allow("] {
            assert!(!text.contains(word), "{} has {word}", name(&path));
        }
    }
}
