//! What was answered, for as long as it holds: within bounds, and what is asked for often stays longest.
//!
//! Two generations. What is new, and what is asked for again, goes into the young one; when that is full it becomes the
//! old one, and what was old is forgotten. So a flood of names that are asked for once pushes out little else.

use std::collections::HashMap;
use std::rc::Rc;

use tokio::time::Instant;

use super::packet::{Question, Record};

/// How much may be remembered, in bytes, where there is memory enough.
const BYTES_MAX: usize = 1024 * 1024;
/// What part of the memory that the process may have is taken for it at most, so that `softlimit -m 3000000` is enough.
const SHARE: u64 = 8;
/// What an answer costs beside its name and texts, in bytes: its place in a table that may be half empty, or just being
/// moved to a larger one, and what the allocator adds to three pieces of memory.
const ENTRY_BYTES: usize = 3 * size_of::<(Question, Answer)>() + 3 * 16;

/// Records of one kind, in the order of the answer; none when there are none.
pub(super) type Records = Rc<[Record]>;

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) records: Records,
    pub(super) expires: Instant,
}

#[derive(Debug)]
pub(super) struct Memory {
    /// How much each generation may cost.
    generation_bytes: usize,
    young: HashMap<Question, Answer>,
    /// What these cost.
    young_bytes: usize,
    old: HashMap<Question, Answer>,
}

impl Memory {
    /// An empty one for a process that may have so much memory, in bytes.
    pub(super) fn within(limit: u64) -> Self {
        let share = usize::try_from(limit / SHARE).unwrap_or(BYTES_MAX);
        Self {
            generation_bytes: share.min(BYTES_MAX) / 2,
            young: HashMap::new(),
            young_bytes: 0,
            old: HashMap::new(),
        }
    }

    /// The records that answer `question`, if they are known and still hold.
    pub(super) fn recall(&mut self, question: &Question) -> Option<Records> {
        if let Some((question, answer)) = self.old.remove_entry(question) {
            self.remember(question, answer);
        }
        let answer = self.young.get(question)?;
        (answer.expires > Instant::now()).then(|| Rc::clone(&answer.records))
    }

    /// Remembers `answer`, in place of what was known; unless it does not hold any more, or is too large.
    pub(super) fn remember(&mut self, question: Question, answer: Answer) {
        let cost = cost(&question, &answer);
        if answer.expires <= Instant::now() || cost > self.generation_bytes {
            return;
        }
        self.old.remove(&question);
        if let Some(known) = self.young.remove(&question) {
            self.young_bytes -= self::cost(&question, &known);
        }
        if self.young_bytes + cost > self.generation_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        // The table may become large at once. Who has no memory for that remembers less.
        if self.young.try_reserve(1).is_err() {
            self.forget();
        }
        self.young_bytes += cost;
        self.young.insert(question, answer);
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
        self.young_bytes = 0;
    }
}

/// What it costs to remember `answer`, in bytes.
fn cost(question: &Question, answer: &Answer) -> usize {
    let record = |record: &Record| {
        size_of::<Record>()
            + match record {
                Record::Address(_) => 0,
                // And what the allocator adds.
                Record::Text(text) => text.len() + 16,
            }
    };
    ENTRY_BYTES + question.name.wire().len() + answer.records.iter().map(record).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::name;
    use super::super::packet::{Kind, Question, Record};
    use super::{Answer, Memory, cost};

    fn question(number: usize) -> Question {
        Question {
            name: name::parse(format!("{number}.test").as_bytes()).unwrap(),
            kind: Kind::Ptr,
        }
    }

    /// An answer with a text of `length` bytes that holds for so long.
    fn answer(length: usize, ttl: Duration) -> Answer {
        Answer {
            records: [Record::Text(vec![b'x'; length].into())].into(),
            expires: Instant::now() + ttl,
        }
    }

    fn bytes(answers: &HashMap<Question, Answer>) -> usize {
        let costs = answers
            .iter()
            .map(|(question, answer)| cost(question, answer));
        costs.sum()
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn one_mebibyte_or_an_eighth_of_the_limit_is_remembered_whatever_comes() {
        for (limit, most) in [(u64::MAX, 1 << 20), (3_000_000, 375_000)] {
            let mut memory = Memory::within(limit);
            for number in 0..20_000 {
                memory.remember(question(number), answer(number % 3000, HOUR));
                assert!(memory.young_bytes <= most / 2);
            }
            assert_eq!(memory.young_bytes, bytes(&memory.young));
            let all = bytes(&memory.young) + bytes(&memory.old);
            assert!((most / 2..=most).contains(&all), "{all} of {most}");
            assert!(memory.recall(&question(19_999)).is_some());
            assert!(memory.recall(&question(0)).is_none());
            memory.remember(question(0), answer(most, HOUR));
            assert!(memory.recall(&question(0)).is_none(), "it is too large");
        }
    }

    #[test]
    fn what_is_asked_for_again_outlives_a_flood() {
        let mut memory = Memory::within(u64::MAX);
        memory.remember(question(0), answer(20, HOUR));
        for number in 1..20_000 {
            memory.remember(question(number), answer(1000, HOUR));
            if number % 100 == 0 {
                assert!(memory.recall(&question(0)).is_some(), "after {number}");
            }
        }
    }

    #[test]
    fn what_holds_no_longer_is_not_remembered() {
        let mut memory = Memory::within(u64::MAX);
        memory.remember(question(0), answer(20, Duration::ZERO));
        assert!(memory.recall(&question(0)).is_none());
    }

    #[test]
    fn what_is_answered_again_is_counted_once() {
        let mut memory = Memory::within(u64::MAX);
        for length in [100, 200, 300] {
            memory.remember(question(0), answer(length, HOUR));
            assert_eq!(memory.young_bytes, bytes(&memory.young));
        }
    }
}
