//! The config without any key set. The defaults are in the table of keys and nowhere else.

use crate::config::Config;
use crate::keys::{KeyDefault, all};
use crate::value::Value;
use crate::value::probe_http::HttpProbe;

impl Config {
    /// The config without any key set. `image` and `name` have no default and are empty. A life begins with this config and
    /// runs no container before it has its own.
    pub fn defaults() -> Self {
        let mut config = Self::empty();
        for key in all() {
            if let KeyDefault::Value(text) = key.default {
                // A test resolves each default.
                let resolved = (key.resolve)(&mut config, &Value::Text(text.to_owned()), "");
                debug_assert!(resolved.is_ok(), "the default of {}", key.name);
            }
        }
        config
    }
}

impl Default for HttpProbe {
    /// What holds when nothing is written.
    fn default() -> Self {
        Config::defaults().probe.http
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;
    use crate::parse::layers::Layers;
    use crate::value::scalar::duration;

    #[test]
    fn the_defaults_of_the_table_are_the_defaults_of_the_config() {
        let by_value = |default: &KeyDefault| if let KeyDefault::Value(text) = default { Some(*text) } else { None };
        let words: Vec<_> = all().filter_map(|key| Some(format!("{}={}", key.name, by_value(&key.default)?))).collect();
        assert!(words.len() > 20);
        let mut layers = Layers::new();
        layers.add_words(&["image=x:1".to_owned()]);
        let plain = layers.resolve().unwrap();
        layers.add_words(&words);
        assert_eq!(layers.resolve(), Ok(plain.clone()));
        let filled_in = Config {
            image: plain.image.clone(),
            name: "x".into(),
            log_opt: plain.log_opt.clone(),
            ..Config::defaults()
        };
        assert_eq!(filled_in, plain);
    }

    #[test]
    fn a_default_in_words_names_the_duration_that_holds() {
        let probe = Config::defaults().probe;
        for (name, holds) in
            [("probe.timeout", probe.timeout_for(None)), ("probe.start_timeout", probe.start_limit(None))]
        {
            let (key, _) = Key::find(name).unwrap();
            let KeyDefault::Words(words) = key.default else { panic!("{name}") };
            let named = words.split('`').find_map(|word| duration(word).ok());
            assert_eq!(named, Some(holds), "{name}");
        }
    }
}
