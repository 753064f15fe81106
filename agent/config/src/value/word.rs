//! Enums that JSON has as one word. serde's derive makes code of its own for each of them; here they share one function, which makes the
//! binary smaller.

use std::fmt::{self, Formatter};

use serde::de::{Deserializer, Error, Visitor};
use strum::VariantArray;

/// The variant that has this word.
///
/// # Errors
///
/// The input is no string, or no variant has this word.
pub fn read<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Copy + Into<&'static str> + VariantArray,
{
    let place = deserializer.deserialize_str(Place(&mut T::VARIANTS.iter().map(|variant| (*variant).into())))?;
    T::VARIANTS.get(place).copied().ok_or_else(|| D::Error::custom("unknown word"))
}

/// Takes a word to its place among these.
struct Place<'a>(&'a mut dyn Iterator<Item = &'static str>);

impl Visitor<'_> for Place<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a word")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<usize, E> {
        let found = self.0.enumerate().find(|(_, other)| *other == word);
        found.map(|(place, _)| place).ok_or_else(|| E::custom(format_args!("unknown word {word:?}")))
    }
}

/// `Deserialize` by [`word::read`](read), for enums with strum's `IntoStaticStr` and `VariantArray`. Its test holds that each variant is
/// read back from what `Serialize` writes.
#[macro_export]
macro_rules! read_as_word {
    ($($name:ty),+ $(,)?) => {
        $(
            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    $crate::word::read(deserializer)
                }
            }
        )+

        #[cfg(test)]
        mod words {
            use super::*;

            #[test]
            fn each_variant_is_read_back_from_its_word() {
                $(
                    for variant in <$name as strum::VariantArray>::VARIANTS {
                        let json = serde_json::to_string(variant).unwrap();
                        assert_eq!(serde_json::from_str::<$name>(&json).unwrap(), *variant, "{json}");
                    }
                    assert!(serde_json::from_str::<$name>("\"\"").is_err());
                )+
            }
        }
    };
}
