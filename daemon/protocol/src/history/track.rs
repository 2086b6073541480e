//! One series: the samples of the last day and of what of the hour before is in the same block.

use std::collections::VecDeque;

/// Samples of a block: an hour.
const PLACES: usize = 360;
const BLOCK: u64 = PLACES as u64;

/// Blocks of a day, and the one that is being filled.
const BLOCKS: usize = 25;

/// Samples by their tick. Where there is none there is a gap. At most 36 kB, and next to nothing while one value stays.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// The number of the first block: its ticks begin at as many times [`BLOCK`].
    first: u64,
    blocks: VecDeque<Block>,
}

/// An hour. A sample that is no number is a gap.
#[derive(Debug, Clone)]
enum Block {
    Same(f32),
    Each(Box<[f32; PLACES]>),
}

impl Track {
    /// Takes a sample. One that is older than what is kept is forgotten at once.
    pub fn put(&mut self, tick: u64, value: f32) {
        let number = tick / BLOCK;
        if self.blocks.is_empty() || number >= self.end() + BLOCKS as u64 {
            self.blocks.clear();
            self.first = number;
        }
        while self.end() <= number {
            self.blocks.back_mut().into_iter().for_each(Block::settle);
            self.blocks.push_back(Block::Same(f32::NAN));
        }
        while self.blocks.len() > BLOCKS {
            self.blocks.pop_front();
            self.first += 1;
        }
        if let Some(block) = self.block_mut(number) {
            block.put(place(tick), value);
        }
    }

    /// The sample of a tick.
    #[must_use]
    pub fn at(&self, tick: u64) -> Option<f32> {
        let place_of = usize::try_from((tick / BLOCK).checked_sub(self.first)?).ok()?;
        self.blocks.get(place_of)?.at(place(tick))
    }

    /// The oldest and the newest tick that there may be a sample of; nothing where there is none.
    #[must_use]
    pub fn bounds(&self) -> Option<(u64, u64)> {
        (!self.blocks.is_empty()).then(|| (self.first * BLOCK, self.end() * BLOCK - 1))
    }

    /// The number of the block after the last.
    fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    fn block_mut(&mut self, number: u64) -> Option<&mut Block> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.blocks.get_mut(at)
    }
}

impl Block {
    fn put(&mut self, place: usize, value: f32) {
        match self {
            Self::Each(values) => values[place] = value,
            Self::Same(same) if same.to_bits() == value.to_bits() => {}
            Self::Same(same) => {
                let mut values = Box::new([*same; PLACES]);
                values[place] = value;
                *self = Self::Each(values);
            }
        }
    }

    fn at(&self, place: usize) -> Option<f32> {
        let value = match self {
            Self::Same(same) => *same,
            Self::Each(values) => values[place],
        };
        (!value.is_nan()).then_some(value)
    }

    /// Gives back what an hour of one value takes.
    fn settle(&mut self) {
        if let Self::Each(values) = self
            && values.iter().all(|value| value.to_bits() == values[0].to_bits())
        {
            *self = Self::Same(values[0]);
        }
    }
}

fn place(tick: u64) -> usize {
    (tick % BLOCK) as usize
}
