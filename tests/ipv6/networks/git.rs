//! A real program behind tcpserver: git clones a repository over IPv6.

use std::fs;
use std::path::Path;

use super::world::World;
use super::{Server, Test, program, text};
use crate::support::launch::Launch;
use crate::support::place::find;
use crate::support::temp::TempDir;
use crate::support::trials::Verdict;

pub(super) const TESTS: &[(&str, Test)] = &[("repository_is_cloned_over_ipv6", clone)];

fn clone(world: &World) -> Verdict {
    let git = match find("git") {
        Ok(git) => git,
        Err(missing) => return Verdict::cannot(missing, "UCSPI_COMPONENTS_REQUIRED"),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = TempDir::new();
    let with = |launch: Launch| {
        launch
            .empty_env()
            .env("HOME", folder.path().as_os_str().as_encoded_bytes())
            .env("PATH", path.as_encoded_bytes())
    };
    let repository = folder.path().join("origin");
    fs::create_dir(&repository).expect("the folder is ours");
    let content: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    fs::write(repository.join("file"), &content).expect("the folder is ours");
    let run = |dir: &Path, args: &[&str]| {
        let launch = with(Launch::new(git.clone().into(), "git", args));
        let outcome = launch.spawn(dir).expect("git is there").outcome();
        assert!(
            outcome.status.success(),
            "git {args:?}: {}",
            text(&outcome.stderr)
        );
        text(&outcome.stdout)
    };
    run(&repository, &["init", "-q"]);
    run(&repository, &["add", "file"]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    run(
        &repository,
        &[&author[..], &["commit", "-qm", "one"]].concat(),
    );

    let base = format!("--base-path={}", folder.path().display());
    let args = [
        "-1vHRl0",
        "2001:db8::1",
        "0",
        "git",
        "daemon",
        "--inetd",
        "--export-all",
        &base,
    ];
    let server = Server::start(world, with(program("tcpserver", &args)));
    let url = format!("git://[2001:db8::1]:{}/origin", server.port);
    run(folder.path(), &["clone", "-q", &url, "copy"]);
    let copy = folder.path().join("copy");
    assert!(fs::read_to_string(copy.join("file")).is_ok_and(|text| text == content));
    assert_eq!(
        run(&copy, &["rev-parse", "HEAD"]),
        run(&repository, &["rev-parse", "HEAD"])
    );
    let log = server.log();
    assert!(log.contains(" from 2001:db8::2\n"), "{log}");
    Verdict::Passed
}
