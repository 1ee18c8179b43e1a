//! Which read requests fetch a device's tags. Pure, made once from the configuration.
//!
//! Tags of one area and one interval are put into as few and as short requests as cost least: the shortest path
//! over the tags in order of address, where a request costs a fixed share and a share for each item it spans. A
//! request never exceeds the device's limit, never touches a forbidden range and never splits a tag. Each request
//! is one scan group of the register map, so its request and response times are exact for every tag in it.

use std::fmt;

use shopfloor::hash::Hash;
use shopfloor::register_map::{Area, DataType};

use crate::config::{Modbus, ModbusTag};

/// What a request costs: `fixed + per_item × items`, in any one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// For the request itself: round trip, header, turnaround.
    pub fixed: u64,
    /// For each register, or each bit.
    pub per_item: u64,
}

/// Modbus TCP: a round trip is worth a whole request of registers, so holes are cheap.
const REGISTERS: Cost = Cost { fixed: 100, per_item: 1 };
/// The same for coils and discrete inputs, of which 16 go into two bytes.
const BITS: Cost = Cost { fixed: 1600, per_item: 1 };

/// A stretch of one area: first address and number of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First address, from 0.
    pub first: u16,
    /// Items, at least 1.
    pub count: u16,
}

impl Stretch {
    /// The address after the last; may be 65536.
    fn end(self) -> u32 {
        u32::from(self.first) + u32::from(self.count)
    }
}

/// One read request, the tags that it fetches and their rhythm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Area that is read.
    pub area: Area,
    /// What is read.
    pub stretch: Stretch,
    /// Nanoseconds between scans.
    pub interval: i64,
    /// Tags as indices into the source's list, ascending: the columns of the scan group.
    pub tags: Vec<usize>,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.stretch.first, self.stretch.end() - 1);
        write!(f, "{:?} {first}..{last} every {} ms", self.area, self.interval / 1_000_000)?;
        write!(f, ", {} items for {} tags", self.stretch.count, self.tags.len())
    }
}

/// The function code that reads the area: an order for the plan.
const fn rank(area: Area) -> u8 {
    match area {
        Area::Coil => 1,
        Area::DiscreteInput => 2,
        Area::Holding => 3,
        Area::Input => 4,
    }
}

/// Whether the area holds bits rather than registers.
pub fn is_bits(area: Area) -> bool {
    matches!(area, Area::Coil | Area::DiscreteInput)
}

/// Registers (or bits, in an area of bits) that the tag takes.
pub fn width(tag: &ModbusTag) -> u16 {
    match tag.data_type {
        DataType::U32 | DataType::I32 | DataType::F32 => 2,
        DataType::U64 | DataType::I64 | DataType::F64 => 4,
        _ => 1,
    }
}

/// The plan for one device, ordered by area, interval and address.
pub fn plan(device: &Modbus) -> Vec<Request> {
    let mut order: Vec<usize> = (0..device.tags.len()).collect();
    order.sort_by_key(|i| {
        let tag = &device.tags[*i];
        (rank(tag.area), tag.interval, tag.address, width(tag))
    });
    let same = |a: &usize, b: &usize| {
        let (a, b) = (&device.tags[*a], &device.tags[*b]);
        (a.area, a.interval) == (b.area, b.interval)
    };
    order.chunk_by(same).flat_map(|chunk| plan_one(device, chunk)).collect()
}

fn plan_one(device: &Modbus, chunk: &[usize]) -> Vec<Request> {
    let area = device.tags[chunk[0]].area;
    let stretch = |i: &usize| Stretch { first: device.tags[*i].address, count: width(&device.tags[*i]) };
    let stretches: Vec<Stretch> = chunk.iter().map(stretch).collect();
    let forbidden: Vec<(u16, u16)> =
        device.forbidden.iter().filter(|(a, _, _)| *a == area).map(|(_, first, last)| (*first, *last)).collect();
    let (max, cost) = if is_bits(area) { (device.max_bits, BITS) } else { (device.max_registers, REGISTERS) };
    let mut requests = Vec::new();
    let mut from = 0;
    for to in cuts(&stretches, max, cost, &forbidden) {
        let stretch = span(&stretches[from..to]);
        let interval = device.tags[chunk[from]].interval;
        let mut tags = chunk[from..to].to_vec();
        tags.sort_unstable();
        requests.push(Request { area, stretch, interval, tags });
        from = to;
    }
    requests
}

/// Where to cut the stretches (in order of first address) into requests, at the least cost in all: the end index of
/// each request. A stretch that alone breaks a limit still gets a request of its own; the configuration refuses it.
pub fn cuts(stretches: &[Stretch], max: u16, cost: Cost, forbidden: &[(u16, u16)]) -> Vec<usize> {
    let mut best: Vec<(u64, usize)> = vec![(0, 0)];
    for end in 1..=stretches.len() {
        let mut choice: Option<(u64, usize)> = None;
        for start in (0..end).rev() {
            let whole = span_wide(&stretches[start..end]);
            let allowed = whole.1 - whole.0 <= u32::from(max) && !touches(whole, forbidden);
            if !allowed && start + 1 < end {
                break;
            }
            let total = best[start].0 + cost.fixed + cost.per_item * u64::from(whole.1 - whole.0);
            if choice.is_none_or(|(known, _)| total < known) {
                choice = Some((total, start));
            }
        }
        best.push(choice.unwrap_or((u64::MAX, end - 1)));
    }
    let mut cuts = Vec::new();
    let mut end = stretches.len();
    while end > 0 {
        cuts.push(end);
        end = best[end].1;
    }
    cuts.reverse();
    cuts
}

/// From the first address to the one after the last.
fn span_wide(stretches: &[Stretch]) -> (u32, u32) {
    let first = stretches.iter().map(|s| u32::from(s.first)).min().unwrap_or(0);
    let end = stretches.iter().map(|s| s.end()).max().unwrap_or(0);
    (first, end)
}

fn span(stretches: &[Stretch]) -> Stretch {
    let (first, end) = span_wide(stretches);
    let fits = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    Stretch { first: fits(first), count: fits(end - first) }
}

fn touches(whole: (u32, u32), forbidden: &[(u16, u16)]) -> bool {
    forbidden.iter().any(|(first, last)| u32::from(*first) < whole.1 && whole.0 <= u32::from(*last))
}

/// What names a plan in block headers: the hash of its requests as text.
pub fn hash(requests: &[Request]) -> Hash {
    let lines: Vec<String> = requests.iter().map(|r| format!("{r} {:?}\n", r.tags)).collect();
    Hash::of(lines.concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(stretches: &[Stretch], cuts: &[usize], cost: Cost) -> u64 {
        let mut from = 0;
        let mut sum = 0;
        for to in cuts {
            let (first, end) = span_wide(&stretches[from..*to]);
            sum += cost.fixed + cost.per_item * u64::from(end - first);
            from = *to;
        }
        sum
    }

    /// Every way to cut, tried out.
    fn brute_force(stretches: &[Stretch], max: u16, cost: Cost, forbidden: &[(u16, u16)]) -> u64 {
        let n = stretches.len();
        let mut best = u64::MAX;
        for mask in 0..1_u32 << (n - 1) {
            let ends: Vec<usize> = (1..=n).filter(|end| *end == n || mask >> (end - 1) & 1 == 1).collect();
            let mut from = 0;
            let mut allowed = true;
            for to in &ends {
                let whole = span_wide(&stretches[from..*to]);
                allowed &= to - from == 1 || whole.1 - whole.0 <= u32::from(max) && !touches(whole, forbidden);
                from = *to;
            }
            if allowed {
                best = best.min(total(stretches, &ends, cost));
            }
        }
        best
    }

    proptest! {
        #[test]
        fn the_plan_costs_as_little_as_any(
            mut stretches in prop::collection::vec((0_u16..300, 1_u16..5), 1..11),
            fixed in 1_u64..200,
            max in 4_u16..126,
            forbidden in prop::collection::vec((0_u16..300, 0_u16..6), 0..3),
        ) {
            stretches.sort_unstable();
            let stretches: Vec<Stretch> = stretches.iter().map(|(first, count)| Stretch { first: *first, count: *count }).collect();
            let forbidden: Vec<(u16, u16)> = forbidden.iter().map(|(first, more)| (*first, first + more)).collect();
            let cost = Cost { fixed, per_item: 1 };
            let cuts = cuts(&stretches, max, cost, &forbidden);
            prop_assert_eq!(cuts.last().copied(), Some(stretches.len()));
            prop_assert_eq!(total(&stretches, &cuts, cost), brute_force(&stretches, max, cost, &forbidden));
        }
    }

    #[test]
    fn a_hole_is_bridged_while_it_is_cheaper_than_a_request() {
        let near = [Stretch { first: 0, count: 1 }, Stretch { first: 50, count: 1 }];
        assert_eq!(cuts(&near, 125, REGISTERS, &[]), [2]);
        assert_eq!(cuts(&near, 125, REGISTERS, &[(20, 20)]), [1, 2], "a forbidden register between them");
        let far = [Stretch { first: 0, count: 1 }, Stretch { first: 120, count: 1 }];
        assert_eq!(cuts(&far, 125, REGISTERS, &[]), [1, 2]);
    }

    #[test]
    fn the_last_registers_of_an_area_can_be_read() {
        let end = [Stretch { first: 65534, count: 2 }];
        assert_eq!(cuts(&end, 125, REGISTERS, &[]), [1]);
        assert_eq!(span(&end), Stretch { first: 65534, count: 2 });
    }
}
