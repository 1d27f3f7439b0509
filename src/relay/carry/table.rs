//! Things at numbered places, which are used again.

/// A place in a table, and who of those that had it one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) struct Place {
    pub(super) index: u32,
    tenant: u32,
}

/// Things at numbered places, which are used again.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Vec<Row<T>>,
    free: Vec<u32>,
    taken: usize,
}

#[derive(Debug)]
struct Row<T> {
    tenant: u32,
    item: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            taken: 0,
        }
    }
}

impl<T> Table<T> {
    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// The things.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().filter_map(|row| row.item.as_ref())
    }

    /// All places, with and without a thing.
    pub(super) fn places(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Where the next thing will be put.
    pub(super) fn next(&mut self) -> Place {
        if self.free.is_empty() {
            // There are fewer descriptors than that.
            self.free
                .push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
            self.rows.push(Row {
                tenant: 0,
                item: None,
            });
        }
        let index = self.free[self.free.len() - 1];
        let tenant = self.rows[index as usize].tenant;
        Place { index, tenant }
    }

    pub(super) fn put(&mut self, item: T) {
        let Place { index, .. } = self.next();
        self.free.pop();
        self.taken += 1;
        self.rows[index as usize].item = Some(item);
    }

    /// Who has the place `index` now.
    pub(super) fn place(&self, index: u32) -> Option<Place> {
        let tenant = self.rows.get(index as usize)?.tenant;
        Some(Place { index, tenant })
    }

    pub(super) fn at(&mut self, index: u32) -> Option<&mut T> {
        self.rows.get_mut(index as usize)?.item.as_mut()
    }

    /// What is at `place`, if it is still the same.
    pub(super) fn still(&mut self, place: Place) -> Option<&mut T> {
        let row = self.rows.get_mut(place.index as usize)?;
        row.item.as_mut().filter(|_| row.tenant == place.tenant)
    }

    pub(super) fn take(&mut self, index: u32) -> Option<T> {
        let row = self.rows.get_mut(index as usize)?;
        let item = row.item.take()?;
        row.tenant = row.tenant.wrapping_add(1);
        self.free.push(index);
        self.taken -= 1;
        Some(item)
    }
}
