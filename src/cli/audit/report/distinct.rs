//! How many different things there were, in half a kilobyte: exact up to [`EXACT`], then estimated.

use std::hash::{DefaultHasher, Hasher};

/// Counts different texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Distinct {
    /// Hashes in order, as long as they are few.
    few: Vec<u32>,
    /// Registers of a HyperLogLog (Flajolet and others, 2007), then.
    many: Option<Box<[u8; REGISTERS]>>,
}

impl Distinct {
    /// Adds a text.
    pub(super) fn add(&mut self, text: &str) {
        let mut hasher = DefaultHasher::new();
        hasher.write(text.as_bytes());
        self.insert(hasher.finish());
    }

    fn insert(&mut self, hash: u64) {
        if let Some(registers) = &mut self.many {
            return register(registers, hash);
        }
        // 32 bits tell 128 texts apart: two are alike once in half a million times.
        let short = (hash >> 32) as u32;
        let Err(place) = self.few.binary_search(&short) else { return };
        if self.few.len() < EXACT {
            return self.few.insert(place, short);
        }
        let mut registers = Box::new([0; REGISTERS]);
        self.few.iter().for_each(|&short| register(&mut registers, spread(short)));
        register(&mut registers, spread(short));
        (self.few, self.many) = (Vec::new(), Some(registers));
    }

    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.many.is_none()
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.many.as_ref().map_or(self.few.len() as u64, |registers| estimate(registers))
    }

    /// Whether [`Distinct::count`] is exact. Otherwise it is off by 5 % one time in three.
    pub(super) fn is_exact(&self) -> bool {
        self.many.is_none()
    }
}

/// The upper half of a hash where both halves are wanted.
fn spread(short: u32) -> u64 {
    u64::from(short) << 32
}

/// Notes how many zeros come first behind the bits that choose the register. Only the upper half of the
/// hash counts, as that is all that is kept of the first ones.
fn register(registers: &mut [u8; REGISTERS], hash: u64) {
    let short = (hash >> 32) as u32;
    let place = (short >> (u32::BITS - BITS)) as usize;
    let zeros = (short << BITS).leading_zeros().min(u32::BITS - BITS) as u8;
    if let Some(register) = registers.get_mut(place) {
        *register = (*register).max(zeros.saturating_add(1));
    }
}

fn estimate(registers: &[u8; REGISTERS]) -> u64 {
    let size = REGISTERS as f64;
    let sum: f64 = registers.iter().map(|&zeros| (-f64::from(zeros)).exp2()).sum();
    let raw = 0.7213 / (1.0 + 1.079 / size) * size * size / sum;
    let empty = registers.iter().filter(|&&zeros| zeros == 0).count();
    let few = raw <= 2.5 * size && empty > 0;
    let estimate = if few { size * (size / empty as f64).ln() } else { raw };
    estimate.round() as u64
}

/// Bits of a hash that choose a register.
const BITS: u32 = 9;

/// Registers: the error is 1.04 / √512, 4.6 %.
const REGISTERS: usize = 1 << BITS;

/// Most that are counted exactly, in as much memory as the registers take.
const EXACT: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_exact_and_many_are_close() {
        let mut distinct = Distinct::default();
        for number in 0..200_000_u64 {
            distinct.add(&format!("patient-{number}"));
            distinct.add(&format!("patient-{}", number / 2));
            let (count, exact) = (distinct.count(), number + 1);
            if number < 128 {
                assert!(distinct.is_exact());
                assert_eq!(count, exact);
            } else if number % 997 == 0 {
                assert!(!distinct.is_exact());
                let error = (count as f64 - exact as f64).abs() / exact as f64;
                assert!(error < 0.16, "{count} for {exact}");
            }
        }
    }
}
