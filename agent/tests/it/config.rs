//! The configuration: every problem at once, each with its place.

use agent::command::{self, Format};
use agent::config::{Lang, ProblemKind, parse};

const EXAMPLE: &str = include_str!("../../agent.example.toml");

fn lines(text: &str) -> Vec<String> {
    let errors = parse(text, "agent.toml").expect_err("the file is wrong");
    errors.render(Lang::En).lines().map(str::to_owned).collect()
}

fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from} is in the example");
    EXAMPLE.replacen(from, to, 1)
}

#[test]
fn the_example_parses_and_shows_the_defaults() {
    let config = parse(EXAMPLE, "agent.example.toml").unwrap();
    let shown: String = EXAMPLE
        .lines()
        .filter(|l| !l.contains("default") || l.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    let bare = parse(&shown, "bare.toml").unwrap();
    assert_eq!(config.recording, bare.recording, "what the example writes is the default");
    assert_eq!(config.queue, bare.queue);
    let (written, default) = (config.publish.unwrap(), bare.publish.unwrap());
    assert_eq!(
        (written.in_flight, written.resend, written.resend_max, written.rate),
        (default.in_flight, default.resend, default.resend_max, default.rate)
    );
    assert_eq!(config.sources.len(), 2);
}

#[test]
fn bad_input_85_unknown_key_is_refused_with_the_nearest_name() {
    let text = with("address = 100", "adress = 100");
    let lines = lines(&text);
    let line = text.lines().position(|l| l.starts_with("adress")).unwrap() + 1;
    assert!(
        lines.contains(&format!("agent.toml:{line}:1: unknown key `source[0].tag[0].adress`; did you mean `address`?")),
        "{lines:#?}"
    );
}

#[test]
fn bad_input_86_duplicates_are_refused() {
    let text = with("grinder-01/energy", "grinder-01/state").replacen("id = \"moulding\"", "id = \"grinder\"", 1);
    let lines = lines(&text);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("\"grinder-01/state\" was already used"), "{lines:#?}");
    assert!(lines[1].contains("\"grinder\" was already used"), "{lines:#?}");
}

#[test]
fn bad_input_87_zero_and_negative_scales_are_refused() {
    assert!(lines(&with("scale = \"0.01\"", "scale = \"0\""))[0].contains("other than zero"));
    assert!(lines(&with("scale = \"0.01\"", "scale = \"-1\""))[0].contains("allow_negative_scale"));
    let allowed =
        with("scale = \"0.01\"", "scale = \"-1\"").replacen("# allow_negative_scale", "allow_negative_scale", 1);
    parse(&allowed, "agent.toml").unwrap();
    let zero = with("scale = \"0.01\"", "scale = \"0\"").replacen("# allow_negative_scale", "allow_negative_scale", 1);
    assert!(parse(&zero, "agent.toml").is_err(), "zero is always refused");
}

#[test]
fn bad_input_91_an_interval_of_zero_is_refused() {
    let lines = lines(&with("interval = \"1s\"", "interval = \"0s\""));
    assert!(lines[0].contains("`source[0].tag[0].interval` = \"0s\" is not allowed"), "{lines:#?}");
}

#[test]
fn bad_input_92_addresses_beyond_the_area_and_too_long_requests_are_refused() {
    assert!(lines(&with("address = 101", "address = 65535"))[0].contains("room for 2 registers"));
    assert!(lines(&with("max_registers = 125", "max_registers = 126"))[0].contains("from 1 to 125"));
    assert!(lines(&with("max_bits = 2000", "max_bits = 2001"))[0].contains("from 1 to 2000"));
    let based = with("address_base = 0", "address_base = 1").replacen("address = 101", "address = 65535", 1);
    parse(&based, "agent.toml").unwrap();
}

#[test]
fn bad_input_95_a_newer_schema_is_refused_before_anything_else() {
    let text = with("schema = 1 ", "schema = 2 ").replacen("address = 100", "adress = 100", 1);
    let errors = parse(&text, "agent.toml").unwrap_err();
    assert_eq!(errors.problems.len(), 1);
    assert_eq!(errors.problems[0].kind, ProblemKind::NewerSchema { found: 2, known: 1 });
    assert!(errors.render(Lang::Zh).contains("请安装更新的"));
}

#[test]
fn every_problem_of_a_file_is_said_at_once() {
    let text = with("type = \"u32\"", "type = \"u31\"").replacen("bit = 4", "", 1).replacen(
        "insecure = true                 #",
        "#",
        1,
    );
    let lines = lines(&text);
    assert_eq!(lines.len(), 3, "{lines:#?}");
    let places: Vec<usize> = lines.iter().map(|l| l.split(':').nth(1).unwrap().parse().unwrap()).collect();
    assert!(places.is_sorted(), "in the order of the file: {lines:#?}");
}

#[test]
fn a_word_order_is_never_guessed_and_plaintext_never_silent() {
    assert!(lines(&with("word_order = \"abcd\"", "# "))[0].contains("word_order` is missing"));
    assert!(lines(&with("mqtt://127.0.0.1:1883", "mqtt://broker.example:1883"))[0].contains("insecure = true"));
    let marked = with("mqtt://127.0.0.1:1883\"\n# insecure", "mqtt://broker.example:1883\"\ninsecure");
    assert!(parse(&marked, "agent.toml").unwrap().publish.unwrap().insecure);
    let syntax = lines("schema = \n[agent");
    assert!(syntax[0].contains("not valid TOML"), "{syntax:#?}");
}

#[test]
fn a_tag_in_a_forbidden_range_is_refused() {
    assert!(lines(&with("address = 101", "address = 199"))[0].contains("outside the forbidden range 200 to 299"));
    parse(&with("address = 101", "address = 198"), "agent.toml").unwrap();
}

#[test]
fn bad_input_94_check_refuses_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let seed = directory.path().join("seed");
    let text = format!(
        "schema = 1\n[agent]\nsite = \"site-1\"\nid = \"agent-1\"\nstate_dir = \"{}\"\nkey_seed_file = \"{}\"\n{}",
        directory.path().join("state").display(),
        seed.display(),
        super::support::modbus("device", 502, "m/value"),
    );
    let config = super::support::parse(&text);
    let check = || command::check(&config, Format::Text, Lang::En);
    std::fs::write(&seed, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = check();
    assert_eq!(refused.code, 78);
    assert!(refused.text.contains("mode 644") && refused.text.contains("chmod 600"), "{}", refused.text);
    std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(check().code, 0);
    std::fs::write(&seed, "07").unwrap();
    assert_eq!(check().code, 78, "it is no seed");
    assert!(!directory.path().join("state").exists(), "looking makes nothing");
}
