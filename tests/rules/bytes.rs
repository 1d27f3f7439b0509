//! Compiled files, byte by byte.

use std::fs;

use super::Folder;
use super::dice::Dice;
use super::written::{self, About, Rule};
use crate::support::launch::Launch;
use crate::support::programs::Programs;

/// Rule sets of each kind.
const SETS: u64 = 10_000;
/// How many of them are given to the original at a time.
const PARTS: u64 = 4;

fn rules(dice: &mut Dice, about: fn(&mut Dice) -> About) -> Vec<Rule> {
    (0..1 + dice.below(12))
        .map(|_| {
            let about = about(dice);
            Rule::any(about, dice)
        })
        .collect()
}

fn either(dice: &mut Dice) -> About {
    if dice.one_in(2) {
        About::any_old(dice)
    } else {
        About::any_new(dice)
    }
}

#[test]
fn rules_of_old_compile_to_the_bytes_of_the_format() {
    let folder = Folder::new();
    for seed in 0..SETS {
        let dice = &mut Dice::new(seed);
        let rules = rules(dice, About::any_old);
        let text = written::text(&rules, dice);
        assert!(folder.compiled(&text) == written::file(&rules), "{text}");
    }
}

#[test]
fn rules_for_ipv6_and_prefixes_compile_to_the_bytes_of_ucspi_tcp6() {
    let folder = Folder::new();
    for seed in 0..SETS {
        let dice = &mut Dice::new(SETS + seed);
        let rules = rules(dice, either);
        let text = written::text(&rules, dice);
        assert!(folder.compiled(&text) == written::file(&rules), "{text}");
    }
}

#[test]
fn rules_of_old_compile_to_the_bytes_of_the_original() {
    let Some(original) = Programs::oracle("ucspi-tcp").expect("the environment is right") else {
        return;
    };
    let original = &original;
    std::thread::scope(|scope| {
        for part in 0..PARTS {
            scope.spawn(move || {
                let folder = Folder::new();
                for seed in (0..SETS).filter(|seed| seed % PARTS == part) {
                    let dice = &mut Dice::new(seed);
                    let rules = rules(dice, About::any_old);
                    let text = written::text(&rules, dice);
                    let args = ["original.cdb", "original.tmp"];
                    let launch = Launch::new(original.path("tcprules"), "tcprules", args);
                    let process = launch.input(&text).spawn(&folder.0).expect("it is there");
                    assert!(process.outcome().status.success(), "{text}");
                    let theirs = fs::read(folder.path("original.cdb")).expect("it was written");
                    assert!(folder.compiled(&text) == theirs, "{text}");
                }
            });
        }
    });
}
