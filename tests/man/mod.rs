//! The manual says what the programs do: options, operands and variables are compared, and every example is run.
//!
//! The pages are `man/<program>.<section>`. What the programs say is their `--help`; for those without options, the usage
//! line in `src/bin`. How examples are run is written in `man/examples.rs`.

mod commands;
mod completions;
mod examples;
mod page;
mod programs;

use std::fs;

use page::Page;

use crate::support::programs::built_as;

#[test]
fn every_program_has_a_page_and_every_page_a_program_or_a_subject() {
    let mut expected: Vec<String> = programs::names()
        .iter()
        .map(|name| format!("{name}.1"))
        .collect();
    expected.extend(["tcp-environ.5", "tcprules.5", "ucspi-tcp.7"].map(str::to_owned));
    expected.sort();
    let mut found: Vec<String> = Page::all().into_iter().map(|page| page.file).collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn programs_of_the_package_are_those_of_cargo() {
    let mut sources: Vec<String> = fs::read_dir(programs::root().join("src/bin"))
        .expect("src/bin is there")
        .map(|entry| entry.expect("src/bin can be read").file_name())
        .map(|file| file.to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect();
    sources.sort();
    let mut named: Vec<String> = programs::names()
        .iter()
        .map(|name| built_as(name))
        .collect();
    named.sort();
    assert_eq!(sources, named);
}

#[test]
fn version_of_the_package_is_that_of_cargo() {
    let version = programs::read("package/version");
    assert_eq!(version.trim_end(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn pages_have_the_sections_of_the_house_in_order() {
    const ORDER: [&str; 11] = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "ENVIRONMENT",
        "EXIT STATUS",
        "EXAMPLES",
        "DIAGNOSTICS",
        "SEE ALSO",
        "STANDARDS",
        "HISTORY",
        "CAVEATS",
    ];
    for page in Page::all() {
        let places: Vec<Option<usize>> = page
            .sections()
            .iter()
            .map(|section| ORDER.iter().position(|known| known == section))
            .collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{}: {:?}",
            page.file,
            page.sections()
        );
        for needed in ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"] {
            assert!(
                page.sections().contains(&needed.to_owned()),
                "{} has no {needed}",
                page.file
            );
        }
    }
}

#[test]
fn options_in_synopsis_description_and_help_are_the_same() {
    for name in programs::names() {
        let page = Page::of(&name);
        let help = programs::options(&name);
        let mut known: Vec<_> = help.iter().map(|option| option.key()).collect();
        known.sort();
        let mut described = page.described_options();
        described.sort();
        assert_eq!(described, known, "options of {name}, page and --help");
        let standard = ["help".to_owned(), "version".to_owned()];
        known.retain(|(option, _)| !standard.contains(option));
        let mut shown = page.synopsis_options();
        shown.sort();
        assert_eq!(shown, known, "options of {name}, synopsis and --help");
    }
}

#[test]
fn options_of_the_usage_line_exist() {
    for name in programs::names() {
        let known = programs::options(&name);
        let known: Vec<_> = known.iter().map(|option| option.key()).collect();
        for option in programs::usage_options(&name) {
            // The original's usage line shows it, and the original does not take it either.
            if (name.as_str(), option.0.as_str()) != ("rblsmtpd", "R") {
                assert!(known.contains(&option), "{name}: {option:?} of {known:?}");
            }
        }
    }
}

/// The operands that the original does not have: its usage line, to the byte, is ours, and says nothing of them.
const NEW_OPERANDS: [(&str, &[&str]); 2] = [
    ("tcprules", &["rules", "old.cdb", "rules"]),
    ("tcprulescheck", &["address", "host", "info", "rules.cdb"]),
];

#[test]
fn operands_in_synopsis_and_usage_line_are_the_same() {
    for name in programs::names() {
        let page = Page::of(&name);
        let mut known = programs::usage_operands(&name);
        let new = NEW_OPERANDS.iter().filter(|(program, _)| *program == name);
        known.extend(new.flat_map(|(_, operands)| operands.iter().map(|&word| word.to_owned())));
        assert_eq!(page.synopsis_operands(), known, "{name}");
    }
}

#[test]
fn defaults_are_the_same() {
    for name in programs::names() {
        let page = Page::of(&name);
        for option in programs::options(&name) {
            let text = page.description_of(&option.name);
            let Some(default) = option.default() else {
                continue;
            };
            let expected = match default {
                "" => "This is the default.".to_owned(),
                value => format!("The default is {value}"),
            };
            assert!(
                text.contains(&expected),
                "{name}, option {}: no \"{expected}\" in\n{text}",
                option.name
            );
        }
    }
}

#[test]
fn every_variable_of_a_connection_is_described() {
    let page = Page::of("tcp-environ");
    let ends = ["IP", "PORT", "HOST"];
    let mut variables = vec!["PROTO".to_owned(), "TCP6INTERFACE".to_owned()];
    for tcp in ["TCP", "TCP6"] {
        variables.push(format!("{tcp}REMOTEINFO"));
        for end in ["LOCAL", "REMOTE"] {
            variables.extend(ends.map(|fact| format!("{tcp}{end}{fact}")));
        }
    }
    let tls = [
        "PROTOCOL",
        "CIPHER",
        "TLS_SNI_SERVERNAME",
        "PEER_CERT_HASH",
        "PEER_CERT_SUBJECT",
    ];
    variables.extend(tls.map(|name| format!("SSL_{name}")));
    variables.extend(["TCPPROXYIP", "TCPPROXYPORT"].map(String::from));
    let announced = ["ALPN", "AUTHORITY", "UNIQUE_ID"];
    let of_tls = ["CIPHER", "CN", "KEY_ALG", "SIG_ALG", "VERSION"];
    variables.extend(announced.map(|fact| format!("PROXY_{fact}")));
    variables.extend(of_tls.map(|fact| format!("PROXY_SSL_{fact}")));
    let mut described = page.described_variables();
    described.sort();
    variables.sort();
    assert_eq!(described, variables);
}

#[test]
fn pages_are_clean() {
    let pages = Page::all();
    let files = pages.iter().map(|page| format!("man/{}", page.file));
    let arguments = ["-T", "lint", "-W", "warning"].map(str::to_owned);
    let arguments: Vec<String> = arguments.into_iter().chain(files).collect();
    match programs::run("mandoc", &arguments) {
        None => programs::skip("UCSPI_MAN_REQUIRED", "mandoc is not here"),
        Some(outcome) => assert!(outcome.status.success(), "{}", outcome.text()),
    }
}

#[test]
fn no_line_of_a_page_is_wider_than_a_terminal() {
    const COLUMNS: usize = 80;
    for page in Page::all() {
        let file = format!("man/{}", page.file);
        let arguments = ["-T", "ascii", &file].map(str::to_owned);
        let Some(outcome) = programs::run("mandoc", &arguments) else {
            return programs::skip("UCSPI_MAN_REQUIRED", "mandoc is not here");
        };
        for line in outcome.text().lines() {
            // Bold and underlined letters are struck twice: each backspace takes one back.
            let width = line.len() - 2 * line.matches('\u{8}').count();
            assert!(width <= COLUMNS, "{file}: {width} columns:\n{line}");
        }
    }
}

#[test]
fn every_example_does_what_it_says() {
    let failures: Vec<String> = Page::all().iter().filter_map(examples::failure).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_command_line_is_one_that_its_program_takes() {
    let faults = commands::faults();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_of_the_examples_is_in_a_test() {
    assert_eq!(commands::nobody_runs(), [""; 0]);
}

#[test]
fn completions_are_made_from_help() {
    completions::compare();
}
