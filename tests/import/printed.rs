//! What is printed without `-d`.

use std::fmt::Write as _;
use std::fs;

use super::cases::{Files, source};

#[test]
fn every_case_is_printed_as_expected() {
    let files = Files::new();
    let is_written = std::env::var_os("UCSPI_GOLDEN").is_some_and(|value| value == "write");
    let mut wrong = String::new();
    for (kind, name) in files.cases() {
        let output = files.run(kind, &[&name]);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let status = output.status.code().expect("no signal");
        let found = format!("{stdout}\nstderr:\n{stderr}\nstatus: {status}\n");
        let path = source("expected").join(kind).join(&name);
        if is_written {
            fs::create_dir_all(path.parent().expect("a folder"))
                .expect("the source can be written");
            fs::write(&path, &found).expect("the source can be written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            let _ = writeln!(
                wrong,
                "--- {kind}/{name}: expected\n{expected}--- found\n{found}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn expected_texts_are_those_of_the_cases() {
    let files = Files::new();
    let mut cases: Vec<String> = files
        .cases()
        .into_iter()
        .map(|(kind, name)| format!("{kind}/{name}"))
        .collect();
    cases.sort();
    let mut found = Vec::new();
    for kind in fs::read_dir(source("expected")).expect("it is there") {
        let kind = kind.expect("it is there");
        for name in fs::read_dir(kind.path()).expect("a folder for each kind") {
            let name = name.expect("it is there").file_name();
            found.push(format!("{}/{}", kind.file_name().display(), name.display()));
        }
    }
    found.sort();
    assert_eq!(found, cases);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("plain text")
}
