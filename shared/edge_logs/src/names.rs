//! The distinct stream names of a file, in one block of text.

use std::hash::{BuildHasher, RandomState};

use crate::{Entry, FileError, UsageKind};

/// Bytes that all distinct names of a file may take together.
const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;
/// Marks a free slot.
const FREE: u32 = u32::MAX;

/// A name as lines give it, and what the fold knows about it.
#[derive(Debug)]
pub(crate) struct Name {
    start: u32,
    instance_len: u8,
    own_len: u8,
    pub(crate) kind: UsageKind,
    /// Lines of this name that were noted for error messages.
    pub(crate) noted: u8,
    hash: u32,
    /// The group that this name's last line went to.
    pub(crate) last_group: u32,
}

/// An open-addressing table from (kind, instance, name) to a number from 0.
///
/// Viewers choose the paths they ask for, so the hash has a seed of its own for each table.
/// Nothing that is visible outside depends on it.
#[derive(Debug)]
pub(crate) struct Names {
    text: String,
    known: Vec<Name>,
    slots: Vec<u32>,
    seed: u64,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            text: String::new(),
            known: Vec::new(),
            slots: vec![FREE; 64],
            seed: RandomState::new().hash_one(0_u8),
        }
    }

    /// Finds the number of an entry's name, giving it the next one if it is new.
    #[inline]
    pub(crate) fn number(&mut self, entry: &Entry<'_>) -> Result<u32, FileError> {
        let instance = entry.instance.unwrap_or("");
        let seed = self.seed ^ entry.kind as u64;
        let hash = hash(hash(seed, instance.as_bytes()), entry.name.as_bytes());
        let hash = u32::try_from(hash >> 32).expect("32 bits are left");
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot] != FREE {
            let number = self.slots[slot];
            let known = &self.known[number as usize];
            if known.hash == hash && known.kind == entry.kind {
                let (known_instance, known_name) = self.text_of(known);
                let is_bare = known_instance.is_empty() && instance.is_empty();
                if known_name == entry.name && (is_bare || known_instance == instance) {
                    return Ok(number);
                }
            }
            slot = (slot + 1) & mask;
        }
        self.add(entry.kind, instance, entry.name, hash)
    }

    #[cold]
    fn add(
        &mut self,
        kind: UsageKind,
        instance: &str,
        name: &str,
        hash: u32,
    ) -> Result<u32, FileError> {
        let start = self.text.len();
        if start + instance.len() + name.len() > MAX_TEXT_BYTES {
            return Err(FileError::TooManyNames { limit: MAX_TEXT_BYTES });
        }
        let short = "a line's names are at most 255 bytes long";
        self.text.push_str(instance);
        self.text.push_str(name);
        self.known.push(Name {
            start: u32::try_from(start).expect("the text is bounded"),
            instance_len: u8::try_from(instance.len()).expect(short),
            own_len: u8::try_from(name.len()).expect(short),
            kind,
            noted: 0,
            hash,
            last_group: FREE,
        });
        if self.known.len() * 2 > self.slots.len() {
            self.slots = vec![FREE; self.slots.len() * 2];
            for number in 0..self.known.len() {
                self.place(number);
            }
        } else {
            self.place(self.known.len() - 1);
        }
        Ok(as_number(self.known.len() - 1))
    }

    fn place(&mut self, number: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = self.known[number].hash as usize & mask;
        while self.slots[slot] != FREE {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = as_number(number);
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, number: u32) -> &mut Name {
        &mut self.known[number as usize]
    }

    /// The name of this number: kind, instance (may be empty), name.
    pub(crate) fn get(&self, number: u32) -> (UsageKind, &str, &str) {
        self.parts(&self.known[number as usize])
    }

    /// All names in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (UsageKind, &str, &str)> {
        self.known.iter().map(|known| self.parts(known))
    }

    fn parts(&self, known: &Name) -> (UsageKind, &str, &str) {
        let (instance, name) = self.text_of(known);
        (known.kind, instance, name)
    }

    #[inline]
    fn text_of(&self, known: &Name) -> (&str, &str) {
        let start = known.start as usize;
        let middle = start + usize::from(known.instance_len);
        let end = middle + usize::from(known.own_len);
        (&self.text[start..middle], &self.text[middle..end])
    }
}

fn as_number(index: usize) -> u32 {
    u32::try_from(index).expect("the text, and so the number of names, is bounded")
}

/// Mixes eight bytes at a time by multiplying to 128 bits and folding the halves together.
#[inline]
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks are of eight bytes"));
        state = mix(state ^ word);
    }
    let mut tail = bytes.len() as u64;
    for &byte in words.remainder() {
        tail = (tail << 8) | u64::from(byte);
    }
    mix(state ^ tail)
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
fn mix(value: u64) -> u64 {
    let product = u128::from(value) * 0x9e37_79b9_7f4a_7c15;
    product as u64 ^ (product >> 64) as u64
}
