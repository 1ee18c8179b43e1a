//! The scenarios that come with the program: twelve small factories of two clusters, and two for tests.

/// A scenario's file by its name.
macro_rules! builtin {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),+]
    };
}

/// Name and text of every scenario, the factories of the demo first.
pub const BUILTIN: [(&str, &str); 14] = builtin![
    "demo",
    "rings",
    "balls",
    "cages",
    "stamping",
    "thirty",
    "neighbour",
    "plastics",
    "tooling",
    "appliance",
    "bottles",
    "precision",
    "small",
    "hundred",
];

/// The factories of the demo in the order in which they join it: seven of the bearing cluster of Xinchang (one of
/// them in the next county), then five of the mould and plastics cluster of Yuyao.
pub const FACTORIES: [&str; 12] = [
    "demo",
    "rings",
    "balls",
    "cages",
    "stamping",
    "thirty",
    "neighbour",
    "plastics",
    "tooling",
    "appliance",
    "bottles",
    "precision",
];

/// All names, for a message.
pub(super) fn names() -> String {
    BUILTIN.map(|(name, _)| name).join(", ")
}
