//! What is linked into the programs, as their symbols tell.

use crate::world::{self, World, lossy};

const WITHOUT_RUNTIME: [&str; 8] = [
    "tcprules",
    "tcprulescheck",
    "recordio",
    "fixcrio",
    "addcr",
    "delcr",
    "mconnect_io",
    "argv0",
];

/// How many symbols of a program, as `nm` prints them, are those of `crate_name`; `None` when it has none at all.
fn symbols_of(crate_name: &str, world: &World, program: &str) -> Option<usize> {
    let names = lossy(&world.succeed(world.program("nm", [world.our(program)])));
    let of = |text: &str| names.lines().filter(|line| line.contains(text)).count();
    (of("ucspi_tcp") > 0).then(|| of(crate_name))
}

#[test]
fn filters_and_compilers_link_no_runtime() {
    let Some(world) = world::with(&["nm"]) else {
        return;
    };
    if symbols_of("tokio", &world, "tcpserver").unwrap_or(0) == 0 {
        return world::skip("the programs are stripped");
    }
    for program in WITHOUT_RUNTIME {
        assert_eq!(symbols_of("tokio", &world, program), Some(0), "{program}");
    }
}

#[test]
fn programs_without_tls_link_no_rustls() {
    let Some(world) = world::with(&["nm"]) else {
        return;
    };
    if symbols_of("rustls", &world, "tlsserver").unwrap_or(0) == 0 {
        return world::skip("the programs are stripped");
    }
    for program in ["tcpserver", "tcpclient", "tcppool", "http_at", "tcprules"] {
        assert_eq!(symbols_of("rustls", &world, program), Some(0), "{program}");
    }
}
