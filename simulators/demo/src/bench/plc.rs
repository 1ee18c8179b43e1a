//! The ten cells of the scenario behind one controller: one unit id, one register table, as one PLC of a line has.

use std::fmt::Write as _;
use std::sync::Arc;

use shopfloor::time::Timestamp;
use simulators::machine::World;
use simulators::points::Place;
use simulators::registers::{BitArea, Encoding, Exception, RegisterBank, WordArea, WorldRegisters};

use super::site;

/// Registers of one cell in the controller's table.
const CELL: u16 = 13;

/// The controller's registers.
pub struct Plc {
    cells: WorldRegisters,
    units: Vec<u8>,
}

impl Plc {
    /// The controller of all cells of a world.
    pub fn new(world: Arc<World>) -> Self {
        let units = world.machines().iter().filter_map(|machine| unit(&machine.points().first()?.place)).collect();
        Self { cells: WorldRegisters::new(world, site::SERVER), units }
    }
}

impl RegisterBank for Plc {
    fn bits(&self, _: u8, _: BitArea, _: u16, _: u16, _: Timestamp) -> Result<Vec<bool>, Exception> {
        Err(Exception::IllegalAddress)
    }

    fn words(&self, unit: u8, area: WordArea, start: u16, count: u16, at: Timestamp) -> Result<Vec<u16>, Exception> {
        if unit != 1 {
            return Err(Exception::NoTarget);
        }
        let (mut from, end) = (start, start.saturating_add(count));
        let mut words = Vec::with_capacity(usize::from(count));
        while from < end {
            let to = end.min((from / CELL + 1) * CELL);
            let cell = self.units.get(usize::from(from / CELL)).ok_or(Exception::IllegalAddress)?;
            words.extend(self.cells.words(*cell, area, from % CELL, to - from, at)?);
            from = to;
        }
        Ok(words)
    }
}

/// The controller as a source of an agent's configuration.
pub fn source_toml(world: &World, address: std::net::SocketAddr, interval: &str) -> String {
    let mut out = format!(
        "\n[[source]]\nid = \"plc\"\nprotocol = \"modbus-tcp\"\nhost = \"{}\"\nport = {}\nunit = 1\n\
         address_base = 0\nsimulated = true\n",
        address.ip(),
        address.port()
    );
    for (cell, machine) in (0..).zip(world.machines()) {
        for point in machine.points() {
            let Place::Words { address, encoding, order, .. } = &point.place else { continue };
            let (name, address) = (format!("{}/{}", machine.spec().id, point.tag), address + cell * CELL);
            write!(
                out,
                "\n[[source.tag]]\nname = {name:?}\narea = \"holding\"\naddress = {address}\ntype = {:?}\n\
                 interval = {interval:?}\nscale = {:?}\nunit = {:?}\nsection = {:?}\n",
                encoding.name(),
                point.scale,
                point.unit,
                point.section
            )
            .expect("a String takes any text");
            if !matches!(encoding, Encoding::U16 | Encoding::I16) {
                writeln!(out, "word_order = {:?}", order.name().to_lowercase()).expect("a String takes any text");
            }
        }
    }
    out
}

const fn unit(place: &Place) -> Option<u8> {
    match place {
        Place::Words { unit, .. } | Place::Bit { unit, .. } => Some(*unit),
        Place::Node { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_shows_the_words_of_every_cell_one_after_the_other() {
        let at = Timestamp::from_secs(1_795_564_800);
        let world = Arc::new(site::world(1, at).unwrap());
        let (plc, cells) = (Plc::new(Arc::clone(&world)), WorldRegisters::new(world, site::SERVER));
        let all = plc.words(1, WordArea::Holding, 0, 10 * CELL, at).unwrap();
        for cell in 0..10_u16 {
            let unit = u8::try_from(cell + 1).unwrap();
            let own = cells.words(unit, WordArea::Holding, 0, CELL, at).unwrap();
            assert_eq!(all[usize::from(cell * CELL)..][..usize::from(CELL)], own);
        }
        assert_eq!(plc.words(1, WordArea::Holding, 12, 3, at).unwrap(), all[12..15]);
        assert!(plc.words(1, WordArea::Holding, 129, 2, at).is_err());
    }
}
