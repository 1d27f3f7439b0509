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

/// How many symbols of a program, as `nm` prints them, are the runtime's; `None` when it has none at all.
fn symbols_of_the_runtime(world: &World, program: &str) -> Option<usize> {
    let names = lossy(&world.succeed(world.program("nm", [world.our(program)])));
    let of = |text: &str| names.lines().filter(|line| line.contains(text)).count();
    (of("ucspi_tcp") > 0).then(|| of("tokio"))
}

#[test]
fn filters_and_compilers_link_no_runtime() {
    let Some(world) = world::with(&["nm"]) else {
        return;
    };
    if symbols_of_the_runtime(&world, "tcpserver").unwrap_or(0) == 0 {
        return world::skip("the programs are stripped");
    }
    for program in WITHOUT_RUNTIME {
        assert_eq!(
            symbols_of_the_runtime(&world, program),
            Some(0),
            "{program}"
        );
    }
}
