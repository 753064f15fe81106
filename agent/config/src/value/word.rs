//! Enums that JSON has as one word. serde's derive makes code of its own for each of them; here they share one function, which makes the
//! binary smaller.

use std::any::type_name;
use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Error};
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
    let word = Cow::<str>::deserialize(deserializer)?;
    let variant = T::VARIANTS.iter().copied().find(|variant| Into::<&str>::into(*variant) == word);
    variant.ok_or_else(|| unknown(type_name::<T>(), &word))
}

/// The type is called as the documentation calls it: without its path.
fn unknown<E: Error>(path: &str, word: &str) -> E {
    E::custom(format_args!("unknown {} {word:?}", path.rsplit("::").next().unwrap_or(path)))
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
                    let error = serde_json::from_str::<$name>("\"x y\"").unwrap_err().to_string();
                    assert!(error.starts_with(concat!("unknown ", stringify!($name), " \"x y\"")), "{error}");
                )+
            }
        }
    };
}
