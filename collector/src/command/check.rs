//! `check`: the configuration as meant, and the lines that agents need.

use serde_json::json;

use super::{Answer, Arguments, Failure, Text, read_config};
use crate::config::{BrokerConfig, Config};
use crate::keys::Keys;
use crate::mirror::influx::Server;

/// Checks the configuration and makes the keys if there are none yet.
pub(super) fn check(arguments: &Arguments) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let state_dir = &config.state_dir;
    std::fs::create_dir_all(state_dir)
        .map_err(|error| Failure::new(74, format!("make the state directory {}: {error}", state_dir.display())))?;
    let keys = Keys::open(state_dir).map_err(|error| Failure::new(78, error.to_string()))?;
    let key = keys.ack.public();
    let broker = broker_url(&config);
    if let Some(mirror) = &config.mirror {
        // Token and certificates are read here too; the server need not be there.
        Server::open(mirror)?;
    }
    let say = |zh: &str, en: &str| arguments.lang.say(zh, en);
    let mut text = Text::default();
    text.line(format_args!("{}\n", say("配置有效。", "The configuration is valid.")));
    text.line(format_args!("  state_dir   {}", state_dir.display()));
    text.line(format_args!("  broker      {broker}\n  http        http://{}", config.http_listen));
    text.line(format_args!(
        "  shards      {:02x}-{:02x}\n  agents      {}",
        config.shards.start(),
        config.shards.end(),
        config.agents.len()
    ));
    for agent in &config.agents {
        text.line(format_args!("              {}/{} epoch {} {}", agent.site, agent.id, agent.epoch, agent.public_key));
    }
    if let Some(mirror) = &config.mirror {
        text.line(format_args!("  mirror      {} {} {}", mirror.url, mirror.org, mirror.bucket));
    }
    text.line(format_args!(
        "\n{}\n",
        say("采集端 agent.toml 需要的两行:", "The two lines that each agent.toml needs:")
    ));
    text.line(format_args!("broker = \"{broker}\"\ncollector_key = \"{key}\""));
    text.line(format_args!("\n{} {}", say("检查点公钥:", "Key of the checkpoints:"), keys.checkpoint.public()));
    let agents: Vec<_> = config
        .agents
        .iter()
        .map(
            |agent| json!({ "site": agent.site, "id": agent.id, "epoch": agent.epoch, "public_key": agent.public_key }),
        )
        .collect();
    let json = json!({
        "state_dir": state_dir, "broker": broker, "http": config.http_listen, "agents": agents,
        "mirror": config.mirror.as_ref().map(|mirror| json!({ "url": mirror.url, "org": mirror.org, "bucket": mirror.bucket })),
        "collector_key": key, "checkpoint_key": keys.checkpoint.public(),
    });
    Ok(Answer { exit: 0, text, json })
}

fn broker_url(config: &Config) -> String {
    match &config.broker {
        BrokerConfig::Embedded { listen } => format!("mqtt://{listen}"),
        BrokerConfig::External { host, port, .. } => format!("mqtt://{host}:{port}"),
    }
}
