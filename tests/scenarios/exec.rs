//! How a program is found and what is said when it cannot be run: one table for all that start programs.
//!
//! A word with a slash is run as it is. Otherwise `PATH` (default `/bin:/usr/bin`) is searched, an empty element being
//! the working directory: a file that may not be run is remembered and the search goes on, a missing one too, any
//! other error ends it. There is no second try with a shell.

use std::os::unix::fs::symlink;

use crate::support::scene::Scene;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What the program is asked for, for instance `./tool`.
    pub(crate) word: &'static str,
    /// `PATH`; `None` is an environment without one.
    pub(crate) path: Option<&'static str>,
}

pub(crate) const CASES: &[Case] = &[
    case(
        "program_not_in_path_does_not_exist",
        "no-such-program",
        Some("/usr/bin:/bin"),
    ),
    case(
        "program_with_a_slash_is_not_searched_for",
        "nothing/cat",
        Some("/usr/bin:/bin"),
    ),
    case(
        "file_without_execute_permission_is_denied",
        "./plain",
        Some("/usr/bin:/bin"),
    ),
    case("directory_is_denied", "./folder", Some("/usr/bin:/bin")),
    case(
        "script_without_interpreter_line_is_not_given_to_a_shell",
        "./text",
        Some("/usr/bin:/bin"),
    ),
    case("empty_file_is_no_program", "./empty", Some("/usr/bin:/bin")),
    case(
        "script_with_a_missing_interpreter_does_not_exist",
        "./orphan",
        Some("/usr/bin:/bin"),
    ),
    case(
        "path_through_a_file_is_reported",
        "./plain/tool",
        Some("/usr/bin:/bin"),
    ),
    case(
        "link_to_itself_is_reported",
        "./loop",
        Some("/usr/bin:/bin"),
    ),
    case("empty_word_is_reported", "", Some("/usr/bin:/bin")),
    case(
        "script_with_a_slash_is_run_from_the_working_directory",
        "./tool",
        Some("/usr/bin:/bin"),
    ),
    case(
        "denied_file_in_path_is_passed_over",
        "tool",
        Some("denied:good"),
    ),
    case(
        "denied_file_in_path_is_reported_when_nothing_else_is_found",
        "tool",
        Some("denied:nowhere:/usr/bin"),
    ),
    case("directory_in_path_is_passed_over", "folder", Some(".:good")),
    case(
        "program_that_is_none_ends_the_search",
        "tool",
        Some("broken:good"),
    ),
    case(
        "file_as_path_element_ends_the_search",
        "tool",
        Some("plain:good"),
    ),
    case("first_match_in_path_wins", "tool", Some("good:better")),
    case("empty_path_is_the_working_directory", "tool", Some("")),
    case(
        "empty_first_element_is_the_working_directory",
        "tool",
        Some(":/usr/bin"),
    ),
    case(
        "empty_last_element_is_the_working_directory",
        "tool",
        Some("/usr/bin:"),
    ),
    case(
        "empty_middle_element_is_the_working_directory",
        "tool",
        Some("/usr/bin::/bin"),
    ),
    case("missing_path_is_bin_and_usr_bin", "true", None),
    case("missing_path_is_not_the_working_directory", "tool", None),
];

const fn case(name: &'static str, word: &'static str, path: Option<&'static str>) -> Case {
    Case { name, word, path }
}

/// The files that the cases are about. Every `tool` says where it lies.
pub(crate) fn prepare(s: &mut Scene) {
    s.script(
        "tool",
        "#!/bin/sh\necho the tool in the working directory\n",
    );
    for (folder, text) in [
        ("good", "#!/bin/sh\necho the good tool\n"),
        ("better", "#!/bin/sh\necho the better tool\n"),
    ] {
        s.directory(folder);
        s.script(&format!("{folder}/tool"), text);
        s.script(
            &format!("{folder}/folder"),
            "#!/bin/sh\necho no directory\n",
        );
    }
    s.directory("denied");
    s.write("denied/tool", "#!/bin/sh\necho not to be run\n");
    s.directory("broken");
    s.script("broken/tool", "echo not to be run\n");
    s.directory("folder");
    s.write("plain", "#!/bin/sh\necho not to be run\n");
    s.script("text", "echo not to be run\n");
    s.script("empty", "");
    s.script("orphan", "#!/nowhere/interpreter\n");
    symlink("loop", s.path("loop")).expect("a symlink");
}

/// `launch` with the `PATH` of the case.
pub(crate) fn with_path(
    launch: crate::support::launch::Launch,
    case: &Case,
) -> crate::support::launch::Launch {
    let launch = launch.empty_env();
    match case.path {
        Some(path) => launch.env("PATH", path),
        None => launch,
    }
}
