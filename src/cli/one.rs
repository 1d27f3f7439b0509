//! Many programs in one file: which of them is meant.

use super::{PERMANENT, Voice};
use crate::sys::process;

/// The `main` of a program: gives its exit code.
pub type Main = fn() -> u8;

/// Runs one of `programs`, each a name and its `main`: the one under whose name this file was executed. Where the file has
/// a name of its own, argv\[0\] counts; before that it does not, so that who runs a program may choose its argv\[0\].
///
/// No such name: says which there are, exit code 100.
pub fn one_of(programs: &[(&str, Main)]) -> u8 {
    let names = [process::executed_as(), process::invoked_as()];
    match chosen(programs, names.iter().flatten().map(Vec::as_slice)) {
        Some(main) => main(),
        None => {
            let names: Vec<&str> = programs.iter().map(|(name, _)| *name).collect();
            let names = names.join(" ");
            let parts: [&[u8]; 2] = [b"execute this file by one of the names ", names.as_bytes()];
            Voice::new("ucspi-tcp").warn_here(&parts);
            PERMANENT
        }
    }
}

/// What the first of `paths` stands for whose last part is a name.
fn chosen<'a, T: Copy>(
    programs: &[(&str, T)],
    paths: impl IntoIterator<Item = &'a [u8]>,
) -> Option<T> {
    paths.into_iter().find_map(|path| {
        let last = path.rsplit(|&byte| byte == b'/').next()?;
        let program = programs.iter().find(|(name, _)| name.as_bytes() == last);
        program.map(|&(_, main)| main)
    })
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn name_of_the_file_counts_before_argv0() {
        let programs = [("who@", 1), ("tcpserver", 2)];
        for (file, argv0, expected) in [
            ("/bin/tcpserver", "tcpserver", Some(2)),
            ("./who@", "-tcpserver", Some(1)),
            ("tcpserver", "who@", Some(2)),
            ("/bin/ucspi-tcp", "/x/who@", Some(1)),
            ("/bin/ucspi-tcp", "smtpd", None),
            ("/bin/tcpserver/", "", None),
        ] {
            let paths = [file.as_bytes(), argv0.as_bytes()];
            assert_eq!(chosen(&programs, paths), expected, "{file} {argv0}");
        }
    }
}
