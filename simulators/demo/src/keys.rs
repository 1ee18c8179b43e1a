//! Demo keys: derived from the seed, so that anyone can derive them; every block signed with one is marked so.

use shopfloor::hash::Hash;
use shopfloor::id::AgentId;
use shopfloor::wire::sign::SecretKey;

/// The key seed of a demo agent.
pub fn agent_seed(seed: u64, agent: &AgentId) -> [u8; 32] {
    Hash::of(format!("plumbline demo key, seed {seed}, agent {agent}").as_bytes()).0
}

/// The key of a demo agent.
pub fn agent_key(seed: u64, agent: &AgentId) -> SecretKey {
    SecretKey::from_seed(agent_seed(seed, agent))
}

/// The seed as the agent's `key_seed_file` holds it.
pub fn hex(seed: [u8; 32]) -> String {
    use std::fmt::Write as _;
    seed.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_and_two_seeds_have_different_keys() {
        let (a, b): (AgentId, AgentId) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_ne!(agent_seed(1, &a), agent_seed(1, &b));
        assert_ne!(agent_seed(1, &a), agent_seed(2, &a));
        assert_eq!(hex(agent_seed(1, &a)).len(), 64);
    }
}
