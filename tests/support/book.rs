//! A scenario: a sentence about a program, and the steps that show whether it is true.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::scene::Scene;

pub(crate) type Steps = Box<dyn Fn(&mut Scene) + Send + Sync>;

pub(crate) struct Scenario {
    pub(crate) program: &'static str,
    pub(crate) name: String,
    pub(crate) steps: Steps,
    pub(crate) differs: Vec<&'static str>,
    /// Ours prints the original's lines and one more that begins so.
    pub(crate) adds: Option<&'static str>,
    pub(crate) needs_root: bool,
    pub(crate) needs_network: bool,
    /// The original has no such program, or not this part of it.
    pub(crate) is_ours_alone: bool,
    pub(crate) pending: Option<&'static str>,
}

impl Scenario {
    /// Our program deliberately does something else than the original; `id` is a heading of `docs/differences.md`.
    pub(crate) fn differs(&mut self, id: &'static str) -> &mut Self {
        self.differs.push(id);
        self
    }

    /// Our program prints what the original prints, and then one more line that begins with `prefix`.
    pub(crate) fn adds(&mut self, id: &'static str, prefix: &'static str) -> &mut Self {
        self.adds = Some(prefix);
        self.differs(id)
    }

    /// The scenario changes user or group ids; it is skipped, visibly, for anybody but root.
    pub(crate) fn needs_root(&mut self) -> &mut Self {
        self.needs_root = true;
        self
    }

    /// The scenario uses fixed ports: it is played in a network that the test makes itself.
    pub(crate) fn needs_network(&mut self) -> &mut Self {
        self.needs_network = true;
        self
    }

    /// Only ours can do this; `id` is a heading of `docs/differences.md`.
    pub(crate) fn ours_alone(&mut self, id: &'static str) -> &mut Self {
        self.is_ours_alone = true;
        self.differs(id)
    }

    /// Our program cannot do this yet, and why. It still runs, and a scenario that passes must lose this mark.
    pub(crate) fn pending(&mut self, reason: &'static str) -> &mut Self {
        self.pending = Some(reason);
        self
    }

    /// `tcpserver::denied_peer_ends_with_status_100`.
    pub(crate) fn title(&self) -> String {
        format!("{}::{}", self.program, self.name)
    }
}

/// All scenarios of one program.
pub(crate) struct Book {
    program: &'static str,
    pub(crate) scenarios: Vec<Scenario>,
}

impl Book {
    pub(crate) fn of(program: &'static str) -> Self {
        Self {
            program,
            scenarios: Vec::new(),
        }
    }

    /// Adds the scenario called `name`.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        steps: impl Fn(&mut Scene) + Send + Sync + 'static,
    ) -> &mut Scenario {
        let name = name.into();
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name:?} cannot be a file name everywhere"
        );
        assert!(
            self.scenarios.iter().all(|other| other.name != name),
            "two scenarios called {name}"
        );
        self.scenarios.push(Scenario {
            program: self.program,
            name,
            steps: Box::new(steps),
            differs: Vec::new(),
            adds: None,
            needs_root: false,
            needs_network: false,
            is_ours_alone: false,
            pending: None,
        });
        self.scenarios.last_mut().expect("one was just added")
    }
}

/// Every id given to `.differs` has a heading `### id` in `docs/differences.md`.
pub(crate) fn all_explained(scenarios: &[Scenario]) -> Result<(), String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
    let text = fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let headings: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::trim)
        .collect();
    let used = scenarios
        .iter()
        .flat_map(|scenario| scenario.differs.iter().map(move |id| (*id, scenario)));
    let missing: Vec<String> = used
        .filter(|(id, _)| !headings.contains(id))
        .map(|(id, scenario)| format!("### {id} (used by {})", scenario.title()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "docs/differences.md lacks:\n{}",
            missing.join("\n")
        ))
    }
}
